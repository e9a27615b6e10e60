"""A second opinion: what a reader of text says to answers, and which of its own it names."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.checkpoints import load
from models.prompts import REFUSAL, encode_plain
from mplus_cli.asking.confidence import FEATURES, SECOND_FEATURES, UNNAMED, Considered, Grounds
from mplus_cli.asking.lexical import match_words
from mplus_cli.asking.second_opinion import (
    AHEAD,
    BEGINNINGS,
    LONGEST_QUESTION,
    SURE,
    Judged,
    Opinion,
    alike,
    ask_second,
    best_judged,
    is_sure,
    judged_by_both,
    likeliest_beginnings,
)

QUESTION = "Who kept the logbook?"
PASSAGES = ("The keeper wrote in the logbook.", "A storm had taken the boat.")
ANSWERS = ("keeper", "the storm")


@pytest.fixture(scope="module")
def session(
    tiny_base_folder: Path, tiny_checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """One whose model has a reader of text: that of its memory, under another name."""
    folder = tmp_path_factory.mktemp("text")
    shutil.copytree(tiny_base_folder, folder / "tiny-base")
    shutil.copytree(tiny_checkpoint_folder, folder / "one")
    shutil.copytree(folder / "one" / "generate_lora", folder / "one" / "text_lora")
    loaded = load(folder / "one", dtype=torch.float32)
    return SimpleNamespace(
        loaded=loaded, tokenizer=loaded.tokenizer, text_reader=loaded.text_reader
    )


def chance(session: Any, answer: str, end: bool = True, count: int | None = None) -> float:
    """The log-probability of an answer behind question, passages and question, read alone."""
    prompt = "\n\n".join((QUESTION, *PASSAGES, QUESTION))
    ids = session.loaded.prompt.render(session.tokenizer, prompt)[0]
    said = encode_plain(session.tokenizer, answer)[:count]
    rows = session.text_reader().logits(torch.tensor([ids + said]))[0].log_softmax(dim=-1)
    nats = sum(float(rows[len(ids) - 1 + at, id]) for at, id in enumerate(said))
    return nats + (float(rows[-1, sorted(session.loaded.stop_ids)].max()) if end else 0.0)


def test_answers_are_judged_behind_the_passages(session: Any) -> None:
    found = ask_second(session, QUESTION, [PASSAGES], ANSWERS)[0]
    assert [one.text for one in found.given] == list(ANSWERS)
    for one in found.given:
        assert one.nats == pytest.approx(chance(session, one.text), abs=1e-3)
    assert found.refusing == pytest.approx(chance(session, REFUSAL, False, 2), abs=1e-3)


def test_the_readers_share_what_is_equal(session: Any) -> None:
    """Neither the base nor the output head is in memory twice."""
    reader, model = session.text_reader(), session.loaded.model
    assert reader.stack is model.generate.stack is model.update.stack
    assert reader.head is model.generate.head


def test_its_own_answers_are_whole_spans_that_say_something(session: Any) -> None:
    found = ask_second(session, QUESTION, [PASSAGES], ())[0]
    assert found.given == () and 0 < len(found.own) <= BEGINNINGS
    text = " ".join(PASSAGES)
    for one in found.own:
        assert one.text in text and one.tokens <= AHEAD
        assert not set(one.text.lower().split()) <= {"the", "a", "logbook", "in"}
        assert one.nats == pytest.approx(chance(session, one.text), abs=1e-3)


def test_places_that_begin_alike_share_their_chance(session: Any) -> None:
    things = "cat cow dog fox goat hare lamb mare mule wolf".split()
    passages = [" ".join(f"the {thing}" for thing in things), "Ann came"]
    the, ann = (encode_plain(session.tokenizer, word)[0] for word in ("the", "Ann"))
    chances = [-9.0] * session.text_reader().head.weight.shape[0]
    chances[the], chances[ann] = -1.0, -1.5
    begun = [text[:3] for _, text in likeliest_beginnings(session, passages, chances, 4)]
    assert begun == ["Ann", *["the"] * (BEGINNINGS - 1)]


@pytest.mark.parametrize("before", ["a" * LONGEST_QUESTION, "word " * 3999 + "word"])
def test_of_a_long_question_the_end_is_read(session: Any, before: str) -> None:
    end = QUESTION if before.startswith("aa") else ("word " * 195 + QUESTION)
    assert len(end) <= LONGEST_QUESTION
    whole = ask_second(session, f"{before} {QUESTION}", [PASSAGES], ANSWERS)[0]
    assert whole.given == ask_second(session, end, [PASSAGES], ANSWERS)[0].given


def test_without_passages_there_are_no_answers_of_its_own(session: Any) -> None:
    assert ask_second(session, QUESTION, [()], ANSWERS)[0].own == ()


def test_rounds_of_one_pass_are_as_if_each_had_its_own(session: Any) -> None:
    rounds = [PASSAGES, (), PASSAGES[::-1]]
    alone = [ask_second(session, QUESTION, [one], ANSWERS)[0] for one in rounds]
    assert ask_second(session, QUESTION, rounds, ANSWERS) == alone


def considered(text: str, nats: float) -> Considered:
    return Considered(text, 2, nats, (nats / 3, *[0.0] * (len(FEATURES) - 1)))


def second(answer: Considered) -> dict[str, float]:
    return dict(zip(FEATURES + SECOND_FEATURES, answer.features, strict=True))


def test_answers_of_both_readers_are_judged_together() -> None:
    matches = match_words(QUESTION, PASSAGES)
    grounds = Grounds(QUESTION, PASSAGES, tuple(matches), 1.0, True)
    answers = [considered("keeper", -3.0), considered("boat", -6.0)]
    given = (Judged("keeper", 2, -6.0), Judged("boat", 2, -30.0))
    own = (Judged("The keeper", 2, -3.0), Judged("storm", 1, -4.0), Judged("the boat", 3, -40.0))
    found = judged_by_both(grounds, answers, Opinion(given, own, -2.0), -9.0)
    assert [one.text for one in found] == ["keeper", "boat", "storm"], "each once"
    keeper, boat, storm = map(second, found)
    assert keeper["text_each"] == -1.0 and keeper["text_behind"] == 0.0 and keeper["both"] == 1.0
    assert boat["text_behind"] == -10.0 and boat["both"] == 0.0
    assert storm["nats_each"] == UNNAMED and storm["text_behind"] == -1.0
    assert {one["text_refusing"] for one in (keeper, boat, storm)} == {1.0}
    assert storm["refusing"] == -9.0
    shares = [one["text_share"] for one in (keeper, boat, storm)]
    chances = [math.exp(nats) for nats in (-2.0, -3.0, -4.0, -30.0)]
    assert shares == pytest.approx(
        [one / sum(chances) for one in (chances[1], chances[3], chances[2])]
    )


def judged(text: str, share: float) -> Considered:
    return Considered(text, 1, -1.0, (*[0.0] * (len(FEATURES) + len(SECOND_FEATURES) - 1), share))


def test_an_answer_counts_as_in_the_round_that_gives_it_more() -> None:
    keeper, boat, again = judged("keeper", 0.2), judged("boat", 0.4), judged("The keeper", 0.3)
    storm = judged("storm", 0.1)
    assert best_judged([], [keeper, boat]) == [keeper, boat]
    assert best_judged([keeper, boat], [judged("a boat", 0.1), again, storm]) == [
        *(again, boat, storm)
    ]


def test_with_an_answer_that_is_sure_no_more_is_read() -> None:
    assert not is_sure([]) and not is_sure([judged("keeper", SURE - 0.1)])
    assert is_sure([judged("boat", 0.1), judged("keeper", SURE)])


def test_nobody_knows_an_answer() -> None:
    grounds = Grounds(QUESTION, (), (), 1.0, True)
    assert judged_by_both(grounds, [], Opinion((), (), -1.0), -2.0) == []


@pytest.mark.parametrize("answer", ["The keeper", "a keeper,", "keeper", "KEEPER."])
def test_answers_that_say_the_same(answer: str) -> None:
    assert alike(answer) == "keeper"
