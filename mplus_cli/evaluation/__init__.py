"""Experiments: how well a checkpoint remembers, next to what one would use instead of it.

`experiments` starts a run, which yields typed events and keeps every finished part in its out folder
(`journal`); `report` makes tables, plots and Markdown of what is kept. Nothing here prints but through
`view`, and nothing imports torch before a model is loaded.
"""
