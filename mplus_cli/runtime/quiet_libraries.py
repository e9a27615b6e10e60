"""Keeps the warnings of libraries, which are written for developers, off the user's terminal."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_warnings() -> Iterator[None]:
    """No warnings from libraries, and none of their log lines below an error, during the block."""
    disabled = logging.root.manager.disable
    verbosity = os.environ.get("TRANSFORMERS_VERBOSITY")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # for processes that the block starts
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Some libraries put their own filter first when they are imported.
        warnings.showwarning = lambda *_, **__: None
        try:
            yield
        finally:
            logging.disable(disabled)
            if verbosity is None:
                os.environ.pop("TRANSFORMERS_VERBOSITY", None)
