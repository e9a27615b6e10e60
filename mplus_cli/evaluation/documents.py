"""Question files from the disk: documents with their questions, as many as are wanted.

Files come from the user; nothing is fetched. Knows no model.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.layouts import FORMS, Reading, recognise


def read_data(path: Path, form: str = "auto") -> list[Reading]:
    """The documents of a file, those with the same text as one.

    Args:
        form: the layout, of `FORMS`, or `auto`.

    Raises:
        UsageError: it is missing, or of no layout that is known.
    """
    lines = list(_objects(path))
    if not lines:
        raise UsageError(f"{path} is empty: give a file with questions")
    form = recognise(lines[0]) if form == "auto" else form
    if form not in FORMS:
        raise UsageError(f"{path}: its layout is not known: choose --format {', '.join(FORMS)}")
    read = FORMS[form]
    readings: list[Reading] = []
    for number, line in enumerate(lines):
        try:
            readings += read(line, path, number)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UsageError(
                f"{path}: record {number + 1} is not of the layout {form} ({error}): correct it"
            ) from error
    return _merged(readings)


def choose(
    readings: Sequence[Reading], *, questions: int | None, each: int | None, seed: int | None
) -> list[Reading]:
    """The first documents, with `questions` questions in all and `each` of one at most.

    Args:
        seed: draws documents and questions instead of taking the first.
    """
    mixed = list(readings)
    if seed is not None:
        draw = random.Random(seed)
        mixed = [
            replace(one, questions=tuple(draw.sample(one.questions, len(one.questions))))
            for one in draw.sample(mixed, len(mixed))
        ]
    left = sum(len(reading.questions) for reading in mixed) if questions is None else questions
    kept: list[Reading] = []
    for reading in mixed:
        asked = reading.questions[:each][:left]
        left -= len(asked)
        kept += [replace(reading, questions=asked)] if asked else []
    return kept


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON file, or of JSON lines."""
    from models.training.data import DataError, read_lines

    try:
        if path.suffix == ".json":
            whole = json.loads(path.read_text(encoding="utf-8"))
            yield from whole if isinstance(whole, list) else [whole]
        else:
            yield from read_lines([path])
    except DataError as error:
        raise UsageError(f"{error}: correct it") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: check the path") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error


def _merged(readings: Sequence[Reading]) -> list[Reading]:
    """Readings with those of the same text as one, so that it is read once."""
    by_text: dict[tuple[str | None, Path | None], Reading] = {}
    for reading in readings:
        key = (reading.text, reading.path)
        first = by_text.get(key)
        by_text[key] = (
            reading
            if first is None
            else Reading(
                first.id, first.title, first.text, first.path, first.questions + reading.questions
            )
        )
    return list(by_text.values())
