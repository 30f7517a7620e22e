"""Commands, one module each with a Typer `app`; `hemobench X` and `python -m hemobench.X` run the same one."""
