"""From what `mplus eval` was asked for to a run: opens the model, reads the data, makes the plan.

Prints nothing: yields the run's events.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mplus_cli.errors import UsageError
from mplus_cli.evaluation import perplexity as losses
from mplus_cli.evaluation import qa as documents
from mplus_cli.evaluation import retention as retentions
from mplus_cli.evaluation import story as stories
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.asking import LIMIT
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal, RunCard, describe_machine
from mplus_cli.evaluation.layouts import choose, read_data, read_objects, share_texts
from mplus_cli.evaluation.plan import Order as RetentionOrder
from mplus_cli.evaluation.plan import make_plan
from mplus_cli.evaluation.text_prompts import INSTRUCTION
from mplus_cli.evaluation.values import Event
from mplus_cli.runtime import embedded_base
from mplus_cli.settings import Settings


@dataclass(frozen=True, slots=True)
class QaOrder:
    """What `mplus eval qa` was asked for; None: all questions, and the first."""

    data: tuple[Path, ...]
    format: str
    questions: int | None
    each: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class StoryOrder:
    """What `mplus eval story` was asked for."""

    questions: int | None
    cold: bool


@dataclass(frozen=True, slots=True)
class LossOrder:
    """What `mplus eval perplexity` was asked for."""

    data: tuple[Path, ...]
    tokens: int | None


Order = RetentionOrder | QaOrder | StoryOrder | LossOrder


@dataclass(frozen=True, slots=True)
class Common:
    """What every experiment is asked for."""

    out: Path
    arms: tuple[Arm, ...]
    base: Path | None
    note: Callable[[str], None]
    progress: embedded_base.Progress

    def open(self, settings: Settings) -> Bench:
        """The bench; UsageError if it lacks what the arms need."""
        from mplus_cli.runtime.session import open_session

        session = open_session(settings, note=self.note, progress=self.progress)
        bench = Bench(session, self.base)
        bench.check(self.arms)
        return bench

    def journal(self, bench: Bench, experiment: str, order: Order) -> Journal:
        """The out folder, for a run of this order; UsageError if it holds another."""
        session = bench.session
        options = {
            field.name.replace("_", "-"): getattr(order, field.name) for field in fields(order)
        }
        files = [path for value in options.values() if isinstance(value, tuple) for path in value]
        settings = {
            "model": session.loaded.name,
            "fingerprint": session.loaded.fingerprint,
            "dtype": str(session.model.dtype).removeprefix("torch."),
            **{name: _shown(value) for name, value in options.items()},
            "sha256": {path.name: _sha256(path) for path in files},
            "new tokens": LIMIT,
            "instruction": INSTRUCTION,
            "config": session.model.config.to_dict(),
        }
        command = ["mplus", "--model", session.loaded.name, "eval", experiment]
        for name, value in options.items():
            for one in value if isinstance(value, tuple) else [value]:
                if isinstance(one, bool):
                    command += [f"--{name}"] if one else []
                elif one is not None:
                    command += [f"--{name}", str(_shown(one))]
        machine = describe_machine(session.model.device)
        return Journal(self.out, RunCard(experiment, settings, shlex.join(command), machine))


def start(settings: Settings, order: Order, common: Common) -> Iterator[Event]:
    """Run an experiment, or continue it.

    Raises:
        UsageError: the options, the data or the model do not fit.
    """
    if isinstance(order, RetentionOrder):
        return _retention(settings, order, common)
    if isinstance(order, QaOrder):
        return _qa(settings, order, common)
    if isinstance(order, StoryOrder):
        return _story(settings, order, common)
    return _perplexity(settings, order, common)


def _retention(settings: Settings, order: RetentionOrder, common: Common) -> Iterator[Event]:
    for kind in ("passages", "facts"):
        order.distances(kind)  # a mistake in them is told before a model is loaded
    common.progress("reading the data", 0, None)
    sources = [one for path in order.data for one in read_data(path, "passages")]
    books = [text for path in order.books for text in _texts(path)]
    if not sources and not books:
        books = _texts(_story_file())
    bench = common.open(settings)
    facts = order.facts if order.data or order.facts else order.questions
    order = replace(order, facts=facts)
    plan = make_plan(order, sources, books, bench.chunk_tokens, bench.encode, bench.decode)
    journal = common.journal(bench, "retention", order)
    yield from retentions.run(bench, plan, common.arms, journal)


def _qa(settings: Settings, order: QaOrder, common: Common) -> Iterator[Event]:
    order = order if order.data else replace(order, data=(_story_file().parent / "questions.json",))
    readings = [one for path in order.data for one in share_texts(read_data(path, order.format))]
    readings = choose(readings, questions=order.questions, each=order.each, seed=order.seed)
    bench = common.open(settings)
    yield from documents.run(bench, readings, common.arms, common.journal(bench, "qa", order))


def _story(settings: Settings, order: StoryOrder, common: Common) -> Iterator[Event]:
    from mplus_cli.library import Library

    source = _story_file()
    readings = read_data(source.parent / "questions.json", "story")
    (reading,) = choose(readings, questions=order.questions, each=None, seed=None)
    bench = common.open(settings)
    journal, session = common.journal(bench, "story", order), bench.session
    reader: stories.Warm | stories.Cold = stories.Warm(session, Library(journal.work), str(source))
    if order.cold:
        reader = stories.Cold(settings, session.library, str(source))
    yield from stories.run(reading, common.arms, journal, reader)


def _perplexity(settings: Settings, order: LossOrder, common: Common) -> Iterator[Event]:
    order = order if order.data else replace(order, data=(_story_file(),))
    texts = [(path.stem, "\n\n".join(_texts(path))) for path in order.data]
    bench = common.open(settings)
    size = bench.chunk_tokens
    books = [losses.make_book(name, bench.encode(text), size, order.tokens) for name, text in texts]
    if any(len(chunks) < 2 for _, chunks in books):
        raise UsageError("a text of --data is shorter than two chunks: give a longer one")
    journal = common.journal(bench, "perplexity", order)
    yield from losses.run(bench, books, common.arms, journal)


def _story_file() -> Path:
    from mplus_cli.example_story import story_file

    return story_file()


def _texts(path: Path) -> list[str]:
    """The text of a document, or those of the books in a file of JSON lines, the empty ones left out."""
    from mplus_cli.documents import Source, read_document

    if ".jsonl" in path.suffixes:
        texts = [str(line.get("text", "")) for line in read_objects(path)]
    else:
        texts = [read_document(Source(path, path.name)).text]
    return [text for text in texts if text.strip()]


def _shown(value: Any) -> Any:
    """An option's value without the folders of this machine."""
    if isinstance(value, tuple):
        return [_shown(one) for one in value]
    return value.name if isinstance(value, Path) else value


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: check the path") from error
