"""Which answer is given: the words it is judged by, and yes or no against a refusal."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.prompts import REFUSAL, encode_plain
from mplus_cli.asking import choosing
from mplus_cli.asking.choosing import Chosen, answer_form, choose, likeliest_verdict
from mplus_cli.asking.confidence import FEATURES, SECOND_FEATURES, Calibration, Considered
from mplus_cli.asking.question import Question
from mplus_cli.asking.replying import cut_short
from mplus_cli.asking.words import UNTRAINED_WEIGHT, Words, word_weights

TEXTS = ("The goat ate a rope.", "The lamp had a brass key.", "It rained.")
CALIBRATION = Calibration((1.0, 2.0), (0.0,) * len(FEATURES), 0.0, 0.1, 0.4)


def test_in_a_chat_the_question_before_helps_to_find_but_not_to_judge() -> None:
    alone = Words.find(CALIBRATION.words, Question("Which key?"), TEXTS, CALIBRATION)
    turns = (("What ate the rope?", "the goat"),)
    question = Question("Which key?", turns=turns)
    later = Words.find(CALIBRATION.words, question, TEXTS, CALIBRATION)
    assert later.matches == alone.matches
    assert alone.prior is not None and later.prior is not None
    assert alone.prior[0] == 0 < later.prior[0]


@pytest.mark.parametrize(
    ("calibration", "trained", "recall", "weights"),
    [
        (CALIBRATION, True, "chunks", CALIBRATION.words),
        (None, True, "chunks", None),
        (None, False, "chunks", (UNTRAINED_WEIGHT, 0.0)),
        (None, False, "tokens", None),
    ],
)
def test_what_words_weigh(
    calibration: Calibration | None, trained: bool, recall: str, weights: tuple[float, float] | None
) -> None:
    config = SimpleNamespace(recall=recall)
    session: Any = SimpleNamespace(
        loaded=SimpleNamespace(trained=trained), model=SimpleNamespace(config=config)
    )
    assert word_weights(session, calibration) == weights
    words = Words.find(weights, Question("Which key?"), TEXTS, calibration)
    assert words.calibration is calibration
    assert (words.prior is None) is (weights is None)
    if words.prior is not None:
        assert max(words.prior, key=words.prior.__getitem__) == 1


@pytest.mark.parametrize(
    ("question", "form"),
    [
        (Question("Who came?"), "span"),
        (Question("Who came?", strict=True), "span"),
        (Question("Did she come?"), "verdict"),
        (Question("Did she come?", strict=True), "verdict"),
        (Question("Did she come or not?"), "span"),
        (Question("Who came?", temperature=1.0), "spoken"),
        (Question("Did she come?", quote=False), "spoken"),
    ],
)
def test_the_form_of_an_answer(question: Question, form: str) -> None:
    def session(weight: float, spelling: object) -> Any:
        config = SimpleNamespace(reading=SimpleNamespace(quote_weight=weight))
        return SimpleNamespace(model=SimpleNamespace(config=config), spelling=spelling)

    assert answer_form(session(4.0, object()), question) == form
    assert answer_form(session(0.0, object()), question) == "spoken"
    assert answer_form(session(4.0, None), question) == "spoken"


@pytest.mark.parametrize(
    ("yes", "no", "the", "text", "said"),
    [
        (3.0, 1.0, 2.0, 9.0, "Yes"),
        (1.0, 3.0, 2.0, 9.0, "No"),
        (1.0, 2.0, 3.0, 9.0, REFUSAL),
        (1.0, 2.0, 3.0, -9.0, "No"),
    ],
)
def test_a_refusal_must_be_likelier_than_yes_and_no_by_more_than_the(
    tiny_tokenizer: Any, yes: float, no: float, the: float, text: float, said: str
) -> None:
    """ "The" begins other answers too: the refusal is judged by its second token as well."""
    ids = {one: encode_plain(tiny_tokenizer, one) for one in ("Yes", "No", REFUSAL)}
    first, second = torch.full((2, len(tiny_tokenizer)), -20.0)
    first[[ids["Yes"][0], ids["No"][0], ids[REFUSAL][0]]] = torch.tensor([yes, no, the])
    second[0] = 0.0
    second[ids[REFUSAL][1]] = text
    steps: list[int] = []

    def step(token: int, cache: object) -> Any:
        steps.append(token)
        return second[None]

    cache = SimpleNamespace(
        mark=lambda: len(steps), rewind=lambda mark: steps.__delitem__(slice(mark, None))
    )
    model = SimpleNamespace(step_decoder=SimpleNamespace(step=step))
    session: Any = SimpleNamespace(model=model, tokenizer=tiny_tokenizer)
    prompt: Any = SimpleNamespace(cache=cache, logits=torch.stack([second, first]))
    assert likeliest_verdict(session, prompt) == said
    assert steps == [], "the cache is left as it was"


@pytest.mark.parametrize("whole", ["the grey lighthouse keeper", "a café – naïve"])
def test_an_answer_is_cut_to_the_tokens_asked_for(tiny_tokenizer: Any, whole: str) -> None:
    ids = encode_plain(tiny_tokenizer, whole)
    chosen = Chosen(whole, len(ids), confidence=0.9, considered=((whole, 1.0),))
    for limit in range(1, len(ids)):
        cut = cut_short(tiny_tokenizer, chosen, limit)
        assert whole.startswith(cut.text) and cut.text != whole and "\ufffd" not in cut.text
        assert (cut.tokens, cut.reason, cut.confidence) == (limit, "length", 0.9)
        assert cut.considered == chosen.considered
    for limit in (len(ids), 256):
        assert cut_short(tiny_tokenizer, chosen, limit) is chosen
    refused = Chosen(REFUSAL, reason="refused")
    assert cut_short(tiny_tokenizer, refused, 1) is refused


@pytest.mark.parametrize(
    ("strict", "compete", "confidence"),
    [(True, False, None), (False, False, 0.75), (False, True, 0.562)],
)
def test_every_answer_that_was_considered_has_its_share_of_the_odds(
    monkeypatch: pytest.MonkeyPatch, strict: bool, compete: bool, confidence: float | None
) -> None:
    """Whether one is given or not: the passages are chosen by them."""
    calibration = Calibration((1.0, 2.0), (1.0, *CALIBRATION.weights[1:]), 0.0, 0.1, 0.9, compete)
    logits = {"grey": -math.log(3), "white": math.log(3), "old": 0.0}  # odds of 1 : 9 : 3
    answers = [
        Considered(text, 1, 0.0, (nats, *(0.0,) * (len(FEATURES) - 1)))
        for text, nats in logits.items()
    ]
    monkeypatch.setattr(choosing, "consider", lambda *_: (answers, -1.0))
    question = Question("What was the goat?", strict=strict)
    prompted: Any = SimpleNamespace(
        draft=SimpleNamespace(question=question), words=Words(calibration)
    )
    behind: Any = None
    chosen = choose(prompted, behind, 8)
    assert chosen.text == (REFUSAL if strict else "white")
    assert chosen.confidence == confidence
    assert [text for text, _ in chosen.considered] == ["grey", "white", "old"]
    assert [share for _, share in chosen.considered] == pytest.approx([1 / 13, 9 / 13, 3 / 13])
    monkeypatch.setattr(choosing, "consider", lambda *_: ([], -1.0))
    assert choose(prompted, behind, 8) == Chosen(REFUSAL, reason="refused")


@pytest.mark.parametrize(
    ("memory", "text", "strict", "reason"),
    [
        (-3.0, -1.0, False, "unsure"),
        (-9.0, -1.0, False, "unsure"),
        (-9.0, 1.0, False, "unsure"),
        (-3.0, 3.0, False, "unsure"),
        (-9.0, 3.0, False, "refused"),
        (-3.0, -1.0, True, "unsure"),
        (-9.0, 3.0, True, "refused"),
    ],
)
def test_the_text_does_not_say_only_where_both_readers_would_refuse_and_one_surely(
    monkeypatch: pytest.MonkeyPatch, memory: float, text: float, strict: bool, reason: str
) -> None:
    names = FEATURES + SECOND_FEATURES
    calibration = Calibration((1.0, 2.0), (0.0,) * len(names), -3.0, 0.25, 0.5)
    values = tuple({"text_refusing": text}.get(name, 0.0) for name in names)
    answers = [Considered("the goat", 2, memory, values)]
    monkeypatch.setattr(choosing, "consider", lambda *_: (answers, -6.0))
    prompted: Any = SimpleNamespace(
        words=Words(calibration), draft=SimpleNamespace(question=Question("Who?", strict=strict))
    )
    found = choosing.choose(prompted, None, 8)  # type: ignore[arg-type]
    assert (found.text, found.reason, found.confidence) == (REFUSAL, reason, None)
