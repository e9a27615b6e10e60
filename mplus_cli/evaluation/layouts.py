"""Question files: documents with questions, single passages, and the example story's questions.

Files come from the user; nothing is fetched. Needs no model.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mplus_cli.documents import Document, Page, Source, read_document
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.values import Question

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """A document and what is asked about it."""

    id: str
    title: str
    text: str | None
    questions: tuple[Question, ...]
    path: Path | None = None
    """The file to read, where there is no text."""

    def load(self) -> Document:
        """The document; DocumentError if its file cannot be read."""
        if self.path is not None:
            return read_document(Source(self.path, self.path.name))
        page = Page(None, self.text or "")
        return Document(self.id, self.title, self.id, "text", (page,), None, ())


def read_data(path: Path, form: str = "auto") -> list[Sample]:
    """The documents of a file, in the order of its records.

    Args:
        form: the layout, of `FORMS`, or `auto`.

    Raises:
        UsageError: the file is missing, or in none of these layouts.
    """
    lines = list(read_objects(path))
    if not lines:
        raise UsageError(f"{path} is empty: give a file with questions")
    if form == "auto":
        marks = {"qas": "passages", "questions": "documents"}
        form = next((marks[field] for field in marks if field in lines[0]), "")
    if form not in FORMS:
        raise UsageError(f"{path}: its layout is not known: choose --format {', '.join(FORMS)}")
    samples: list[Sample] = []
    for number, line in enumerate(lines):
        try:
            samples.append(FORMS[form](line, path, number))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UsageError(
                f"{path}: record {number + 1} is not of the layout {form} ({error}): correct it"
            ) from error
    return samples


def read_objects(path: Path) -> Iterator[Line]:
    """The objects of a JSON file, or of JSON lines; UsageError if it is neither."""
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


def choose(
    samples: Sequence[Sample],
    *,
    questions: int | None = None,
    each: int | None = None,
    seed: int | None = None,
) -> list[Sample]:
    """The first documents, with `questions` questions in all and at most `each` about one of them.

    Args:
        seed: draws documents and questions instead of taking the first.
    """
    mixed = list(samples)
    if seed is not None:
        draw = random.Random(seed)
        mixed = [
            replace(one, questions=tuple(draw.sample(one.questions, len(one.questions))))
            for one in draw.sample(mixed, len(mixed))
        ]
    left = sum(len(sample.questions) for sample in mixed) if questions is None else questions
    kept: list[Sample] = []
    for sample in mixed:
        asked = sample.questions[:each][:left]
        left -= len(asked)
        kept += [replace(sample, questions=asked)] if asked else []
    return kept


def _documents(line: Line, path: Path, number: int) -> Sample:
    """{"title", "text" or "path", "questions": [{"question", "answers", "passage"?, "pages"?}]}; the
    example story has its file under "document"."""
    id, title = f"{path.stem}/{number}", str(line.get("title") or f"{path.stem} {number + 1}")
    file = None if "text" in line else path.parent / (line.get("document") or line["path"])
    if "document" in line and file:
        id = title = file.stem
    questions = []
    for place, asked in enumerate(line["questions"], start=1):
        pages = asked.get("pages")
        questions.append(
            Question(
                f"{id}/{asked.get('id', place)}",
                "documents",
                asked["question"],
                _texts(asked["answers"]),
                asked.get("passage"),
                (int(pages[0]), int(pages[-1])) if pages else None,
            )
        )
    return Sample(id, title, line.get("text"), tuple(questions), file)


def _passages(line: Line, path: Path, number: int) -> Sample:
    """The training data's: {"id", "context", "qas": [{"question", "answers"}]}; each passage is a
    document of its own."""
    name, text = path.name.split(".")[0], str(line["context"]).strip()
    id = str(line.get("id", f"{name}-{number}"))
    asked = [qa for qa in line["qas"] if qa["answers"]]
    questions = [
        Question(f"{id}/{place}", name, str(qa["question"]).strip(), _texts(qa["answers"]), text)
        for place, qa in enumerate(asked, start=1)
    ]
    return Sample(id, id, text, tuple(questions))


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts, or a single one."""
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


FORMS: dict[str, Callable[[Line, Path, int], Sample]] = {
    "documents": _documents,
    "story": _documents,
    "passages": _passages,
}
