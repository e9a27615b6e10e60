"""The parts of training: data, facts, rows, schedule."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
import torch

from models.training.chunks import ChunkMaker, Corpus, Mix
from models.training.cloze import clozes
from models.training.data import DataError, Passage, Question, read_books, read_passages, spans_only
from models.training.optimiser import MasterAdamW, cosine
from models.training.rows import IGNORED, ROUND, Example, pack
from models.training.topics import by_topic, tf_idf


def encode(text: str) -> list[int]:
    return list(text.encode())


PASSAGES = [
    Passage(f"Passage {n} says that the answer is {n * 7}.", (Question(f"Q{n}?", (str(n * 7),)),))
    for n in range(20)
]


def maker(seed: int = 0, facts: float = 0.2, clozes: int = 0) -> ChunkMaker:
    book = "It rained. " * 400 + "\n" + "The wind rose again. " * 400
    return ChunkMaker(encode, Corpus(PASSAGES, [book]), 400, Mix(facts, clozes=clozes), seed=seed)


def test_chunks_are_full_and_hold_the_answers_of_their_questions() -> None:
    chunks = maker()
    asked = 0
    for _ in range(50):
        chunk = chunks.chunk()
        text = bytes(chunk.ids).decode()
        assert len(chunk.ids) == 400
        for question in chunk.questions:
            assert any(answer in text for answer in question.answers), question
            asked += 1
    assert asked > 50


def test_every_page_asks_about_itself() -> None:
    passage = Passage(
        "It was late. In 1871 the painter Ann Olsson moved to the little town of Tavwick. She had "
        "seven dogs and no money at all in those years. Nobody remembers why she ever left it. End.",
        (),
    )
    kinds, seen = set(), 0
    for seed in range(40):
        for question, answer in clozes(passage.text, 2, random.Random(seed)):
            assert answer in passage.text and answer not in question.replace("what", "")
            assert question.endswith("?")
            kinds |= {
                kind for kind in ("in what year", "how many", "who or what") if kind in question
            }
            seen += 1
    assert seen == 80
    assert kinds == {"in what year", "how many", "who or what"}
    assert clozes("Too short.", 3, random.Random(0)) == []


def test_chunks_ask_about_their_pages_too() -> None:
    book = "In the cold harbour seven ships lay waiting for the wind.\n" * 100
    chunks = ChunkMaker(encode, Corpus(PASSAGES, [book]), 400, Mix(clozes=2), seed=1)
    own = {question for passage in PASSAGES for question in passage.questions}
    made = 0
    for _ in range(20):
        chunk = chunks.chunk()
        text = bytes(chunk.ids).decode()
        for question in chunk.questions:
            assert question.answers[0] in text
            made += question not in own
    assert made > 10


def test_chunks_are_the_same_for_a_seed_and_go_on_after_a_pause() -> None:
    one, two = maker(3), maker(3)
    assert [one.chunk() for _ in range(5)] == [two.chunk() for _ in range(5)]
    paused = maker(9, facts=0.0)
    paused.restore(one.state())
    other = maker(4, facts=0.0)
    other.restore(one.state())
    assert [paused.chunk() for _ in range(5)] == [other.chunk() for _ in range(5)]


def test_rows_pack_pieces_that_do_not_see_each_other() -> None:
    first = Example((1, 2), (3, 4), "answer")
    second = Example((5,), (6,), "continuation")
    rows = pack([[first, second], [second]], pad=0)
    assert rows.ids.shape == (2, ROUND)
    assert rows.ids[0, :4].tolist() == [1, 2, 3, 5]
    assert rows.targets[0, :4].tolist() == [IGNORED, 3, 4, 6]
    assert rows.offsets[0, :4].tolist() == [0, 1, 2, 0]
    assert rows.kinds[0, :4].tolist() == [0, 1, 1, 2]
    seen = torch.tensor([[True, True], [True, False]])
    mask = rows.mask(seen, torch.float32)[:, 0] == 0
    assert mask[0, 2, :6].tolist() == [True, True, True, True, True, False]
    assert mask[0, 3, :6].tolist() == [True, True, False, False, False, True]
    assert mask[1, 0, :3].tolist() == [True, False, True]


def test_cosine_warms_up_and_ends_where_it_should() -> None:
    assert cosine(0, 100, 10, 0.1) == pytest.approx(0.1)
    assert cosine(9, 100, 10, 0.1) == pytest.approx(1.0)
    assert cosine(10, 100, 10, 0.1) == pytest.approx(1.0)
    assert cosine(100, 100, 10, 0.1) == pytest.approx(0.1)


def test_small_steps_are_not_lost_in_bf16() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimiser = MasterAdamW([([weight], 1e-4)], weight_decay=0.0, clip=1.0)
    for _ in range(100):
        weight.grad = torch.full_like(weight, 0.1)
        optimiser.step(1.0)
    assert weight[0].item() == pytest.approx(0.99, abs=0.005)
    again = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    other = MasterAdamW([([again], 1e-4)], weight_decay=0.0, clip=1.0)
    other.load_state_dict({name: value.clone() for name, value in optimiser.state_dict().items()})
    for model, step in ((weight, optimiser), (again, other)):
        model.grad = torch.full_like(model, random.Random(0).random())
        step.step(1.0)
    assert torch.equal(weight, again)


@pytest.mark.parametrize("line", ["not json", "[1]", '{"qas": []}', '{"context": "a"}'])
def test_bad_data_says_so(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError):
        read_passages([path])


def test_missing_data_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        read_books([tmp_path / "nowhere.jsonl"])


def test_spans_only_keeps_short_answers_that_stand_in_the_text() -> None:
    passage = Passage(
        "The door is red. It was painted by old Ann of Ald in a hurry.",
        (
            Question("Colour?", ("Red.", "crimson")),
            Question("By whom?", ("by old Ann of Ald in a hurry", "Ann")),
            Question("When?", ("last year",)),
        ),
    )
    kept = spans_only([passage, Passage("Nothing.", ())], 3)
    assert [(q.text, q.answers) for q in kept[0].questions] == [
        ("Colour?", ("Red.",)),
        ("By whom?", ("Ann",)),
    ]
    assert len(kept) == 1


def test_topics_bring_passages_about_the_same_together() -> None:
    texts = [
        f"{'ship sails harbour' if n % 2 else 'bread baker oven'} number{n}" for n in range(40)
    ]
    vectors = tf_idf(texts)
    order = by_topic(vectors, 8, random.Random(0))
    assert sorted(order) == list(range(40))
    assert sum(a % 2 == b % 2 for a, b in itertools.pairwise(order)) >= 31
    assert order == by_topic(vectors, 8, random.Random(0))
    assert by_topic(tf_idf([]), 3, random.Random(0)) == []
