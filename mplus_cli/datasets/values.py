"""The parts of a converted set, in the form that `models.training.data` reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mplus_cli.errors import MplusError


class DataSetError(MplusError):
    """A file is missing or not in the expected layout; one line."""


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """One question of a set: its context, and the answers that count."""

    group: str
    """The article or story that the context is from."""
    context: str
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A text with the questions it answers."""

    source: str
    id: str
    context: str
    questions: tuple[tuple[str, tuple[str, ...]], ...]

    def record(self) -> dict[str, Any]:
        """The line of the file."""
        qas = [{"question": asked, "answers": list(answers)} for asked, answers in self.questions]
        return {"source": self.source, "id": self.id, "context": self.context, "qas": qas}


@dataclass(frozen=True, slots=True)
class Book:
    """A whole book."""

    title: str
    author: str
    text: str

    def record(self) -> dict[str, Any]:
        """The line of the file."""
        return {"title": self.title, "author": self.author, "text": self.text}


def passages_of(source: str, asked: Iterable[LabelledQuestion]) -> list[Passage]:
    """Questions grouped by context, contexts in order of appearance; questions without an answer are
    dropped."""
    gathered: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for one in asked:
        question, context = " ".join(one.question.split()), one.context.strip()
        answers = tuple(dict.fromkeys(answer.strip() for answer in one.answers if answer.strip()))
        if question and context and answers:
            questions = gathered.setdefault((one.group, context), {})
            questions[question] = tuple(dict.fromkeys((*questions.get(question, ()), *answers)))
    passages, numbers = [], dict[str, int]()
    for (group, context), questions in gathered.items():
        numbers[group] = numbers.get(group, 0) + 1
        name = f"{group}/{numbers[group]}"
        passages.append(Passage(source, name, context, tuple(questions.items())))
    return passages
