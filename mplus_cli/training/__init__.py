"""A training run as the command line starts it: recipe, folder and curves."""
