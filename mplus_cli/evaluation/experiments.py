"""From the options of `mplus eval` to a run: reads the data, opens the model, makes the plan.

All of them yield the run's events, raise UsageError where options, data or model do not fit, and
continue a run that was interrupted.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mplus_cli.errors import UsageError
from mplus_cli.evaluation import perplexity, qa, retention, story
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal, RunCard
from mplus_cli.evaluation.layouts import choose, read_data, read_objects
from mplus_cli.evaluation.retention import RetentionOptions, make_plan
from mplus_cli.evaluation.trial import INSTRUCTION, LIMIT
from mplus_cli.evaluation.values import Event
from mplus_cli.library.files import digest
from mplus_cli.runtime import embedded_base
from mplus_cli.settings import Settings


@dataclass(frozen=True, slots=True)
class Common:
    """What every experiment is given."""

    settings: Settings
    out: Path
    arms: tuple[Arm, ...]
    base: Path | None
    note: Callable[[str], None]
    progress: embedded_base.Progress

    def open(self) -> Bench:
        """The bench; UsageError if it lacks what the arms need."""
        from mplus_cli.runtime.session import open_session

        session = open_session(self.settings, note=self.note, progress=self.progress)
        bench = Bench(session, self.base)
        bench.check(self.arms)
        return bench

    def journal(self, bench: Bench, experiment: str, given: Mapping[str, Any]) -> Journal:
        """The out folder, for a run of the options given; UsageError if it holds another."""
        from mplus_cli.runtime.machine import describe_machine

        session = bench.session
        files = [path for value in given.values() if isinstance(value, tuple) for path in value]
        settings = {
            "model": session.loaded.name,
            "fingerprint": session.loaded.fingerprint,
            "dtype": str(session.model.dtype).removeprefix("torch."),
            **{name: _shown(value) for name, value in given.items()},
            "sha256": {path.name: digest(path) for path in files},
            "new tokens": LIMIT,
            "instruction": INSTRUCTION,
            "config": session.model.config.to_dict(),
        }
        command = ["mplus", "--model", session.loaded.name, "eval", experiment]
        for name, value in given.items():
            for one in value if isinstance(value, tuple) else [value]:
                command += [f"--{name}", str(_shown(one))] if one is not None else []
        machine = describe_machine(session.model.device)
        return Journal(self.out, RunCard(experiment, settings, shlex.join(command), machine))


def run_retention(common: Common, options: RetentionOptions) -> Iterator[Event]:
    """Knowledge retention; without data, of made-up facts in the example story's text."""
    for kind in ("passages", "facts"):
        options.distances(kind)  # a mistake in them is reported before a model is loaded
    common.progress("reading the data", 0, None)
    sources = [one for path in options.data for one in read_data(path, "passages")]
    books = [text for path in options.books for text in _texts(path)]
    if not sources and not books:
        books = _texts(_story_file())
    bench = common.open()
    facts = options.facts if options.data or options.facts else options.questions
    options = replace(options, facts=facts)
    plan = make_plan(options, sources, books, bench.chunk_tokens, bench.encode, bench.decode)
    given = {name.replace("_", "-"): value for name, value in asdict(options).items()}
    yield from retention.run(bench, plan, common.arms, common.journal(bench, "retention", given))


def run_qa(
    common: Common,
    data: tuple[Path, ...] = (),
    form: str = "auto",
    questions: int | None = None,
    each: int | None = None,
    seed: int | None = None,
) -> Iterator[Event]:
    """Args: as those of `layouts.read_data` and `layouts.choose`; without data, the example story's."""
    data = data or (_story_file().parent / "questions.json",)
    drawn = {"questions": questions, "each": each, "seed": seed}
    samples = choose([one for path in data for one in read_data(path, form)], **drawn)
    bench = common.open()
    journal = common.journal(bench, "qa", {"data": data, "format": form, **drawn})
    yield from qa.run(bench, samples, common.arms, journal)


def run_story(common: Common, questions: int | None) -> Iterator[Event]:
    """The example story's first so many questions; None: all."""
    source = _story_file()
    samples = read_data(source.parent / "questions.json", "story")
    (sample,) = choose(samples, questions=questions)
    bench = common.open()
    journal = common.journal(bench, "story", {"questions": questions})
    yield from story.run(bench.session, sample, str(source), common.arms, journal)


def run_perplexity(
    common: Common, data: tuple[Path, ...] = (), tokens: int | None = None
) -> Iterator[Event]:
    """Args: `tokens`, of each text; None: all."""
    data = data or (_story_file(),)
    texts = [(path.stem, "\n\n".join(_texts(path))) for path in data]
    bench = common.open()
    books = [
        perplexity.make_book(name, bench.encode(text), bench.chunk_tokens, tokens)
        for name, text in texts
    ]
    if any(len(chunks) < 2 for _, chunks in books):
        raise UsageError("a text of --data is shorter than two chunks: give a longer one")
    journal = common.journal(bench, "perplexity", {"data": data, "tokens": tokens})
    yield from perplexity.run(bench, books, common.arms, journal)


def _story_file() -> Path:
    from mplus_cli.example_story import story_file

    return story_file()


def _texts(path: Path) -> list[str]:
    """The text of a document, or those of the books in a file of JSON lines, without empty ones."""
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
