"""`mplus eval compare`: a second run of the same command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mplus_cli.commands.eval import app
from mplus_cli.errors import MplusError
from mplus_cli.evaluation.compare import compare
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.report import read_runs
from mplus_cli.evaluation.values import Loss, Probe, Question, Record, Reply, score


def record(number: int, answer: str, seconds: float) -> Record:
    question = Question(f"q{number}", "passages", "Who?", ("Ann",))
    said = Reply(answer, (0,), frozenset({0}), 9, seconds, seconds)
    return score("mplus", Probe(question, "0", 1, None, 0, 0), said)


@pytest.fixture
def runs(new_journal: Callable[..., Journal]) -> Callable[..., Path]:
    """A run of three answers that took so long each, and a loss; gives its folder."""

    def make(name: str, seconds: float, *, last: str = "Bo", nats: float = 1.5) -> Path:
        journal = new_journal(name)
        for number, answer in enumerate(("Ann", "Bo", last)):
            journal.add(record(number, answer, seconds))
        journal.add(Loss("window", "book", 1, 31, nats))
        return journal.folder

    return make


def test_times_do_not_count(runs: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    app(["compare", str(runs("one", 0.1)), str(runs("two", 9.0))], standalone_mode=False)
    assert capsys.readouterr().out == "one: 4 of 4 answers are the same\n"


def test_what_differs_is_named(
    runs: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = runs("one", 0.1), runs("two", 0.1, last="Ann", nats=1.25)
    with pytest.raises(MplusError, match="2 answers differ"):
        app(["compare", str(first), str(second)], standalone_mode=False)
    answer, loss, count = capsys.readouterr().out.splitlines()
    assert answer.startswith("one: q2, mplus, 0: answer 'Bo', then 'Ann'; hit 0.0, then 1.0")
    assert loss == "one: book, window, 1: nats 1.5, then 1.25"
    assert count == "one: 2 of 4 answers are the same"


def test_other_settings_and_answers_of_one_alone(
    runs: Callable[..., Path], new_journal: Callable[..., Journal]
) -> None:
    (first,) = read_runs(runs("one", 0.1))
    new_journal("one").add(record(7, "Ann", 0.1))
    (more,) = read_runs(new_journal("one").folder)
    other = replace(first, card=replace(first.card, settings={"new tokens": 8, "seed": 1}))
    (found,) = compare([more], [other])
    assert (found.same, found.changed, found.only_first, found.only_second) == (4, (), 1, 0)
    assert found.settings == ("new tokens 32, then 8", "seed None, then 1")


def test_folders_of_runs_go_by_name(runs: Callable[..., Path]) -> None:
    first = read_runs(runs("one", 0.1)) + read_runs(runs("two", 0.1))
    assert [one.name for one in compare(first, first[::-1])] == ["one", "two"]
    with pytest.raises(MplusError, match="no run one"):
        compare(first, first[1:])


def test_nothing_in_common(runs: Callable[..., Path], new_journal: Callable[..., Journal]) -> None:
    journal = new_journal("other")
    journal.add(record(8, "Ann", 0.1))
    with pytest.raises(MplusError, match="no answer in common"):
        compare(read_runs(runs("one", 0.1)), read_runs(journal.folder))
