"""Made-up facts: one answer to every question, however many are drawn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from string import Formatter

import pytest

from models.training import fact_words as words
from models.training.fact_templates import HELD_OUT, TRAINED, Template
from models.training.facts import Fact, FactMaker

NAMED = ("p", "place", "ship", "inn", "company", "book")
MANY = 20_000


@pytest.fixture(scope="module", params=[TRAINED, HELD_OUT], ids=["trained", "held out"])
def many(request: pytest.FixtureRequest) -> list[Fact]:
    maker = FactMaker(1, request.param)
    return [maker.fact() for _ in range(MANY)]


def test_no_two_facts_share_a_question(many: list[Fact]) -> None:
    assert len({fact.question for fact in many}) == MANY


def test_answers_stand_in_their_sentences_and_not_in_their_questions(many: list[Fact]) -> None:
    assert all(fact.answer in fact.sentence for fact in many)
    for fact in many[:2000]:
        whole = re.compile(rf"\b{re.escape(fact.answer)}\b")
        assert whole.search(fact.sentence) and not whole.search(fact.question), fact


def test_every_field_is_filled_and_every_article_right(many: list[Fact]) -> None:
    for fact in many:
        assert not set("{}") & set("".join((fact.sentence, fact.question, fact.answer)))
        assert not re.search(r"\b[Aa] [aeiou]", fact.sentence), fact
        assert fact.question.endswith("?")


def test_no_name_is_drawn_twice() -> None:
    """A fact about somebody says nothing of anybody else: names are whole, and no part of others."""
    maker = FactMaker(2)
    texts = [f" {maker.fact().sentence} " for _ in range(MANY)]
    people = re.compile(rf"\b(?:{'|'.join(words.FIRST_NAMES)}) [A-Z][a-z-]+")
    found = [name for text in texts for name in people.findall(text)]
    assert len(found) > MANY / 2
    assert len(set(found)) == len(found)


def test_surnames_are_no_places() -> None:
    places = set(map("".join, itertools.product(words.STARTS, words.MIDDLES, words.PLACE_ENDS)))
    surnames = set(map("".join, itertools.product(words.STARTS, words.SURNAME_ENDS)))
    assert len(places) > 18_000
    assert len(surnames) > 2_900
    assert not places & surnames


def test_facts_are_the_same_for_a_seed() -> None:
    one, two, other = FactMaker(5), FactMaker(5), FactMaker(6)
    made = [one.fact() for _ in range(100)]
    assert made == [two.fact() for _ in range(100)]
    assert made != [other.fact() for _ in range(100)]
    assert FactMaker("a", HELD_OUT).fact() == FactMaker("a", HELD_OUT).fact()


def test_held_out_shapes_are_no_trained_ones() -> None:
    assert len(TRAINED) + len(HELD_OUT) >= 60
    for part in (0, 1):
        all_of_it = [template[part] for template in (*TRAINED, *HELD_OUT)]
        assert len(set(all_of_it)) == len(all_of_it)


@pytest.mark.parametrize("templates", [TRAINED, HELD_OUT], ids=["trained", "held out"])
def test_a_question_names_what_nobody_else_is_called(templates: Sequence[Template]) -> None:
    for sentence, question, answer in templates:
        fields = [
            {name for _, name, _, _ in Formatter().parse(part) if name}
            for part in (sentence, question, answer)
        ]
        assert fields[1] & set(NAMED), question
        assert fields[1] | fields[2] <= fields[0], sentence
        assert not fields[1] & fields[2], question


def test_few_names_are_lengthened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "ADJECTIVES", ["Bold"])
    monkeypatch.setattr(words, "SIGNS", ["Fox", "Hare"])
    maker = FactMaker(0, [("The {ship} is lost.", "What of the {ship}?", "lost")])
    ships = [maker.fact().question for _ in range(20)]
    assert len(set(ships)) == 20
