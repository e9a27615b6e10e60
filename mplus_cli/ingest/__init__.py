"""Reads sources into a memory and yields typed events. Prints nothing."""
