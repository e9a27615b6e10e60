"""Question files: our own JSON lines, the example story's, and public data sets' as they are published.

Each layout turns a record into documents with questions, which carry the data set's official metric.
Files come from the user; nothing is fetched. Knows no model.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mplus_cli.documents import Document, Page
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.values import Question

_LONGBENCH = {
    **dict.fromkeys(("narrativeqa", "qasper", "multifieldqa_en"), "f1"),
    **dict.fromkeys(("hotpotqa", "2wikimqa", "musique"), "f1"),
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
    "longbook_choice_eng": "choice",
    "passkey": "first-number",
    "number_string": "first-number",
}
_CHOOSE = "Tell me the answer using one single letter (A, B, C, or D)."
_EVENT_TOKENS = 64
"""Of an answer to event QA: a whole sentence is to be said again."""
_RULER_QA = re.compile(r"(^|[/_.-])(qa|squad|hotpotqa)([/_.-]|$)", re.IGNORECASE)

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """A document and what is asked about it."""

    id: str
    title: str
    text: str | None
    questions: tuple[Question, ...]
    path: Path | None = None
    """The file to read, where there is no text."""

    def load(self) -> Document:
        """The document; DocumentError if its file cannot be read."""
        from mplus_cli.documents import Source, read_document

        if self.path is not None:
            return read_document(Source(self.path, self.path.name))
        page = Page(None, self.text or "")
        return Document(self.id, self.title, self.id, "text", (page,), None, ())


def read_data(path: Path, form: str = "auto") -> list[Reading]:
    """The documents of a file, in the order of its records.

    Args:
        form: the layout, of `FORMS`, or `auto`.

    Raises:
        UsageError: it is missing, or of no layout that is known.
    """
    lines = list(read_objects(path))
    if not lines:
        raise UsageError(f"{path} is empty: give a file with questions")
    form = _recognise(lines[0]) if form == "auto" else form
    if form not in FORMS:
        raise UsageError(f"{path}: its layout is not known: choose --format {', '.join(FORMS)}")
    readings: list[Reading] = []
    for number, line in enumerate(lines):
        try:
            readings.append(FORMS[form](line, path, number))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UsageError(
                f"{path}: record {number + 1} is not of the layout {form} ({error}): correct it"
            ) from error
    return readings


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


def share_texts(readings: Sequence[Reading]) -> list[Reading]:
    """Readings with those of the same text as one, so that it is read once."""
    by_text: dict[tuple[str | None, Path | None], Reading] = {}
    for one in readings:
        first = by_text.setdefault((one.text, one.path), replace(one, questions=()))
        both = first.questions + one.questions
        by_text[one.text, one.path] = replace(first, questions=both)
    return list(by_text.values())


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


def _recognise(line: Line) -> str:
    """The layout of a record, by its fields."""
    if "document" in line and "questions" in line:
        return "story"
    if "questions" in line:
        return "eventqa" if "context" in line else "documents"
    if "qas" in line:
        return "passages"
    if "all_classes" in line and "dataset" in line:
        return "longbench"
    if "context" in line and "input" in line and "answer" in line:
        return "infinitebench"
    if isinstance(line.get("document"), dict) and "question" in line:
        return "narrativeqa"
    if "outputs" in line or ("context" in line and "question" in line):
        return "needles"
    return ""


def _documents(line: Line, path: Path, number: int) -> Reading:
    """{"title", "text" or "path", "questions": [{"question", "answers", "pages"?}]}."""
    id = f"{path.stem}/{number}"
    file = None if "text" in line else path.parent / line["path"]
    title = str(line.get("title") or f"{path.stem} {number + 1}")
    return Reading(id, title, line.get("text"), _own_questions(line, id), file)


def _story(line: Line, path: Path, number: int) -> Reading:
    """The example story's: {"document": FILE, "questions": [...]}."""
    file = path.parent / line["document"]
    return Reading(file.stem, file.stem, None, _own_questions(line, file.stem), file)


def _own_questions(line: Line, id: str) -> tuple[Question, ...]:
    questions = []
    for number, asked in enumerate(line["questions"], start=1):
        pages, answers = asked.get("pages"), _texts(asked["answers"])
        question = Question(
            f"{id}/{asked.get('id', number)}", "documents", asked["question"], answers
        )
        span = (int(pages[0]), int(pages[-1])) if pages else None
        questions.append(replace(question, passage=asked.get("passage"), pages=span))
    return tuple(questions)


def _passages(line: Line, path: Path, number: int) -> Reading:
    """The training data's: {"id", "context", "qas": [{"question", "answers"}]}; each passage is a
    document of its own."""
    name, text = path.name.split(".")[0], str(line["context"]).strip()
    id = str(line.get("id", f"{name}-{number}"))
    asked = [qa for qa in line["qas"] if qa["answers"]]
    questions = [
        Question(
            f"{id}/{place}", name, str(qa["question"]).strip(), _texts(qa["answers"]), "f1", text
        )
        for place, qa in enumerate(asked, start=1)
    ]
    return Reading(id, id, text, tuple(questions))


def _longbench(line: Line, path: Path, number: int) -> Reading:
    """LongBench: {"input", "context", "answers", "dataset", "_id", ...}."""
    name = str(line["dataset"]).removesuffix("_e")
    if name not in _LONGBENCH:
        raise UsageError(f"{path}: {name} has no short answers: give {', '.join(_LONGBENCH)}")
    text, id = _ASKED.get(name, "{}").format(line["input"]), str(line.get("_id", number))
    asked = Question(id, name, text, _texts(line["answers"]), _LONGBENCH[name])
    return Reading(id, name, line["context"], (asked,))


def _infinitebench(line: Line, path: Path, number: int) -> Reading:
    """InfiniteBench: {"id", "context", "input", "answer"}; the task is the file's name."""
    name = path.name.split(".")[0]
    if name not in _INFINITEBENCH:
        raise UsageError(f"{path}: its name tells the task: {', '.join(_INFINITEBENCH)} are read")
    answers, text = _texts(line["answer"]), line["input"]
    if _INFINITEBENCH[name] == "choice":
        options = _texts(line["options"])
        answers = (answers[0], "ABCD"[options.index(answers[0])])
        listed = [f"{letter}. {one}" for letter, one in zip("ABCD", options, strict=True)]
        text = "\n".join([f"{text} {_CHOOSE}", *listed])
    id = f"{name}/{line.get('id', number)}"
    asked = Question(id, name, text, answers, _INFINITEBENCH[name])
    return Reading(id, name, line["context"], (asked,))


def _eventqa(line: Line, path: Path, number: int) -> Reading:
    """M+'s event QA over InfiniteBench's books, as MemoryAgentBench has it: {"context", "questions":
    [text with its options], "answers": [[text]]}. Right if the right event is said."""
    source = str((line.get("metadata") or {}).get("source") or path.name.split(".")[0])
    id, pairs = f"{source}/{number}", zip(line["questions"], line["answers"], strict=True)
    asked = [
        Question(
            f"{id}/{place}", source, text, _texts(answers), "match-any", new_tokens=_EVENT_TOKENS
        )
        for place, (text, answers) in enumerate(pairs, start=1)
    ]
    return Reading(id, id, line["context"], tuple(asked))


def _narrativeqa(line: Line, path: Path, number: int) -> Reading:
    """NarrativeQA: {"document": {"id", "text", ...}, "question": {"text"}, "answers": [{"text"}]}."""
    document, question, id = line["document"], line["question"], str(line["document"]["id"])
    text = question["text"] if isinstance(question, dict) else question
    answers = _texts([one["text"] if isinstance(one, dict) else one for one in line["answers"]])
    asked = Question(f"{id}/{number}", "narrativeqa", text, answers, "rouge-l")
    return Reading(id, id, document["text"], (asked,))


def _needles(line: Line, path: Path, number: int) -> Reading:
    """RULER: {"input", "outputs"}, the question being the last line; or {"context", "question",
    "answers"}. RULER's question answering counts any gold, its other tasks every one."""
    if "outputs" in line:
        context, _, text = str(line["input"]).rstrip().rpartition("\n")
        text, answers = f"{text} {line.get('answer_prefix', '')}".strip(), _texts(line["outputs"])
    else:
        context, text = str(line["context"]), str(line["question"])
        answers = _texts(line.get("answers", line.get("answer")))
    place = f"{path.parent.name}/{path.stem}"
    metric = "match-any" if _RULER_QA.search(place) else "match-all"
    id = f"{place}/{line.get('index', number)}"
    asked = Question(id, path.parent.name or path.stem, text, answers, metric)
    return Reading(id, id, context, (asked,))


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts, or a single one."""
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


FORMS: dict[str, Callable[[Line, Path, int], Reading]] = {
    "documents": _documents,
    "story": _story,
    "longbench": _longbench,
    "infinitebench": _infinitebench,
    "narrativeqa": _narrativeqa,
    "eventqa": _eventqa,
    "passages": _passages,
    "needles": _needles,
}
