from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mplus_cli.errors import MplusError, UsageError
from mplus_cli.evaluation import retention
from mplus_cli.evaluation.arms import ARMS, QUICK, parse_arms
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.figures import figures_of, markdown, tables_of
from mplus_cli.evaluation.journal import WORK, Journal, RunCard, kept_bytes, read_parts
from mplus_cli.evaluation.network import long_term_bytes
from mplus_cli.evaluation.reading import read
from mplus_cli.evaluation.report import read_runs
from mplus_cli.evaluation.retention import Plan
from mplus_cli.evaluation.trial import Trial
from mplus_cli.evaluation.values import ANY, UNREAD, Cost, Notice, Record
from mplus_cli.wording import size

CHUNK = 32
FEW = QUICK


def run(bench: Bench, plan: Plan, arms: str, journal: Journal) -> list[Record]:
    events = retention.run(bench, plan, parse_arms(arms), journal)
    return [event for event in events if isinstance(event, Record)]


def figures(folder: Path) -> list[str]:
    (done,) = read_runs(folder)
    return [markdown(table.columns, table.rows()) for table in tables_of(figures_of(done))]


def untimed(records: list[Record]) -> list[Record]:
    return [replace(record, first_seconds=0.0, seconds=0.0) for record in records]


@pytest.fixture(scope="module")
def everything(
    bench: Bench, plan_of: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """All arms' answers to a small plan, in a folder."""
    lines = [
        {
            "id": f"g{number}/0",
            "context": f"Cat {number} is of Ann.",
            "qas": [{"question": f"Whose is cat {number}?", "answers": ["Ann"]}],
        }
        for number in range(8)
    ]
    order: dict[str, Any] = {"tokens": "0,80", "questions": 3, "unread": 1}
    plan = plan_of(CHUNK, lines, ["A sea of rain. " * 90], **order)
    folder = tmp_path_factory.mktemp("all")
    journal = Journal(folder, RunCard("retention", {}, "", {}))
    return plan, run(bench, plan, "all", journal), folder


def test_every_arm_answers_everything_it_can(everything: Any) -> None:
    plan, records, _ = everything
    assert {record.arm for record in records} == set(ARMS)
    places = {(one.question.id, one.setting) for one in plan.stream.probes if one.setting != ANY}
    once = {(one.question.id, ANY) for one in plan.stream.probes if one.setting == ANY}
    assert len(once) == 3
    never = {place for place in places if place[1] == UNREAD}
    wanted = dict.fromkeys(ARMS, places) | {"closed-book": once | never}
    wanted |= dict.fromkeys(("gold", "gold-reader", "gold-memory"), once)
    for name in ARMS:
        asked = [(record.id, record.setting) for record in records if record.arm == name]
        assert len(asked) == len(set(asked))
        assert set(asked) == wanted[name], name


def test_the_oracle_finds_and_short_term_memory_forgets(everything: Any) -> None:
    _, records, _ = everything
    late = [record for record in records if record.setting == "80"]
    assert all(record.after == 96 for record in late)
    found = {
        name: [record.found for record in late if record.arm == name]
        for name in ("oracle-recall", "stm-only", "window", "bm25")
    }
    # 96 tokens after a chunk of 32 are 48 memory tokens of 48: all of its own are dropped.
    assert found["oracle-recall"] == [True] * 3
    assert found["window"] == [None] * 3
    assert None not in found["bm25"]
    at_once = [r for r in records if r.setting == "0" and r.arm == "stm-only"]
    assert [record.found for record in at_once] == [True] * 3


def test_arms_answer_differently(everything: Any) -> None:
    _, records, _ = everything
    answers = {
        name: tuple(r.answer for r in records if r.arm == name and r.setting == "80")
        for name in ("mplus", "stm-only", "identity", "swapped-adapters", "reread2", "window")
    }
    assert len(set(answers.values())) == len(answers)
    prompts = {r.arm: r.prompt_tokens for r in records if r.setting == "80"}
    assert prompts["mplus"] < prompts["reread1"] < prompts["reread2"]


def test_what_bm25_finds_again_is_read_once(
    bench: Bench,
    tiny_plan: Callable[..., Plan],
    new_journal: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import models.generate

    spoken: list[tuple[int, ...]] = []
    stream = models.generate.stream

    def counted(network: Any, memory: Any, found: Any, prompt: Any, **options: Any) -> Any:
        spoken.append(tuple(prompt))
        return stream(network, memory, found, prompt, **options)

    monkeypatch.setattr(models.generate, "stream", counted)
    plan = tiny_plan(tokens="0,80", unread=0)
    records = run(bench, plan, "bm25-1", new_journal())
    chosen = {(record.id, record.rank, record.answer) for record in records}
    assert len(records) == 8
    assert len(chosen) <= len(spoken) == len(set(spoken)) < 8


def test_an_arm_may_be_asked_less(
    bench: Bench, plan: Plan, new_journal: Callable[..., Journal]
) -> None:
    run(bench, plan, "mplus:1,gold:2,closed-book:3", new_journal())
    added = run(bench, plan, "mplus:1,gold:3,closed-book:3", new_journal())
    assert [(record.arm, record.setting) for record in added] == [("gold", ANY)]
    records = read_parts(new_journal().folder, Record)
    asked = {
        name: len({r.id for r in records if r.arm == name and r.setting != UNREAD})
        for name in ("mplus", "gold", "closed-book")
    }
    assert asked == {"mplus": 1, "gold": 3, "closed-book": 3}
    assert {r.id for r in records if r.arm == "mplus" and r.setting != UNREAD} < {
        r.id for r in records if r.arm == "gold"
    }
    never = [r.arm for r in records if r.setting == UNREAD]
    assert (never.count("mplus"), never.count("closed-book")) == (1, 2)


def test_the_work_ahead_is_announced(
    bench: Bench, plan: Plan, new_journal: Callable[..., Journal]
) -> None:
    events = list(retention.run(bench, plan, parse_arms("mplus,gold:1"), new_journal()))
    (planned,) = [event for event in events if isinstance(event, Notice) and not event.is_warning]
    records = [event for event in events if isinstance(event, Record)]
    assert f"to do: {len(plan.stream.chunks) * CHUNK:,} tokens to read" in planned.line
    assert f", {len(records)} questions" in planned.line
    disk = len(plan.stream.chunks) * CHUNK * long_term_bytes(bench.session.model)
    assert planned.line.endswith(f", and {size(round(disk))} of disk until it is done")
    again = retention.run(bench, plan, parse_arms("mplus,gold:1"), new_journal())
    assert not [event for event in again if isinstance(event, Notice)]


def test_memories_are_gone_and_costs_are_kept(everything: Any) -> None:
    _, _, folder = everything
    assert not (folder / "work").exists()
    costs = {cost.reader: cost for cost in read_parts(folder, Cost)}
    assert set(costs) == {"mplus", "identity", "swapped", "bm25"}
    assert costs["identity"].disk_bytes > costs["mplus"].disk_bytes > 0


def test_sharing_gives_what_reading_each_alone_gives(
    bench: Bench, plan: Plan, new_journal: Callable[..., Journal]
) -> None:
    from models.update import read_chunk

    shared = run(bench, plan, "mplus", new_journal())
    for record in shared:
        place = record.id, record.setting
        probe = next(p for p in plan.stream.probes if (p.question.id, p.setting) == place)
        network = bench.network("mplus")
        memory = network.empty_memory()
        for ids in plan.stream.chunks[: probe.chunks]:
            memory = read_chunk(network, memory, ids)
        said = Trial(bench, "mplus", plan.stream, probe, memory=memory).ask(ARMS["mplus"])
        assert said.answer == record.answer
        assert said.present is not None
        assert record.found == (None if probe.gold is None else probe.gold <= said.present)


def test_the_same_seed_gives_the_same_table(
    bench: Bench, tiny_plan: Callable[..., Plan], new_journal: Callable[..., Journal]
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(bench, tiny_plan(seed=seed), FEW, new_journal(name))
    folder = new_journal("a").folder.parent
    assert figures(folder / "a") == figures(folder / "b")
    ids = {name: {r.id for r in read_parts(folder / name, Record)} for name in "ac"}
    assert ids["a"] != ids["c"]


@pytest.mark.parametrize("stop", [1, 9, 14, 23])
def test_an_interrupted_run_goes_on(
    bench: Bench,
    plan: Plan,
    new_journal: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    monkeypatch.setattr("mplus_cli.evaluation.reading.COMMIT_CHUNKS", 2)
    whole = run(bench, plan, FEW, new_journal("whole"))
    events = retention.run(bench, plan, parse_arms(FEW), new_journal("torn"))
    done = 0
    for event in events:
        done += isinstance(event, Record)
        if done == stop:
            break
    events.close()  # type: ignore[attr-defined]
    answers = new_journal("torn").folder / "answers.jsonl"
    with answers.open("a") as file:
        file.write('{"id": "half a li')
    rest = run(bench, plan, FEW, new_journal("torn"))
    assert len(rest) == len(whole) - stop
    torn = new_journal("torn").folder
    assert untimed(read_parts(torn, Record)) == untimed(
        sorted(whole, key=lambda record: record.key)
    )
    assert run(bench, plan, FEW, new_journal("torn")) == []


def test_a_run_cut_off_after_its_last_question_leaves_no_memory(
    bench: Bench,
    tiny_plan: Callable[..., Plan],
    new_journal: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mplus_cli.evaluation.reading.COMMIT_CHUNKS", 2)
    plan = tiny_plan(tokens="80", unread=0)
    events = retention.run(bench, plan, parse_arms("mplus"), new_journal())
    asked = (event for event in events if isinstance(event, Record))
    for _ in range(4):
        next(asked)
    events.close()  # type: ignore[attr-defined]
    folder = new_journal().folder
    assert kept_bytes(folder) > 0
    assert run(bench, plan, "mplus", new_journal()) == []
    assert not (folder / WORK).exists()


def test_a_disk_without_room_is_reported_first(
    bench: Bench,
    plan: Plan,
    new_journal: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(MplusError, match=r"1\.0 KB is free: free some"):
        run(bench, plan, "mplus:1", new_journal())
    # What keeps no memory needs no room.
    assert run(bench, plan, "closed-book:1", new_journal())


def test_an_interrupted_reading_is_not_begun_again(
    bench: Bench,
    plan: Plan,
    new_journal: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import models.update

    monkeypatch.setattr("mplus_cli.evaluation.reading.COMMIT_CHUNKS", 2)
    read = models.update.read_chunk
    chunks: list[int] = []

    def counted(model: Any, memory: Any, ids: Any) -> Any:
        chunks.append(memory.chunks)
        return read(model, memory, ids)

    monkeypatch.setattr("models.update.read_chunk", counted)
    never = [probe for probe in plan.stream.probes if probe.setting == UNREAD]
    late = replace(plan, stream=replace(plan.stream, probes=never))
    events = retention.run(bench, late, parse_arms("mplus"), new_journal())
    for _ in range(6):  # one before the reading
        next(events)
    events.close()  # type: ignore[attr-defined]
    assert chunks == [0, 1, 2, 3]
    run(bench, late, "mplus", new_journal())
    # The last commit was after two chunks of four.
    assert chunks[4:] == list(range(2, len(plan.stream.chunks)))


def test_long_term_memory_is_mapped_and_the_same(
    bench: Bench,
    tiny_plan: Callable[..., Plan],
    new_journal: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from models.update import compact, read_chunk

    monkeypatch.setattr("mplus_cli.evaluation.reading.COMMIT_CHUNKS", 4)
    plan = tiny_plan(tokens="0,256")
    network = bench.network("mplus")
    alone = network.empty_memory()
    segments = []
    chunks = plan.stream.chunks
    for count, memory in read(bench, "mplus", chunks, [len(chunks)], new_journal()):
        assert memory is not None
        if count:
            alone = read_chunk(network, alone, chunks[count - 1])
        segments.append(len(memory.segments))
        if memory.segments:
            mine, other = compact(memory).segments[0], compact(alone).segments[0]
            assert torch.equal(mine.tokens.keys, other.tokens.keys)
            assert torch.equal(mine.tokens.chunks, other.tokens.chunks)
            assert torch.equal(memory.stm.tokens.values, alone.stm.tokens.values)
    # Three chunks fit short-term memory; the commit after the eighth joins four that were dropped.
    assert segments[:11] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 3, 4]


def test_an_arm_may_be_added_later(
    bench: Bench, plan: Plan, new_journal: Callable[..., Journal]
) -> None:
    run(bench, plan, "mplus", new_journal("one"))
    added = run(bench, plan, "mplus,stm-only", new_journal("one"))
    assert {record.arm for record in added} == {"stm-only"}
    run(bench, plan, "mplus,stm-only", new_journal("two"))
    folder = new_journal("one").folder.parent
    assert figures(folder / "one") == figures(folder / "two")


def test_a_folder_of_another_run_is_refused(new_journal: Callable[..., Journal]) -> None:
    journal = new_journal()
    other = RunCard("retention", {"new tokens": 33}, "", {})
    with pytest.raises(UsageError, match="new tokens 32, not 33"):
        Journal(journal.folder, other)


@pytest.mark.parametrize("wrong", ["", "mplus,bm26", "mplus:0", "mplus:few"])
def test_arms_that_are_none(wrong: str) -> None:
    with pytest.raises(UsageError, match="--arms"):
        parse_arms(wrong)
