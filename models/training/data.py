"""Files of training text: passages with questions, and books.

JSON lines, plain or gzipped: passages as {"source", "id", "context", "qas": [{"question",
"answers": [...]}]}, books as {"title", "author", "text"}.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Encoder(Protocol):
    """Text to ids, no special tokens added."""

    def __call__(self, text: str) -> list[int]: ...


class DataError(ValueError):
    """A data file is missing or not in the documented form."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a passage."""

    text: str
    answers: tuple[str, ...]
    """Gold answers, any of which is right."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that answers questions."""

    text: str
    questions: tuple[Question, ...]


def read_lines(paths: Iterable[str | Path]) -> Iterator[dict[str, Any]]:
    """Records of JSON-lines files.

    Raises:
        DataError: a file is missing or a line is not a JSON object.
    """
    for path in map(Path, paths):
        opener: Any = gzip.open if path.suffix == ".gz" else open
        try:
            with opener(path, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise DataError(f"{path}:{number}: not a JSON object")
                    yield record
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None


def read_passages(paths: Iterable[str | Path]) -> list[Passage]:
    """Passages with questions.

    Raises:
        DataError: a record lacks a field.
    """
    passages = []
    for record in read_lines(paths):
        try:
            questions = tuple(
                Question(qa["question"].strip(), tuple(answer.strip() for answer in qa["answers"]))
                for qa in record["qas"]
                if qa["answers"]
            )
            passages.append(Passage(record["context"].strip(), questions))
        except (KeyError, TypeError) as error:
            raise DataError(f"passage {record.get('id', '?')}: missing {error}") from None
    return passages


def spans_only(passages: Iterable[Passage], words: int) -> list[Passage]:
    """Passages with the questions whose answer occurs in them, in at most `words` words."""
    kept = []
    for passage in passages:
        answered = []
        for question in passage.questions:
            spans = tuple(a for a in question.answers if _is_span(a, passage.text, words))
            if spans:
                answered.append(Question(question.text, spans))
        if answered:
            kept.append(Passage(passage.text, tuple(answered)))
    return kept


def _is_span(answer: str, text: str, words: int) -> bool:
    return len(answer.split()) <= words and answer.lower().strip(" .") in text.lower()


def read_books(paths: Iterable[str | Path]) -> list[str]:
    """The texts of whole books."""
    return [str(record["text"]) for record in read_lines(paths)]
