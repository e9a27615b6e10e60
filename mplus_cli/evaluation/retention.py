"""The run of a retention plan: every arm asked at every place. Yields typed events; prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.plan import Plan
from mplus_cli.evaluation.reading import Runner, places_of
from mplus_cli.evaluation.values import Event, Noted, Working


def run(bench: Bench, plan: Plan, arms: Sequence[Arm], journal: Journal) -> Iterator[Event]:
    """Ask what is not in the journal yet.

    Raises:
        MplusError: the disk has no room for the memory.
    """
    if plan.missing:
        yield Noted(f"{plan.missing} passages fewer than asked for: the others do not fit a chunk")
    stretches = (*plan.alone, plan.stream)
    questions = [ask.question for stretch in stretches for ask in stretch.asks]
    runner = Runner(bench, journal, arms, places_of(questions))
    yield from runner.announce(stretches)
    for number, stretch in enumerate(plan.alone):
        yield Working("one chunk alone", number, len(plan.alone))
        yield from runner.run(stretch)
    yield from runner.run(plan.stream)
    journal.clear_work()  # also what a run left that was interrupted after its last question
