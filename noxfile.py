"""One word for what is run often: `nox` lists it, `nox -s check` lints and types, `nox -s fast` tests in a minute.

Everything runs in the environment that nox is started in (`pip install -e ".[test,dev]"`).
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["check", "fast"]
API = ("hemobench.api", "hemobench.views.view")


@nox.session
def check(session: nox.Session) -> None:
    """Format, mend what can be mended, then say what style and types have against the rest."""
    session.run("ruff", "format", ".")
    session.run("ruff", "check", "--fix", ".", *session.posargs)
    session.run("mypy")


@nox.session
def fast(session: nox.Session) -> None:
    """The first tier: below a minute on one core."""
    session.run("python", "-m", "pytest", "-q", "-m", "fast", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The second tier: everything but the browser, on two cores."""
    session.run("python", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "not browser", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The third tier: the page in a real Chromium."""
    session.run("python", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "tests/browser", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The API page, from the docstrings, into site/."""
    session.run("python", "-m", "pdoc", "--docformat", "google", "--output-directory", "site", *API)
