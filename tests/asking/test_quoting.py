"""Answers biased towards the text: which tokens continue it at a position, and what leaving it costs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.config import ConfigError, MPlusConfig
from mplus_cli.asking.quoting import Quotable, Quote
from mplus_cli.runtime.spelling import Spelling

STOP = 2
WEIGHT = 5.0


TOKENS = "mar lin spike marlin _mar _the the _ m Mar . p s ike _iron iron _a <s>".replace(
    "_", "\u2581"
)
IDS = {token: number for number, token in enumerate(TOKENS.split(" "), start=3)}
TABLE = Spelling(IDS.get, {IDS["<s>"]}, None, "\u2581")


def quote(*texts: str) -> Quote:
    return Quote(Quotable(TABLE, texts, WEIGHT, [STOP]))


def preferred(guide: Quote, size: int = 60) -> set[str]:
    """The tokens that cost nothing."""
    names = {id: token for token, id in IDS.items()} | {STOP: "stop"}
    bias = guide.bias(torch.zeros(size))
    assert set(bias.tolist()) <= {0.0, -WEIGHT}
    return {names[id] for id in (bias == 0).nonzero().flatten().tolist()}


def after(guide: Quote, *tokens: str) -> Quote:
    for token in tokens:
        guide = guide.after(IDS[token])
    return guide


def test_an_answer_begins_with_any_word_in_either_case() -> None:
    guide = quote("the  iron\nmarlinspike")
    assert preferred(guide) == {"the", "iron", "mar", "marlin", "m", "Mar"}


def test_it_goes_on_inside_the_word_and_ends_behind_it() -> None:
    guide = quote("the iron marlinspike.")
    assert preferred(after(guide, "mar")) == {"lin"}
    assert preferred(after(guide, "mar", "lin")) == {"spike", "s"}
    whole = after(guide, "marlin", "spike")
    assert preferred(whole) == {
        "stop",
        ".",
        "\u2581the",
        "\u2581iron",
        "\u2581mar",
    }


def test_behind_a_word_any_other_may_follow() -> None:
    guide = after(quote("the iron marlinspike"), "the")
    assert {"\u2581iron", "\u2581mar", "stop"} <= preferred(guide)
    elsewhere = after(guide, "\u2581mar")
    assert preferred(elsewhere) == {"lin"}


def test_whoever_left_the_text_may_end_or_come_back() -> None:
    guide = after(quote("the iron marlinspike"), "mar", "p")
    assert guide.places == ()
    assert preferred(guide) == {"stop", "\u2581the", "\u2581iron", "\u2581mar"}


def test_no_answer_runs_from_one_text_into_the_next() -> None:
    guide = after(quote("the", "iron"), "the")
    assert {"\u2581iron", "stop"} <= preferred(guide), "as another word only"
    assert guide.source.going_on(guide.places or ()) == {}


def test_a_sign_belongs_to_its_number(tiny_tokenizer: Any) -> None:
    table = Spelling.of(tiny_tokenizer)
    assert table is not None
    guide = Quote(Quotable(table, ["he paid £40 and $5"], WEIGHT, [STOP]))
    for sum in ("£40", "$5"):
        first = tiny_tokenizer(sum, add_special_tokens=False)["input_ids"][0]
        assert float(guide.bias(torch.zeros(len(tiny_tokenizer)))[first]) == 0.0


@pytest.mark.parametrize("text", ["Müller paid £40 for the Größe.", "naïve — “quoted” words"])
def test_a_text_can_be_quoted_whole_in_bytes(tiny_tokenizer: Any, text: str) -> None:
    """Every token of the text itself is free, also those of half a character."""
    table = Spelling.of(tiny_tokenizer)
    assert table is not None and table.space == "\u0120"
    guide = Quote(Quotable(table, [text], WEIGHT, [STOP]))
    for number, token in enumerate(tiny_tokenizer(text, add_special_tokens=False)["input_ids"]):
        bias = guide.bias(torch.zeros(len(tiny_tokenizer)))
        assert float(bias[token]) == 0.0, number
        guide = guide.after(token)
    assert guide.places


def test_special_tokens_are_never_part_of_a_text(tiny_tokenizer: Any) -> None:
    table = Spelling.of(tiny_tokenizer)
    assert table is not None
    assert set(table.special) == set(tiny_tokenizer.get_added_vocab().values())
    guide = quote("the <s> iron")
    assert "<s>" not in preferred(guide) | preferred(after(guide, "the"))


def test_a_vocabulary_of_another_kind_is_left_alone() -> None:
    class Words:
        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [0, 1]}

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return ["a", "b"]

        def get_added_vocab(self) -> dict[str, int]:
            return {}

        @property
        def backend_tokenizer(self) -> Any:
            return self

        def token_to_id(self, token: str) -> int | None:
            return {"a": 0, "b": 1}.get(token)

    assert Spelling.of(Words()) is None


def test_the_weight_has_limits_and_is_off_by_default() -> None:
    assert MPlusConfig().reading.quote_weight == 0
    for value in (-1.0, "much"):
        with pytest.raises(ConfigError, match="quote_weight"):
            MPlusConfig.from_dict({"quote_weight": value})
