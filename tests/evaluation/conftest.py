"""A bench over the tiny checkpoint, and small data for it: passages that fit its 32-token chunks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal, RunCard
from mplus_cli.evaluation.layouts import FORMS, Sample
from mplus_cli.evaluation.retention import Plan, RetentionOptions, make_plan

CHUNK = 32
BOOK = (
    "It rained on the sea and the keeper of the light went up to see what the storm had done. " * 30
)
MACHINE = {
    "cpu": "a cpu",
    "cores": 2,
    "threads": 1,
    "device": "cpu",
    "system": "a system",
    "python": "3",
    "torch": "2",
    "transformers": "5",
    "mplus": "0",
    "date": "2026-01-01",
}


def lines(groups: int = 6, of_each: int = 3) -> list[dict[str, Any]]:
    """Passages of about 20 tokens with a question each."""
    return [
        {
            "id": f"g{group}/{number}",
            "context": f"Cat {group}{number} is of Ann.",
            "qas": [{"question": f"Whose is cat {group}{number}?", "answers": ["Ann", "of Ann"]}],
        }
        for group in range(groups)
        for number in range(of_each)
    ]


@pytest.fixture(scope="session", autouse=True)
def short_answers() -> Iterator[None]:
    """Answers of at most six tokens: what they say does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mplus_cli.evaluation.trial.LIMIT", 6)
        yield


@pytest.fixture(scope="session")
def bench(
    tiny_checkpoint_folder: Path, tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """The tiny checkpoint, opened as a command opens it."""
    from mplus_cli.runtime.session import open_session
    from mplus_cli.settings import Flags, resolve

    home = tmp_path_factory.mktemp("home")
    flags = Flags(str(tiny_checkpoint_folder), "cpu", "float32", home, True)
    session = open_session(resolve(flags, {}), note=print, progress=lambda *_: None)
    return Bench(session)


def sources(records: list[dict[str, Any]]) -> list[Sample]:
    """Passages as they are read of a file."""
    return [FORMS["passages"](line, Path("p.jsonl"), at) for at, line in enumerate(records)]


@pytest.fixture(scope="session")
def plan_of(bench: Bench) -> Callable[..., Plan]:
    """Makes plans from a size of chunks, passages, books and options."""

    def make(size: int, records: list[dict[str, Any]], books: list[str], **options: Any) -> Plan:
        given = RetentionOptions(**options)
        return make_plan(given, sources(records), books, size, bench.encode, bench.decode)

    return make


@pytest.fixture
def tiny_plan(plan_of: Callable[..., Plan]) -> Callable[..., Plan]:
    """Four targets, asked at once and 80 tokens (three chunks) later, two after 128; two never read."""

    def make(size: int = CHUNK, **changes: Any) -> Plan:
        values: dict[str, Any] = {
            "tokens": "0,80,128:2",
            "fact_tokens": "0",
            "questions": 4,
            "unread": 2,
        }
        return plan_of(size, lines(), [BOOK], **(values | changes))

    return make


@pytest.fixture
def plan(tiny_plan: Callable[..., Plan]) -> Plan:
    """The plan of `tiny_plan` as it is."""
    return tiny_plan()


@pytest.fixture
def new_journal(tmp_path: Path) -> Callable[..., Journal]:
    """A journal in a folder of the test, opened again at every call."""

    def open_journal(name: str = "run", experiment: str = "retention") -> Journal:
        card = RunCard(experiment, {"new tokens": 32}, f"mplus eval {experiment}", dict(MACHINE))
        return Journal(tmp_path / name, card)

    return open_journal


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """The passages as a file."""
    path = tmp_path / "passages.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines()), encoding="utf-8")
    return path
