from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.layouts import read_data
from mplus_cli.evaluation.retention import Distance, Plan, parse_distances
from mplus_cli.evaluation.values import ANY, UNREAD, Probe, Question

CHUNK = 32


def text(bench: Bench, plan: Plan) -> str:
    return bench.decode([token for ids in plan.stream.chunks for token in ids])


def due(plan: Plan) -> list[Probe]:
    """What is asked along the stream, without what no reading changes."""
    return [probe for probe in plan.stream.probes if probe.setting != ANY]


def targets(plan: Plan) -> list[Question]:
    """What is asked about, each once."""
    return [probe.question for probe in plan.stream.probes if probe.setting == ANY]


def test_distances_are_whole_chunks(plan: Plan) -> None:
    probes = [probe for probe in due(plan) if probe.setting != UNREAD]
    assert {probe.setting for probe in probes} == {"0", "80", "128"}
    for probe in probes:
        assert probe.gold is not None
        (gold,) = probe.gold
        after = (probe.chunks - gold - 1) * CHUNK
        assert (probe.before, probe.after) == (gold * CHUNK, after)
        assert 0 <= after - int(probe.setting) < CHUNK
        assert probe.chunks <= len(plan.stream.chunks)
    chunks = [probe.chunks for probe in plan.stream.probes]
    assert chunks == sorted(chunks)


def test_every_chunk_is_full_and_holds_its_passage_once(bench: Bench, plan: Plan) -> None:
    assert {len(ids) for ids in plan.stream.chunks} == {CHUNK}
    assert len(targets(plan)) == 4
    for probe in due(plan):
        if probe.gold is not None:
            (chunk,), passage = probe.gold, str(probe.question.passage)
            assert passage in bench.decode(plan.stream.chunks[chunk]) == plan.stream.texts[chunk]
            assert text(bench, plan).count(passage) == 1


def test_a_distance_may_have_fewer_questions(plan: Plan) -> None:
    asked = {name: [a for a in due(plan) if a.setting == name] for name in ("80", "128")}
    assert len(asked["80"]) == 4
    assert len(asked["128"]) == 2
    assert {a.question.id for a in asked["128"]} == {one.id for one in targets(plan)[:2]}


def test_what_no_reading_changes_is_asked_once(plan: Plan) -> None:
    asked = [probe.question for probe in due(plan) if probe.setting != UNREAD]
    assert len(asked) == 10
    assert targets(plan) == list(dict.fromkeys(asked))


def test_what_is_never_read_is_of_another_group(bench: Bench, tiny_plan: Any) -> None:
    plan = tiny_plan(tokens="0,3200")
    never = [probe.question for probe in due(plan) if probe.setting == UNREAD]
    assert len(never) == 2
    groups = {question.id.split("/")[0] for question in never}
    read = {probe.question.id.split("/")[0] for probe in due(plan) if probe.gold is not None}
    assert not groups & read
    stream = text(bench, plan)
    for question in never:
        assert question.passage is not None
        assert question.passage not in stream
    end = len(plan.stream.chunks)
    assert all(a.chunks == end for a in due(plan) if a.setting == UNREAD)


def test_what_is_never_read_is_asked_where_every_question_is(tiny_plan: Any) -> None:
    plan = tiny_plan(tokens="0,64,3200:1")
    (place,) = {a.chunks for a in due(plan) if a.setting == UNREAD}
    assert place == max(a.chunks for a in due(plan) if a.setting == "64")
    assert len(plan.stream.chunks) > place


def test_a_fact_stands_beside_a_passage(bench: Bench, tiny_plan: Any) -> None:
    plan = tiny_plan(facts=6, size=128, tokens="0,96:1", fact_tokens="64:2")
    kinds: dict[tuple[str, str], list[Probe]] = {}
    for probe in due(plan):
        kinds.setdefault((probe.question.kind, probe.setting), []).append(probe)
    assert {key: len(probes) for key, probes in kinds.items()} == {
        ("passages", "0"): 4,
        ("passages", "96"): 1,
        ("facts", "64"): 2,
        ("unread", "unread"): 2,
    }
    assert [probe.gold for probe in kinds["facts", "64"]] == [{0}, {1}]
    for probe in due(plan):
        for chunk in probe.gold or ():
            assert str(probe.question.passage) in bench.decode(plan.stream.chunks[chunk])
    assert {len(chunk) for chunk in plan.stream.chunks} == {128}


def test_what_is_never_read_is_of_several_groups(plan_of: Any) -> None:
    passages = [
        {
            "id": f"g{number % 12}/{number}",
            "context": f"Cat {number} is of Ann.",
            "qas": [{"question": f"Whose is cat {number}?", "answers": ["Ann"]}],
        }
        for number in range(36)
    ]
    plan = plan_of(CHUNK, passages, ["A sea of rain. " * 60], questions=2, unread=6)
    never = [probe.question.id.split("/")[0] for probe in due(plan) if probe.setting == UNREAD]
    assert len(never) == 6
    assert len(set(never)) == 3


def test_the_same_seed_gives_the_same_plan(tiny_plan: Any) -> None:
    assert tiny_plan(seed=3) == tiny_plan(seed=3)
    assert tiny_plan(seed=3) != tiny_plan(seed=4)


def test_facts_are_targets_too(bench: Bench, tiny_plan: Any) -> None:
    plan = tiny_plan(questions=0, facts=3, size=128)
    assert [question.kind for question in targets(plan)] == ["facts"] * 3
    for probe in due(plan):
        for chunk in probe.gold or ():
            assert str(probe.question.passage) in bench.decode(plan.stream.chunks[chunk])


def test_without_data_facts_are_what_is_never_read(plan_of: Any) -> None:
    plan = plan_of(128, [], ["A long text of a book. " * 60], facts=2, unread=2)
    never = [probe.question for probe in due(plan) if probe.setting == UNREAD]
    assert len(never) == 2
    assert not {q.id for q in never} & {a.question.id for a in due(plan) if a.gold is not None}


def test_passages_that_do_not_fit_are_counted(tiny_plan: Any) -> None:
    assert tiny_plan(questions=4).missing == 0
    assert tiny_plan(questions=400).missing > 0


@pytest.mark.parametrize("wrong", ["", "ten", "-5", "20:x", "5,5", "alone"])
def test_distances_that_are_none(wrong: str) -> None:
    with pytest.raises(UsageError, match="--tokens"):
        parse_distances(wrong)


def test_distances_are_read() -> None:
    assert parse_distances("20_000:5, 0") == (Distance(0), Distance(20000, 5))


def test_nothing_to_ask_or_to_read(plan_of: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no questions"):
        plan_of(CHUNK, [], ["text"], questions=1)
    only = [{"context": "One.", "qas": [{"question": "How many?", "answers": ["One"]}]}]
    with pytest.raises(UsageError, match="--books"):
        plan_of(CHUNK, only, [], questions=1)
    (tmp_path / "p.jsonl").write_text('{"qas": []}')
    with pytest.raises(UsageError, match="context"):
        read_data(tmp_path / "p.jsonl", "passages")
