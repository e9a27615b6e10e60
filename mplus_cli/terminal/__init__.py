"""Everything that is shown on a terminal. The only package that prints and that uses `rich`."""
