from __future__ import annotations

from typing import Any

import pytest

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.plan import (
    Distance,
    Order,
    Plan,
    make_plan,
    parse_distances,
    read_sources,
)
from mplus_cli.evaluation.values import UNREAD

CHUNK = 32


def text(bench: Bench, plan: Plan) -> str:
    return bench.decode([token for ids in plan.chunks for token in ids])


def test_distances_are_whole_chunks(plan: Plan) -> None:
    due = [ask for ask in plan.asks if ask.setting != UNREAD]
    assert {ask.setting for ask in due} == {"0", "80", "128"}
    for ask in due:
        assert ask.gold is not None
        after = (ask.chunks - ask.gold - 1) * CHUNK
        assert 0 <= after - int(ask.setting) < CHUNK
        assert ask.chunks <= len(plan.chunks)
    assert [ask.chunks for ask in plan.asks] == sorted(ask.chunks for ask in plan.asks)


def test_every_chunk_is_full_and_holds_its_passage_once(bench: Bench, plan: Plan) -> None:
    assert {len(ids) for ids in plan.chunks} == {CHUNK}
    for target in plan.alone:
        passage = target.question.passage
        assert passage is not None
        assert passage in bench.decode(plan.chunks[target.chunk])
        assert text(bench, plan).count(passage) == 1


def test_a_distance_may_have_fewer_questions(plan: Plan) -> None:
    asked = {name: [a for a in plan.asks if a.setting == name] for name in ("80", "128")}
    assert len(asked["80"]) == 4
    assert len(asked["128"]) == 2
    assert {a.question.id for a in asked["128"]} == {t.question.id for t in plan.alone[:2]}


def test_what_is_never_read_is_of_another_group(bench: Bench, tiny_plan: Any) -> None:
    plan = tiny_plan(distances=(Distance(0), Distance(3200)))
    never = [ask.question for ask in plan.asks if ask.setting == UNREAD]
    assert len(never) == 2
    groups = {question.id.split("/")[0] for question in never}
    read = {ask.question.id.split("/")[0] for ask in plan.asks if ask.gold is not None}
    assert not groups & read
    stream = text(bench, plan)
    for question in never:
        assert question.passage is not None
        assert question.passage not in stream
    assert all(a.chunks == len(plan.chunks) for a in plan.asks if a.setting == UNREAD)


def test_what_is_never_read_is_asked_where_every_question_is(tiny_plan: Any) -> None:
    plan = tiny_plan(distances=(Distance(0), Distance(64), Distance(3200, 1)))
    (place,) = {a.chunks for a in plan.asks if a.setting == UNREAD}
    assert place == max(a.chunks for a in plan.asks if a.setting == "64")
    assert len(plan.chunks) > place


def test_a_fact_stands_beside_a_passage(bench: Bench, tiny_plan: Any) -> None:
    distances = {"distances": (Distance(0), Distance(96, 1)), "fact_distances": (Distance(64, 2),)}
    plan = tiny_plan(facts=6, chunk_tokens=128, **distances)
    kinds = {}
    for ask in plan.asks:
        kinds.setdefault((ask.question.kind, ask.setting), []).append(ask)
    assert {key: len(asks) for key, asks in kinds.items()} == {
        ("passages", "0"): 4,
        ("passages", "96"): 1,
        ("facts", "64"): 2,
        ("unread", "unread"): 2,
    }
    assert [ask.gold for ask in kinds["facts", "64"]] == [0, 1]
    for ask in plan.asks:
        if ask.gold is not None:
            assert str(ask.question.passage) in bench.decode(plan.chunks[ask.gold])
    assert {len(chunk) for chunk in plan.chunks} == {128}


def test_what_is_never_read_is_of_several_groups(bench: Bench) -> None:
    passages = [
        {
            "id": f"g{number % 12}/{number}",
            "context": f"Cat {number} is of Ann.",
            "qas": [{"question": f"Whose is cat {number}?", "answers": ["Ann"]}],
        }
        for number in range(36)
    ]
    order = Order((Distance(0),), (Distance(0),), 2, 0, 6, CHUNK, 0)
    plan = make_plan(order, read_sources(passages), ["A sea of rain. " * 60], bench.encode)
    never = [ask.question.id.split("/")[0] for ask in plan.asks if ask.setting == UNREAD]
    assert len(never) == 6
    assert len(set(never)) == 3


def test_the_same_seed_gives_the_same_plan(bench: Bench, tiny_plan: Any) -> None:
    assert tiny_plan(seed=3) == tiny_plan(seed=3)
    assert tiny_plan(seed=3) != tiny_plan(seed=4)


def test_facts_are_targets_too(bench: Bench, tiny_plan: Any) -> None:
    plan = tiny_plan(questions=0, facts=3, chunk_tokens=128)
    assert [target.question.kind for target in plan.alone] == ["facts"] * 3
    for target in plan.alone:
        assert str(target.question.passage) in bench.decode(plan.chunks[target.chunk])


def test_without_data_facts_are_what_is_never_read(bench: Bench) -> None:
    order = Order((Distance(0),), (Distance(0),), 0, 2, 2, 128, 0)
    plan = make_plan(order, [], ["A long text of a book. " * 60], bench.encode)
    never = [ask.question for ask in plan.asks if ask.setting == UNREAD]
    assert len(never) == 2
    assert not {q.id for q in never} & {a.question.id for a in plan.asks if a.gold is not None}


def test_passages_that_do_not_fit_are_counted(tiny_plan: Any) -> None:
    assert tiny_plan(questions=4).missing == 0
    assert tiny_plan(questions=400).missing > 0


@pytest.mark.parametrize("wrong", ["", "ten", "-5", "20:x", "5,5", "alone,alone"])
def test_distances_that_are_none(wrong: str) -> None:
    with pytest.raises(UsageError, match="--tokens"):
        parse_distances(wrong)


def test_distances_are_read() -> None:
    assert parse_distances("20_000:5, 0,alone") == (
        Distance(None),
        Distance(0),
        Distance(20000, 5),
    )


def test_nothing_to_ask_or_to_read(bench: Bench) -> None:
    order = Order((Distance(0),), (Distance(0),), 1, 0, 0, CHUNK, 0)
    with pytest.raises(UsageError, match="no questions"):
        make_plan(order, [], ["text"], bench.encode)
    only = read_sources(
        [{"context": "One.", "qas": [{"question": "How many?", "answers": ["One"]}]}]
    )
    with pytest.raises(UsageError, match="--books"):
        make_plan(order, only, [], bench.encode)
    with pytest.raises(UsageError, match="context"):
        read_sources([{"qas": []}])
