"""Warnings of libraries, which are written for developers, kept from the user's terminal."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_warnings() -> Iterator[None]:
    """No library's warning, and no line of its log below an error, for the block."""
    disabled = logging.root.manager.disable
    verbosity = os.environ.get("TRANSFORMERS_VERBOSITY")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # for processes started in the block
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Some libraries put a filter of their own in front when they are imported.
        warnings.showwarning = lambda *_, **__: None
        try:
            yield
        finally:
            logging.disable(disabled)
            if verbosity is None:
                os.environ.pop("TRANSFORMERS_VERBOSITY", None)
