"""BM25 over chunks of text, by the `bm25s` library: stemmed words without stop words, its defaults.

Knows text only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mplus_cli.evaluation.extras import require


class Index:
    """Texts in the order they were read, of which any first part can be searched."""

    def __init__(self) -> None:
        self._bm25s = require("bm25s")
        self._stemmer = require("Stemmer").Stemmer("english")
        self._words: list[list[str]] = []
        self._splitting = 0.0
        self._index: Any = None
        self._of: tuple[int, str] | None = None
        """What the index was built of: so many first texts, and a last one."""

    def add(self, texts: Sequence[str]) -> None:
        """Take in more texts."""
        started = time.perf_counter()
        self._words += [self._split(text) for text in texts]
        self._splitting += time.perf_counter() - started

    def rank(self, question: str, count: int, last: str = "") -> list[int]:
        """The first `count` texts, and `last` if there is one, best first (ties: the newer first)."""
        self.prepare(count, last)
        size = count + bool(last)
        words = self._split(question)
        scores = (
            self._index.get_scores(words) if words and self._index is not None else [0.0] * size
        )
        return sorted(range(size), key=lambda number: (-float(scores[number]), -number))

    def time_whole(self) -> float:
        """Seconds that indexing all texts takes; the index is of all of them afterwards."""
        self._of = None
        started = time.perf_counter()
        self.prepare(len(self._words))
        return self._splitting + time.perf_counter() - started

    @property
    def bytes(self) -> int:
        """Bytes of the index as last built."""
        if self._index is None:
            return 0
        words = sum(len(word.encode()) + 8 for word in self._index.vocab_dict)
        return words + sum(int(getattr(part, "nbytes", 0)) for part in self._index.scores.values())

    def prepare(self, count: int, last: str = "") -> None:
        """Build the index of the first `count` texts and `last`, if it is not there."""
        if self._of == (count, last):
            return
        self._of = (count, last)
        words = self._words[:count] + ([self._split(last)] if last else [])
        self._index = None
        if any(words):
            self._index = self._bm25s.BM25()
            self._index.index(words, show_progress=False)

    def _split(self, text: str) -> list[str]:
        words: list[list[str]] = self._bm25s.tokenize(
            [text], stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        return words[0]
