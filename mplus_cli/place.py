"""Where a chunk stands in its document, in the document's own terms.

Documents make it, memories keep it, and the screen puts it into words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """The section of a chunk, the labels of its pages, and its position in the text."""

    section: tuple[str, ...] = ()
    """Titles from the outermost part to the innermost: ("Part 2", "Chapter 7"); () if unknown."""
    labels: tuple[str, str] | None = None
    """The labels printed on its first and last page ("iv"); None if pages have no labels."""
    start: float = 0.0
    end: float = 1.0
    """Its first and last character, as shares of the document's text, 0 to 1."""

    def to_json(self) -> dict[str, Any]:
        """The object of a source in `mplus ask --json`."""
        labels = list(self.labels) if self.labels else None
        return {
            "section": list(self.section),
            "labels": labels,
            "from": self.start,
            "to": self.end,
        }

    def dumps(self) -> str:
        """The text that a memory keeps; `loads` reads it."""
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Place:
        """The place that `dumps` wrote; ValueError for anything else."""
        try:
            values = json.loads(text)
            section, labels = values["section"], values["labels"]
            start, end = values["from"], values["to"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("no place") from error
        if not _are_texts(section) or not (labels is None or _are_texts(labels, 2)):
            raise ValueError("no place: section or labels")
        if not all(type(share) in (int, float) and 0 <= share <= 1 for share in (start, end)):
            raise ValueError("no place: shares")
        return cls(tuple(section), (labels[0], labels[1]) if labels else None, start, end)


def _are_texts(values: Any, count: int | None = None) -> bool:
    listed = isinstance(values, list) and all(isinstance(value, str) for value in values)
    return listed and count in (None, len(values))
