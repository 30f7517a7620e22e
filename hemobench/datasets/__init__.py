"""Public and generated data sets behind one door: `registry.open_dataset` gives Cases, `splits` divides them."""
