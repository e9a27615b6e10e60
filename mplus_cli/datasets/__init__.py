"""Public question-answering sets and plain-text books, as downloaded, to the JSON lines of training.

    python -m mplus_cli.datasets squad train-v1.1.json --out squad.jsonl.gz

It is a program of its own and no `mplus` command: readers of books never need it, and the list of
commands stays what it is. It is part of the package all the same, so that whoever installed mplus
can rebuild a training set without a clone. Knows files and formats; no tensors, no tokenizer.
"""
