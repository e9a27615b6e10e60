"""The `mplus` command-line tool: documents, libraries of memories, sessions and the screen."""

__version__ = "0.1.0"
