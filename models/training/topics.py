"""Orders passages so that those on one topic follow each other.

Chunks on one topic are a retriever's hard negatives: negatives drawn at random from thousands of passages
can be told apart by any rare word. Bags of words only; no tensors.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BUCKETS = 4096
"""Words are counted in this many hashed buckets."""

_WORD = re.compile(r"\w{3,}")
_ROUNDS = 2


def by_topic(vectors: NDArray[np.float32], topics: int, draw: random.Random) -> list[int]:
    """The numbers of all texts, topic by topic; topics, and the texts within one, in random order.

    Spherical k-means over TF-IDF, a few rounds from random seeds: rough clusters are enough.

    Args:
        vectors: one per text, from `tf_idf`.
    """
    if not len(vectors):
        return []
    seeds = draw.sample(range(len(vectors)), min(topics, len(vectors)))
    centres = vectors[seeds]
    for _ in range(_ROUNDS):
        nearest = (vectors @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, vectors)
        centres = _unit(sums)
    groups: dict[int, list[int]] = {}
    for number, topic in enumerate(nearest.tolist()):
        groups.setdefault(topic, []).append(number)
    ordered = list(groups.values())
    draw.shuffle(ordered)
    for group in ordered:
        draw.shuffle(group)
    return [number for group in ordered for number in group]


def tf_idf(texts: Sequence[str]) -> NDArray[np.float32]:
    """A unit TF-IDF vector (texts, BUCKETS) for each text."""
    counts = np.zeros((len(texts), BUCKETS), dtype=np.float32)
    for row, text in enumerate(texts):
        buckets = [zlib.crc32(word.encode()) % BUCKETS for word in _WORD.findall(text.lower())]
        np.add.at(counts[row], buckets, 1.0)
    seen = (counts > 0).sum(axis=0)
    return _unit(np.sqrt(counts) * np.log((1 + len(texts)) / (1 + seen)).astype(np.float32))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    out: NDArray[np.float32] = rows / np.maximum(lengths, 1e-6)
    return out
