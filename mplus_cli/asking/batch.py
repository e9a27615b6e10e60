"""Many questions from one load of the model: lines of JSON in, lines of JSON out, in the same order.

Reads lines, and answers through a function that it is given; needs no model, and prints nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from mplus_cli.asking.events import Answer
from mplus_cli.asking.question import Question, check
from mplus_cli.errors import ExitCode, UsageError, disk_errors

Id = str | int
_LONGEST_LINE = 1 << 20
_SHAPE = 'it is not a JSON object such as {"question": "Who?"}'


@dataclass(frozen=True, slots=True)
class BatchQuestion:
    """A question of a file, with the id that its answer bears."""

    id: Id
    question: Question


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that is not asked; `error` says which one and why."""

    error: str


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """An answer, and the id of its question."""

    id: Id
    answer: Answer

    def to_json(self) -> dict[str, Any]:
        """A line of the output: the object of `mplus ask --json` behind the id."""
        return {"id": self.id, **self.answer.to_json()}


@dataclass(slots=True)
class Tally:
    """How many questions were answered and rejected so far."""

    answered: int = 0
    kept: int = 0
    """Answered by an earlier run."""
    rejected: int = 0

    @property
    def exit_code(self) -> ExitCode:
        """Whether all questions are answered, some, or none."""
        if not self.rejected:
            return ExitCode.DONE
        return ExitCode.PARTIAL if self.answered or self.kept else ExitCode.FAILED


@dataclass(frozen=True, slots=True)
class Output:
    """A file of answers: what an earlier run left in it, and where the next ones go."""

    path: Path
    done: Mapping[Id, tuple[str, str]] = field(default_factory=dict)
    """By id the question that was answered, and the memory it was asked of."""


def read_questions(
    lines: Iterable[bytes], name: str, like: Question
) -> Iterator[BatchQuestion | RejectedLine]:
    """The questions of a file, one a line: `{"question": ..., "id": ..., "document": ...}`. A line that is
    none, or whose id stands twice, comes as a `RejectedLine`.

    Args:
        name: of the file, for messages.
        like: a question with the options that all of them have.
    """
    seen: set[Id] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            wanted = _read(line, number, like)
            if wanted.id in seen:
                raise UsageError(f"the id {wanted.id} is used twice")
            seen.add(wanted.id)
        except UsageError as error:
            yield RejectedLine(f"{name}:{number}: {error}")
        else:
            yield wanted


def ask_each(
    questions: Iterable[BatchQuestion | RejectedLine],
    answer: Callable[[Question], Answer],
    output: Output | None,
    memory: str,
    tally: Tally,
) -> Iterator[AnsweredQuestion | RejectedLine]:
    """Answer questions in their order; those that the output holds already are left out.

    Raises:
        UsageError: an id was answered for another question, or by another memory.
    """
    for wanted in questions:
        if isinstance(wanted, RejectedLine):
            tally.rejected += 1
            yield wanted
            continue
        if output is not None and wanted.id in output.done:
            _check_same(output, wanted, memory)
            tally.kept += 1
            continue
        try:
            found = answer(wanted.question)
        except UsageError as error:  # too long, or of a document that is not there
            tally.rejected += 1
            yield RejectedLine(f"question {wanted.id}: {error}")
            continue
        tally.answered += 1
        yield AnsweredQuestion(wanted.id, found)


@contextmanager
def opened(name: str, stdin: BinaryIO) -> Iterator[Iterable[bytes]]:
    """The lines of a file of questions, or of standard input where its name is "-".

    Raises:
        UsageError: there is no such file.
    """
    if name == "-":
        yield stdin
        return
    with ExitStack() as closing:
        try:
            file = closing.enter_context(open(name, "rb"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{name} cannot be read: {reason}: check the path") from error
        yield file


def open_output(path: Path) -> Output:
    """What an earlier run left in a file of answers. An unfinished last line is removed.

    Raises:
        UsageError: another program wrote the file.
        MplusError: it cannot be read or written.
    """
    done: dict[Id, tuple[str, str]] = {}
    with disk_errors():
        if not path.exists():
            return Output(path)
        with path.open("r+b") as file:
            end = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                done.update([_entry(line, f"{path}:{number}")])
            file.truncate(end)
    return Output(path, done)


@contextmanager
def appended(output: Output) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that appends a line to a file of answers and syncs it."""
    with disk_errors(), output.path.open("ab") as file:
        yield lambda value: _append(file, value)


def _append(file: BinaryIO, value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _read(line: bytes, number: int, like: Question) -> BatchQuestion:
    """A line's question; UsageError if it has none."""
    if len(line) > _LONGEST_LINE:
        raise UsageError(f"the line has more than {_LONGEST_LINE} bytes")
    value = _object(line)
    text, given = value.get("question"), value.get("id", number)
    if not isinstance(text, str):
        raise UsageError('it has no "question" that is a text')
    if not isinstance(given, str | int) or isinstance(given, bool):
        raise UsageError('its "id" is neither a text nor a whole number')
    names = value.get("document", list(like.documents))
    names = [names] if isinstance(names, str) else names
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UsageError('its "document" is neither a text nor a list of texts')
    question = replace(like, text=text, documents=tuple(names))
    check(question)
    return BatchQuestion(given, question)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(_SHAPE) from error
    if not isinstance(value, dict):
        raise UsageError(_SHAPE)
    return value


def _entry(line: bytes, where: str) -> tuple[Id, tuple[str, str]]:
    try:
        value = _object(line)
        return value["id"], (str(value["question"]), str(value["memory"]))
    except (UsageError, KeyError, TypeError) as error:
        raise UsageError(
            f"{where} is not an answer that `mplus ask --questions` wrote: name another --output"
        ) from error


def _check_same(output: Output, wanted: BatchQuestion, memory: str) -> None:
    question, asked = output.done[wanted.id]
    if (question, asked) != (wanted.question.text.strip(), memory):
        what = "another question" if asked == memory else f'the memory "{asked}"'
        raise UsageError(
            f"{output.path} has an answer {'to' if asked == memory else 'of'} {what} under the id "
            f"{wanted.id}: name another --output"
        )
