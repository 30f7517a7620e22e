"""CT-ICH, versions 1.0 and 1.3.1."""
