"""BM25 over chunks of text, by the `bm25s` library: stemmed words without stop words, its defaults.

Works on text alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mplus_cli.extras import require


class Index:
    """Texts in the order they were read, of which any first part can be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Index all of them."""
        self._bm25s = require("bm25s")
        self._stemmer = require("Stemmer").Stemmer("english")
        started = time.perf_counter()
        self._words = [self._split(text) for text in texts]
        self._count = -1
        self._index: Any = None
        self.prepare(len(texts))
        self.seconds = round(time.perf_counter() - started, 3)
        """What that took."""
        self.bytes = self._size() + sum(len(text.encode()) for text in texts)
        """Of the index and of the texts."""

    def rank(self, question: str, count: int) -> list[int]:
        """The first `count` texts, best first (ties: the newer first)."""
        self.prepare(count)
        words = self._split(question)
        known = words and self._index is not None
        scores = self._index.get_scores(words) if known else [0.0] * count
        return sorted(range(count), key=lambda number: (-float(scores[number]), -number))

    def prepare(self, count: int) -> None:
        """Build the index of the first `count` texts, if it is not there."""
        if self._count != count:
            self._count, self._index = count, None
            if any(self._words[:count]):
                self._index = self._bm25s.BM25()
                self._index.index(self._words[:count], show_progress=False)

    def _size(self) -> int:
        if self._index is None:
            return 0
        words = sum(len(word.encode()) + 8 for word in self._index.vocab_dict)
        return words + sum(int(getattr(part, "nbytes", 0)) for part in self._index.scores.values())

    def _split(self, text: str) -> list[str]:
        words: list[list[str]] = self._bm25s.tokenize(
            [text], stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        return words[0]
