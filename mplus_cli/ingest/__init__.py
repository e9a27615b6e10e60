"""Sources become a memory, as typed events. Prints nothing."""
