"""Completion of command lines in bash, zsh and fish. Loads no model, and no library of documents."""
