"""A training run as the command line has it: folder, recipe and curves."""
