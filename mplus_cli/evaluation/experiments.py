"""From what `mplus eval` was asked for to a run: opens the model, reads the data, makes the plan.

Prints nothing: yields the run's events.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplus_cli.errors import UsageError
from mplus_cli.evaluation import perplexity as losses
from mplus_cli.evaluation import plan as plans
from mplus_cli.evaluation import qa as questions
from mplus_cli.evaluation import retention as retentions
from mplus_cli.evaluation import story as stories
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.asking import LIMIT
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.documents import choose, read_data
from mplus_cli.evaluation.journal import Journal, RunCard
from mplus_cli.evaluation.machine import describe
from mplus_cli.evaluation.texts import INSTRUCTION
from mplus_cli.evaluation.values import Event
from mplus_cli.runtime import embedded_base
from mplus_cli.settings import Settings


@dataclass(frozen=True, slots=True)
class Common:
    """What every experiment is asked for."""

    out: Path
    arms: tuple[Arm, ...]
    base: Path | None
    note: Callable[[str], None]
    progress: embedded_base.Progress


@dataclass(frozen=True, slots=True)
class RetentionOrder:
    """What `mplus eval retention` was asked for."""

    data: tuple[Path, ...]
    books: tuple[Path, ...]
    tokens: str
    fact_tokens: str | None
    """As `tokens`, of made-up facts; None: the same."""
    questions: int
    facts: int
    unread: int
    seed: int


@dataclass(frozen=True, slots=True)
class QaOrder:
    """What `mplus eval qa` was asked for."""

    data: tuple[Path, ...]
    form: str
    questions: int | None
    """In all, at most; None: all."""
    each: int | None = None
    """Of one document, at most; None: all."""
    seed: int | None = None
    """Draws documents and questions; None: the first."""


@dataclass(frozen=True, slots=True)
class LossOrder:
    """What `mplus eval perplexity` was asked for."""

    data: tuple[Path, ...]
    tokens: int | None


@dataclass(frozen=True, slots=True)
class StoryOrder:
    """What `mplus eval story` was asked for."""

    questions: int | None
    cold: bool


def retention(settings: Settings, order: RetentionOrder, common: Common) -> Iterator[Event]:
    """Run or go on with a retention experiment.

    Raises:
        UsageError: the options, the data or the model do not fit.
    """
    distances = plans.parse_distances(order.tokens)
    of_facts = distances
    if order.fact_tokens is not None:
        of_facts = plans.parse_distances(order.fact_tokens, "--fact-tokens")
    common.progress("reading the data", 0, None)
    sources = plans.read_sources(_lines(order.data))
    books = _books(order.books)
    if not sources and not books:
        books = [_story_text()]
    bench = _open(settings, common)
    facts = order.facts if order.data or order.facts else order.questions
    plan = plans.make_plan(
        plans.Order(
            distances,
            of_facts,
            order.questions,
            facts,
            order.unread,
            bench.chunk_tokens,
            order.seed,
        ),
        sources,
        books,
        bench.encode,
    )
    options = {
        "--data": order.data,
        "--books": order.books,
        "--tokens": order.tokens,
        "--questions": order.questions,
        "--facts": facts,
        "--fact-tokens": order.fact_tokens,
        "--unread": order.unread,
        "--seed": order.seed,
    }
    journal = _journal(bench, "retention", options, common)
    yield from retentions.run(bench, plan, common.arms, journal)


def qa(settings: Settings, order: QaOrder, common: Common) -> Iterator[Event]:
    """Run or go on with questions about documents; raises as `retention` does."""
    from mplus_cli.example_story import story_file

    files = order.data or (story_file().parent / "questions.json",)
    readings = [reading for path in files for reading in read_data(path, order.form)]
    readings = choose(readings, questions=order.questions, each=order.each, seed=order.seed)
    bench = _open(settings, common)
    options = {
        "--data": files,
        "--format": order.form,
        "--questions": order.questions,
        "--each": order.each,
        "--seed": order.seed,
    }
    journal = _journal(bench, "qa", options, common)
    yield from questions.run(bench, readings, common.arms, journal)


def story(settings: Settings, order: StoryOrder, common: Common) -> Iterator[Event]:
    """Run or go on with the example story through the commands; raises as `retention` does."""
    from mplus_cli.example_story import story_file
    from mplus_cli.library import Library

    source = story_file()
    (reading,) = read_data(source.parent / "questions.json", "story")
    (reading,) = choose([reading], questions=order.questions, each=None, seed=None)
    bench = _open(settings, common)
    options = {"--questions": order.questions, "--cold": order.cold}
    journal = _journal(bench, "story", options, common)
    reader: stories.Reader
    if order.cold:
        library = bench.session.library
        reader = stories.Cold(settings, str(source))
    else:
        library = Library(journal.work)
        reader = stories.Warm(bench.session, library, str(source))
    yield from stories.run(reading, common.arms, journal, library, reader)


def perplexity(settings: Settings, order: LossOrder, common: Common) -> Iterator[Event]:
    """Run or go on with next-token loss; raises as `retention` does."""
    from mplus_cli.example_story import story_file

    files = order.data or (story_file(),)
    texts = [(path.stem, _text(path)) for path in files]
    bench = _open(settings, common)
    books = [
        losses.make_book(title, bench.encode(text), bench.chunk_tokens, order.tokens)
        for title, text in texts
    ]
    if any(len(book.chunks) < 2 for book in books):
        raise UsageError("a text of --data is shorter than two chunks: give a longer one")
    options = {"--data": files, "--tokens": order.tokens}
    journal = _journal(bench, "perplexity", options, common)
    yield from losses.run(bench, books, common.arms, journal)


def _open(settings: Settings, common: Common) -> Bench:
    from mplus_cli.runtime.session import open_session

    session = open_session(settings, note=common.note, progress=common.progress)
    bench = Bench(session, common.base)
    bench.check(common.arms)
    return bench


def _journal(bench: Bench, experiment: str, options: dict[str, Any], common: Common) -> Journal:
    """The out folder, for a run of these options."""
    session = bench.session
    files = [path for value in options.values() if isinstance(value, tuple) for path in value]
    settings = {
        "model": session.loaded.name,
        "fingerprint": session.loaded.fingerprint,
        "dtype": str(session.model.dtype).removeprefix("torch."),
        **{name.removeprefix("--"): _shown(value) for name, value in options.items()},
        "sha256": {path.name: _sha256(path) for path in files},
        "new tokens": LIMIT,
        "instruction": INSTRUCTION,
        "config": session.model.config.to_dict(),
    }
    command = ["mplus", "--model", session.loaded.name, "eval", experiment]
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else [value]:
            if isinstance(one, bool):
                command += [name] if one else []
            elif one is not None:
                command += [name, str(_shown(one))]
    card = RunCard(experiment, settings, shlex.join(command), describe(session.model.device))
    return Journal(common.out, card)


def _shown(value: Any) -> Any:
    """An option's value without the folders of this machine."""
    if isinstance(value, tuple):
        return [_shown(one) for one in value]
    return value.name if isinstance(value, Path) else value


def _lines(paths: Sequence[Path]) -> list[dict[str, Any]]:
    from models.training.data import DataError, read_lines

    try:
        return list(read_lines(paths))
    except DataError as error:
        raise UsageError(f"{error}: correct --data or --books") from error


def _books(paths: Sequence[Path]) -> list[str]:
    """Texts of books: JSON lines with `text`, or any document that can be read."""
    texts: list[str] = []
    for path in paths:
        if _is_lines(path):
            texts += [str(line.get("text", "")) for line in _lines([path])]
        else:
            texts.append(_text(path))
    return [text for text in texts if text.strip()]


def _text(path: Path) -> str:
    """The text of one document, or of the books of a file of JSON lines together."""
    from mplus_cli.documents import Source, read_document

    if _is_lines(path):
        return "\n\n".join(_books([path]))
    return read_document(Source(path, path.name)).text


def _is_lines(path: Path) -> bool:
    return ".jsonl" in path.suffixes


def _story_text() -> str:
    from mplus_cli.example_story import story_file

    return _text(story_file())


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: check the path") from error
