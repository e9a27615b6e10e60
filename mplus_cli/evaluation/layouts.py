"""The layouts of question files: our own JSON lines, the example story's, and public data sets'.

Each turns a record into documents with questions, which carry the data set's official metric. Knows no
model and opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
    "longbook_choice_eng": "choice",
    "passkey": "first-number",
    "number_string": "first-number",
}
_CHOICES = "ABCD"
_CHOOSE = "Tell me the answer using one single letter (A, B, C, or D)."
_EVENT_TOKENS = 64
"""Of an answer to event QA: a whole sentence is to be said again."""
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


def recognise(line: dict[str, Any]) -> str:
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
    text = line["input"]
    if _INFINITEBENCH[name] == "choice":
        options = [str(option) for option in line["options"]]
        answers = (answers[0], _CHOICES[options.index(answers[0])])
        listed = [f"{letter}. {one}" for letter, one in zip(_CHOICES, options, strict=True)]
        text = "\n".join([f"{text} {_CHOOSE}", *listed])
    id = f"{name}/{line.get('id', number)}"
    asked = Question(id, name, text, answers, _INFINITEBENCH[name])
    return [Reading(id, name, line["context"], None, (asked,))]


def _eventqa(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """M+'s event QA over InfiniteBench's books, as MemoryAgentBench has it: {"context", "questions":
    [text with its options], "answers": [[text]]}. Right if the right event is said."""
    source = (line.get("metadata") or {}).get("source") or path.name.split(".")[0]
    id = f"{source}/{number}"
    pairs = zip(line["questions"], line["answers"], strict=True)
    asked = tuple(
        Question(
            f"{id}/{place}",
            str(source),
            text,
            tuple(map(str, answers if isinstance(answers, list) else [answers])),
            "match-any",
            new_tokens=_EVENT_TOKENS,
        )
        for place, (text, answers) in enumerate(pairs, start=1)
    )
    return [Reading(id, id, line["context"], None, asked)]


def _passages(line: dict[str, Any], path: Path, number: int) -> list[Reading]:
    """The training data's: {"id", "context", "qas": [{"question", "answers"}]}; each passage is a
    document of its own."""
    name = path.name.split(".")[0]
    id, text = str(line.get("id", number)), str(line["context"]).strip()
    asked = tuple(
        Question(
            f"{id}/{place}",
            name,
            qa["question"].strip(),
            tuple(map(str, qa["answers"])),
            "f1",
            passage=text,
        )
        for place, qa in enumerate(line["qas"], start=1)
        if qa["answers"]
    )
    return [Reading(id, id, text, None, asked)] if asked else []


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
    "eventqa": _eventqa,
    "passages": _passages,
    "needles": _needles,
}
