"""Clean environments, in which the notebooks run as they would elsewhere."""
