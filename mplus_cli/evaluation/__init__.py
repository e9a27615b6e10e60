"""Experiments: how well a checkpoint remembers, next to what one would use instead of it.

`experiments` starts a run, which yields typed events and keeps every finished part in its out folder
(`journal`). `figures` are made of those parts, and all that is shown or said of a run (`report`) is made
of its figures. Nothing here prints, and nothing imports torch before a model is loaded.
"""
