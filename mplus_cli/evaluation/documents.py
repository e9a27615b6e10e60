"""Documents with questions: our own JSON lines, the example story's layout, and public data sets'.

Each data set's questions carry its official metric. Files come from the user; nothing is fetched.
Knows no model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplus_cli.documents import Document, Page
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.values import Question

_LONGBENCH = {
    "narrativeqa": "f1",
    "qasper": "f1",
    "multifieldqa_en": "f1",
    "hotpotqa": "f1",
    "2wikimqa": "f1",
    "musique": "f1",
    "triviaqa": "first-line-f1",
    "passage_count": "count",
    "passage_retrieval_en": "retrieval",
}
_ASKED = {
    "passage_count": "How many different paragraphs are there, repeated ones counted once? {}",
    "passage_retrieval_en": "Which paragraph is this abstract from? {}",
}
"""How to ask where LongBench's input is not a question."""
_INFINITEBENCH = {
    "longbook_qa_eng": "f1",
    "passkey": "first-number",
    "number_string": "first-number",
}
_RULER_QA = re.compile(r"(^|[/_.-])(qa|squad|hotpotqa)([/_.-]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """A document and what is asked about it."""

    id: str
    title: str
    text: str | None
    path: Path | None
    """The file to read, where there is no text."""
    questions: tuple[Question, ...]

    def load(self) -> Document:
        """The document; DocumentError if its file cannot be read."""
        from mplus_cli.documents import Source, read_document

        if self.path is not None:
            return read_document(Source(self.path, self.path.name))
        page = Page(None, self.text or "")
        return Document(self.id, self.title, self.id, "text", (page,), None, ())


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
    form = _recognise(lines[0]) if form == "auto" else form
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


def _recognise(line: dict[str, Any]) -> str:
    """The layout of a record, by its fields."""
    if "document" in line and "questions" in line:
        return "story"
    if "questions" in line:
        return "documents"
    if "all_classes" in line and "dataset" in line:
        return "longbench"
    if "context" in line and "input" in line and "answer" in line:
        return "infinitebench"
    if isinstance(line.get("document"), dict) and "question" in line:
        return "narrativeqa"
    if "outputs" in line or ("context" in line and "question" in line):
        return "needles"
    return ""


def _documents(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """{"title", "text" or "path", "questions": [{"question", "answers", "pages"?}]}."""
    title = str(line.get("title") or f"{path.stem} {number + 1}")
    file = None if "text" in line else path.parent / line["path"]
    asked = _own_questions(line, f"{path.stem}/{number}")
    return [Reading(f"{path.stem}/{number}", title, line.get("text"), file, asked)]


def _story(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """The example story's: {"document": FILE, "questions": [...]}."""
    file = path.parent / line["document"]
    asked = _own_questions(line, file.stem)
    return [Reading(file.stem, file.stem, None, file, asked)]


def _own_questions(line: dict[str, Any], id: str) -> tuple[Question, ...]:
    questions = []
    for number, asked in enumerate(line["questions"], start=1):
        pages = asked.get("pages")
        questions.append(
            Question(
                f"{id}/{asked.get('id', number)}",
                "documents",
                asked["question"],
                tuple(map(str, asked["answers"])),
                passage=asked.get("passage"),
                pages=(int(pages[0]), int(pages[-1])) if pages else None,
            )
        )
    return tuple(questions)


def _longbench(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """LongBench: {"input", "context", "answers", "dataset", "_id", ...}."""
    name = str(line["dataset"]).removesuffix("_e")
    if name not in _LONGBENCH:
        raise UsageError(f"{path}: {name} has no short answers: give {', '.join(_LONGBENCH)}")
    text = _ASKED.get(name, "{}").format(line["input"])
    answers = tuple(map(str, line["answers"]))
    asked = Question(str(line.get("_id", number)), name, text, answers, _LONGBENCH[name])
    return [Reading(asked.id, name, line["context"], None, (asked,))]


def _infinitebench(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """InfiniteBench: {"id", "context", "input", "answer"}; the task is the file's name."""
    if path.name.split(".")[0] not in _INFINITEBENCH:
        raise UsageError(f"{path}: its name tells the task: {', '.join(_INFINITEBENCH)} are read")
    name = path.name.split(".")[0]
    answer = line["answer"]
    answers = tuple(map(str, answer if isinstance(answer, list) else [answer]))
    id = f"{name}/{line.get('id', number)}"
    asked = Question(id, name, line["input"], answers, _INFINITEBENCH[name])
    return [Reading(id, name, line["context"], None, (asked,))]


def _narrativeqa(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """NarrativeQA: {"document": {"id", "text", ...}, "question": {"text"}, "answers": [{"text"}]}."""
    document, question = line["document"], line["question"]
    text = question["text"] if isinstance(question, dict) else question
    answers = tuple(str(a["text"] if isinstance(a, dict) else a) for a in line["answers"])
    asked = Question(f"{document['id']}/{number}", "narrativeqa", text, answers, "rouge-l")
    return [Reading(str(document["id"]), str(document["id"]), document["text"], None, (asked,))]


def _needles(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """RULER: {"input", "outputs"}, the question being the last line; or {"context", "question",
    "answers"}. RULER's question answering counts any gold, its other tasks every one."""
    if "outputs" in line:
        context, _, text = str(line["input"]).rstrip().rpartition("\n")
        answers = tuple(map(str, line["outputs"]))
        text = f"{text} {line.get('answer_prefix', '')}".strip()
    else:
        context, text = str(line["context"]), str(line["question"])
        given = line.get("answers", line.get("answer"))
        answers = tuple(map(str, given if isinstance(given, list) else [given]))
    place = f"{path.parent.name}/{path.stem}"
    metric = "match-any" if _RULER_QA.search(place) else "match-all"
    id = f"{place}/{line.get('index', number)}"
    asked = Question(id, path.parent.name or path.stem, text, answers, metric)
    return [Reading(id, id, context, None, (asked,))]


FORMS: dict[str, Callable[[dict[str, Any], Path, int], list[Reading]]] = {
    "documents": _documents,
    "story": _story,
    "longbench": _longbench,
    "infinitebench": _infinitebench,
    "narrativeqa": _narrativeqa,
    "needles": _needles,
}


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
