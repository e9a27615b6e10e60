"""Windows of long articles around the answers in them. Works on texts and spans; does no I/O."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_SENTENCE_START = re.compile(r"(?:^|\n+|(?<=[.!?])\s+)(?=\S)")


@dataclass(frozen=True, slots=True)
class Span:
    """An answer and its place in an article: characters `start` to `stop`."""

    start: int
    stop: int
    question: str
    answer: str


def windows(
    text: str, spans: Sequence[Span], size: int, seed: str
) -> list[tuple[str, tuple[Span, ...]]]:
    """Windows of whole sentences of about `size` characters, each with the answers inside it.

    Answers close together share a window, at a random place in it: answers that are always in the middle
    would teach the reader where to look. An answer longer than `size` has a window of its own, cut at
    its ends.
    """
    draw = random.Random(seed)
    starts = [match.end() for match in _SENTENCE_START.finditer(text)]
    found = []
    for group in _groups(sorted(spans, key=lambda span: (span.start, span.stop)), size):
        first, last = group[0].start, max(span.stop for span in group)
        room = max(size - (last - first), 0)
        before = draw.randint(0, room)
        low = max(0, min(first - before, len(text) - size))
        high = min(len(text), max(low + size, last))
        # Cut to whole sentences, where the answers stay inside.
        low = min([at for at in starts if low <= at <= first], default=low)
        high = max([at for at in starts if last <= at <= high], default=high)
        found.append((text[low:high].strip(), tuple(group)))
    return found


def _groups(spans: Sequence[Span], size: int) -> list[list[Span]]:
    """Spans in order, grouped while they take up no more than half a window."""
    groups: list[list[Span]] = []
    for span in spans:
        if groups and span.stop - groups[-1][0].start <= size // 2:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups
