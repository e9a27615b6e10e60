"""Converts public question-answering sets and plain-text books, as downloaded, to JSON lines for
training.

    python -m mplus_cli.datasets squad train-v1.1.json --out squad.jsonl.gz

It is a program of its own and not an `mplus` command, since readers of books never need it. It is part of
the package, so that whoever installed mplus can rebuild a training set without a clone. Deals with files
and formats, not with tensors or a tokenizer.
"""
