"""A model learns to ask and to answer, and only what it would answer so is kept."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from models.prompts import encode_plain
from models.training.asking import (
    AskingConfig,
    GeneratedQuestions,
    QuestionGenerator,
    stands_alone,
    with_questions,
)
from models.training.data import DataError, Passage, Question, read_passages
from models.training.excerpts import around, part_of, windows
from mplus_cli.datasets.__main__ import main

THINGS = (("door", "red"), ("boat", "blue"), ("hat", "green"), ("cart", "black"))
PASSAGES = [
    Passage(f"The {thing} of Ald is {colour}.", (Question(f"Which is {thing} of Ald?", (colour,)),))
    for thing, colour in THINGS
]


def asker(llama: Any, tokenizer: Any, **changes: Any) -> QuestionGenerator:
    config = AskingConfig(**{"batch": 8, "warmup": 5, "learning_rate": 3e-3} | changes)
    return QuestionGenerator(
        llama,
        lambda text: encode_plain(tokenizer, text),
        lambda ids: str(tokenizer.decode(ids)),
        start=0,
        end=2,
        config=config,
    )


def test_it_learns_to_ask_and_keeps_what_it_would_answer(
    build_llama: Any, tiny_tokenizer: Any
) -> None:
    made = asker(build_llama(), tiny_tokenizer, epochs=250, each=2, temperature=0.1)
    losses = [learned.loss for learned in made.learn(PASSAGES)]
    assert losses[-1] < 0.2 * losses[0]
    found = {one.text: one for one in made.ask([passage.text for passage in PASSAGES])}
    assert set(found) == {passage.text for passage in PASSAGES}
    kept = [question for one in found.values() for question in one.questions]
    assert kept, "it asks what it has learned"
    for one in found.values():
        assert one.tried == 2
        for question in one.questions:
            assert question.answers[0] in one.text
            assert question.answers[0] not in question.text
    strict = asker(made._llama, tiny_tokenizer, each=2, temperature=0.1, least_probability=1.01)
    assert not any(one.questions for one in strict.ask([PASSAGES[0].text]))


def test_nothing_to_learn_from(build_llama: Any, tiny_tokenizer: Any) -> None:
    strange = [Passage("Text.", (Question("What?", ("not there",)),))]
    with pytest.raises(DataError, match="nothing to learn"):
        list(asker(build_llama(), tiny_tokenizer).learn(strange))


@pytest.mark.parametrize(
    ("question", "alone"),
    [
        ("What did he say?", False),
        ("What did Ann say to him?", True),
        ("How many people live in the town?", True),
        ("Where is it?", False),
    ],
)
def test_questions_say_whom_they_are_about(question: str, alone: bool) -> None:
    assert stands_alone(question) is alone


def test_what_is_asked_of_is_whole_sentences_where_it_can_be() -> None:
    text = " ".join(f"Sentence number {n} is here." for n in range(100))
    for at in (0, 500, len(text) - 1):
        part = around(text, at, 200)
        assert len(part) <= 200 and part in text
        assert part.startswith("Sentence") and part.endswith(".")
    assert around("short", 2, 200) == "short"
    assert len(around("x" * 500, 250, 200)) == 200
    books = windows([text, text.upper()], 20, 150, seed=1)
    assert len(books) == 20 and books == windows([text, text.upper()], 20, 150, seed=1)
    assert all(0 < len(window) <= 150 for window in books)
    assert windows([], 5, 150, seed=1) == []
    assert part_of(Passage("short", ()), 100, random.Random(0)) == "short"


def test_what_was_asked_joins_the_labels() -> None:
    new = Question("New?", ("red",))
    merged = with_questions(
        [PASSAGES[0], Passage("Unasked.", ())],
        [PASSAGES[0].text, "Unasked."],
        [
            GeneratedQuestions(PASSAGES[0].text, (new,), 2),
            GeneratedQuestions("A book.", (new,), 2),
            GeneratedQuestions("None.", (), 2),
        ],
    )
    assert merged[0].questions == (*PASSAGES[0].questions, new)
    assert merged[1:] == [Passage("A book.", (new,))]


def test_as_a_command(tiny_base_folder: Path, tmp_path: Path, capsys: Any) -> None:
    qa, books, out = (tmp_path / name for name in ("qa.jsonl", "books.jsonl", "out.jsonl.gz"))
    qa.write_text(
        "".join(
            json.dumps(
                {
                    "context": passage.text,
                    "qas": [
                        {"question": one.text, "answers": list(one.answers)}
                        for one in passage.questions
                    ],
                }
            )
            + "\n"
            for passage in PASSAGES
        )
    )
    books.write_text(json.dumps({"text": "It was a fine day. The sea was calm. " * 30}) + "\n")
    words = ["asked", str(qa), "--books", str(books), "--windows", "3", "--epochs", "1"]
    torch.manual_seed(0)
    assert main([*words, "--base", str(tiny_base_folder), "--out", str(out)]) == 0
    assert "passages" in capsys.readouterr().err
    passages = read_passages([out])
    assert [passage.text for passage in passages[:4]] == [passage.text for passage in PASSAGES]
    assert all(passage.questions for passage in passages)
    assert main([*words, "--base", str(tmp_path / "none"), "--out", str(out)]) == 1
    assert "config.json" in capsys.readouterr().err
    words += ["--base", str(tiny_base_folder), "--out", str(out)]
    assert main([*words, "--device", "tpu"]) == 2
    assert "choose auto, cpu" in capsys.readouterr().err
    strange = {"context": "Text.", "qas": [{"question": "What?", "answers": ["no"]}]}
    qa.write_text(json.dumps(strange) + "\n")
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "nothing to learn from" in said and "bug" not in said
