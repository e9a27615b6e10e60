from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.decoder import Decoder
from models.update import read_chunk
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.evaluation import perplexity, qa
from mplus_cli.evaluation.arms import ARMS, FOR_LOSS, parse_arms
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.figures import figures_of, tables_of
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.layouts import Sample, choose, read_data
from mplus_cli.evaluation.report import read_runs
from mplus_cli.evaluation.trial import INSTRUCTION, LIMIT, Trial, text_prompt
from mplus_cli.evaluation.values import DOCUMENT, Loss, Notice, Probe, Question, Record, Stream

STORY = Path(__file__).resolve().parents[2] / "examples" / "story" / "questions.json"


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_the_layouts_are_recognised(tmp_path: Path) -> None:
    asked = [{"question": "Who?", "answers": ["Bo"]}]
    own = {"title": "T", "text": "Bo is a cat.", "questions": asked}
    passage = {"id": "p/1", "context": "Bo.", "qas": asked}
    (document,) = read_data(write(tmp_path / "own.jsonl", own))
    assert (document.text, document.questions[0].passage) == ("Bo is a cat.", None)
    (passages,) = read_data(write(tmp_path / "stories.jsonl", passage))
    (question,) = passages.questions
    assert (question.id, question.kind, question.passage) == ("p/1/1", "stories", "Bo.")
    assert question.answers == document.questions[0].answers == ("Bo",)


def test_the_example_storys_layout() -> None:
    (reading,) = read_data(STORY)
    assert reading.path is not None
    assert reading.path.name == "story.pdf"
    assert len(reading.questions) == 40
    assert reading.questions[0].pages == (2, 2)


def test_some_questions_of_many(tmp_path: Path) -> None:
    records = [
        {
            "id": f"d{n}",
            "context": f"Text {n}.",
            "qas": [{"question": f"{n}?", "answers": ["a"]}] * 3,
        }
        for n in range(9)
    ]
    readings = read_data(write(tmp_path / "stories.jsonl", *records))
    few = choose(readings, questions=5, each=2)
    assert [len(one.questions) for one in few] == [2, 2, 1]
    assert [one.id for one in few] == ["d0", "d1", "d2"]
    drawn = choose(readings, questions=6, each=1, seed=1)
    assert len({one.id for one in drawn}) == 6
    assert drawn == choose(readings, questions=6, each=1, seed=1)
    assert drawn != choose(readings, questions=6, each=1, seed=2)
    assert choose(readings) == readings


@pytest.mark.parametrize(
    ("name", "record", "message"),
    [
        ("a.jsonl", {"what": 1}, "layout is not known"),
        ("a.jsonl", {"title": "T", "questions": []}, "record 1 is not of the layout documents"),
    ],
)
def test_files_of_no_layout(tmp_path: Path, name: str, record: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_data(write(tmp_path / name, record))


def two_documents(tmp_path: Path) -> Path:
    names = ("Felix", "Morris", "Salem", "Tiger")
    paged = " ".join(f"It is said here that cat {name} is of Ann." for name in names)
    return write(
        tmp_path / "books.jsonl",
        {
            "title": "cats",
            "text": paged,
            "questions": [
                {"question": "Whose is cat Salem?", "answers": ["Ann"], "passage": "Salem"},
                {"question": "Whose is cat 9?", "answers": ["Bo"]},
            ],
        },
        {"title": "gone", "path": "gone.txt", "questions": [{"question": "Q?", "answers": ["a"]}]},
    )


def test_documents_are_read_and_asked(
    bench: Bench, tmp_path: Path, new_journal: Callable[..., Journal]
) -> None:
    arms = parse_arms("mplus,gold,bm25-1,window,closed-book")
    readings = read_data(two_documents(tmp_path))
    events = list(qa.run(bench, readings, arms, new_journal("qa", "qa")))
    noted = [event.line for event in events if isinstance(event, Notice)]
    assert any("gone.txt" in line for line in noted)
    assert any("2 questions" in line and "not in arm gold" in line for line in noted)
    records = [event for event in events if isinstance(event, Record)]
    counts = {arm.name: sum(r.arm == arm.name for r in records) for arm in arms}
    assert counts == {"mplus": 2, "gold": 1, "bm25-1": 2, "window": 2, "closed-book": 2}
    searched = next(r for r in records if r.arm == "bm25-1" and "Salem" in r.question)
    assert searched.rank == 1
    assert searched.found is True
    again = qa.run(bench, readings, arms, new_journal("qa", "qa"))
    assert not [event for event in again if isinstance(event, Record)]
    (done,) = read_runs(new_journal("qa", "qa").folder)
    columns = tables_of(figures_of(done))[0].columns
    assert columns == [
        *("exact hit", "token F1", "exact match", "right chunk in context", "refused"),
        *("hit@1", "hit@3", "hit@5", "mplus ahead by"),
    ]


def test_pages_are_the_gold_chunks_of_a_paged_document() -> None:
    from mplus_cli.documents import Chunk, Document, Page

    pages = tuple(Page(number, f"Text {number}. ") for number in (1, 2, 3))
    chunks = [Chunk(n, f"Text {n + 1}. ", (5, 6), (n + 1, n + 1)) for n in range(3)]
    question = Question("q", "documents", "Q?", ("a",), pages=(2, 3))
    document = Document("", "", "", "pdf", pages, 3, ())
    reading = Sample("d", "d", None, (question,))
    (probe,) = qa.stream_of(reading, document, chunks).probes
    assert probe.gold == frozenset({1, 2})
    assert probe.question.passage == "Text 2. Text 3. "
    assert (probe.chunks, probe.before, probe.after) == (3, 6, None)


def test_no_document_at_all(
    bench: Bench, tmp_path: Path, new_journal: Callable[..., Journal]
) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"title": "x", "path": "x.txt", "questions": [{"question": "Q?", "answers": ["a"]}]},
    )
    with pytest.raises(MplusError, match="none of the documents"):
        list(qa.run(bench, read_data(path), parse_arms("mplus"), new_journal("qa", "qa")))


def test_the_base_sees_its_own_template(bench: Bench) -> None:
    prompt = text_prompt(bench, "base", "Who is it?", "Bo is here.")
    text = bench.base.tokenizer.decode(prompt)
    asked = f"Bo is here.\n\nWho is it? {INSTRUCTION}"
    wanted = f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
    assert text == f"<|endoftext|>{wanted}"
    states = torch.ones(1, 1, 32)
    merged, base = bench.session.model.generate, Decoder(bench.base.stack)
    assert not base.weights(1).qkv(states).equal(merged.weights(1).qkv(states))


def test_a_long_context_is_cut_to_the_budget(bench: Bench) -> None:
    question = Question("q", "k", "Who?", ("a",), passage="rain on the sea " * 400)
    said = trial(bench, "base", question).ask(ARMS["gold"])
    bare = len(text_prompt(bench, "base", "Who?", ""))
    assert bench.budget + bare - 8 <= said.prompt_tokens <= bench.budget + bare
    assert said.prompt_tokens + LIMIT <= 2048


def test_perplexity_of_every_arm_and_again(
    bench: Bench, new_journal: Callable[..., Journal]
) -> None:
    import math

    ids = bench.encode("the storm had taken the boat and the keeper wrote. " * 12)
    book = perplexity.make_book("book", ids, 32, 170)
    assert [len(chunk) for chunk in book[1]] == [32] * 5 + [10]
    arms = parse_arms(",".join(FOR_LOSS), FOR_LOSS)
    events = perplexity.run(bench, [book], arms, new_journal("loss", "perplexity"))
    losses = [event for event in events if isinstance(event, Loss)]
    assert {(loss.arm, loss.chunk) for loss in losses} == {
        (arm, chunk) for arm in FOR_LOSS for chunk in range(1, 6)
    }
    assert all(math.isfinite(loss.nats) and loss.nats > 0 for loss in losses)
    by_arm = {loss.arm: loss.nats for loss in losses if loss.chunk == 1}
    # One chunk in identity memory is the window's text, at the same positions.
    assert by_arm["identity"] == pytest.approx(by_arm["window"], abs=1e-4)
    assert by_arm["closed-book"] != pytest.approx(by_arm["window"], abs=1e-3)
    again = perplexity.run(bench, [book], arms, new_journal("loss", "perplexity"))
    assert not [event for event in again if isinstance(event, Loss)]
    (done,) = read_runs(new_journal("loss", "perplexity").folder)
    (table,) = tables_of(figures_of(done))
    assert [row[0] for row in table.rows()] == [name for name in ARMS if name in FOR_LOSS]


@pytest.fixture
def put(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any, str]]:
    """What is put to networks from here on: network, memory and prompt; nothing is answered."""
    seen: list[tuple[Any, Any, str]] = []

    def no_answer(network: Any, memory: Any, found: Any, prompt: Any, **_: Any) -> Any:
        seen.append((network, memory, bench.decode(prompt)))
        return iter(())

    monkeypatch.setattr("models.generate.stream", no_answer)
    return seen


def searched(bench: Bench) -> Stream:
    """Three chunks to find something in, and one more."""
    texts = [f"The {name} is by the sea in the rain today. " for name in ("boat", "mule", "bell")]
    texts.append("x " * bench.budget + "the very end")
    return Stream("s", [tuple(bench.encode(text)) for text in texts], texts)


def trial(bench: Bench, reader: Any, question: Question, stream: Stream | None = None) -> Trial:
    """A question put to a reader with a text of its own."""
    stream = stream or Stream("s", [], [])
    probe = Probe(question, DOCUMENT, len(stream.chunks), None, 0)
    return Trial(bench, reader, stream, probe, index=Index(stream.texts))


ASKED = Question("q", "k", "Where is the mule by the sea?", ("a",), passage="The passage.")


def test_what_the_base_sees(bench: Bench, put: Any) -> None:
    asked = trial(bench, "base", ASKED, searched(bench))
    for name in ("closed-book", "gold", "window", "bm25-1", "bm25"):
        asked.ask(ARMS[name])
    prompts = [prompt for _, _, prompt in put]
    closed, gold, window, best, more = prompts
    assert all(INSTRUCTION in prompt for prompt in prompts)
    assert "sea in the rain" not in closed + gold
    assert "The passage.\n\nWhere is the mule" in gold
    assert "the very end\n\nWhere" in window
    assert "boat" not in window
    assert "The mule is by the sea in the rain today." in best
    assert "boat" not in best
    # The best chunk is next to the question.
    assert more.index("boat") < more.index("mule is by")
    # What was asked with the same prompt is not asked again.
    assert asked.ask(ARMS["bm25-1"]).present == frozenset({1})
    assert len(put) == 5
    base = bench.base.stack
    assert all(network.generate.stack is base and memory.is_empty for network, memory, _ in put)


def test_what_the_trained_reader_sees(bench: Bench, put: Any) -> None:
    put_to = trial(bench, "trained", ASKED, searched(bench))
    names = ("gold-reader", "bm25-1-reader", "gold-memory", "bm25-1-memory")
    said = [put_to.ask(ARMS[name]) for name in names]
    asked, _ = bench.session.loaded.prompt.render(bench.session.tokenizer, ASKED.text)
    bare = bench.decode(asked)
    shown, best, *none = [prompt for _, _, prompt in put]
    assert "The passage.\n\nWhere is the mule" in shown
    assert "The mule is by the sea in the rain today.\n\nWhere" in best
    assert none == [bare, bare]
    assert INSTRUCTION not in shown + best
    assert {id(network) for network, _, _ in put} == {id(bench.session.model)}
    texts = ["", "", "The passage.", "The mule is by the sea in the rain today."]
    for (_, memory, _), text in zip(put, texts, strict=True):
        ids = bench.encode(text)
        wanted = bench.session.model.empty_memory()
        if ids:
            assert len(ids) <= bench.chunk_tokens
            wanted = read_chunk(bench.session.model, wanted, ids)
        assert memory.stm.tokens.keys.equal(wanted.stm.tokens.keys)
    assert [one.present for one in said] == [None, frozenset({1}), None, frozenset({1})]
    assert said[2].prompt_tokens == said[3].prompt_tokens < said[0].prompt_tokens


def test_a_long_passage_is_remembered_in_chunks(bench: Bench, put: Any) -> None:
    long = Question("q", "k", "Who?", ("a",), passage="rain on the sea " * 400)
    trial(bench, "trained", long).ask(ARMS["gold-memory"])
    ((_, memory, _),) = put
    assert memory.chunks == -(-bench.budget // bench.chunk_tokens)


def test_the_trained_reader_answers_by_its_own_weights(bench: Bench) -> None:
    question = Question("q", "k", "Who kept the boat?", ("a",), passage="Ann kept the boat there.")
    base = trial(bench, "base", question).ask(ARMS["gold"])
    trained = trial(bench, "trained", question)
    said = {name: trained.ask(ARMS[name]).answer for name in ("gold-reader", "gold-memory")}
    assert len({base.answer, *said.values()}) == 3
    network = bench.session.model
    prompt = text_prompt(bench, "trained", question.text, str(question.passage))
    whole = list(prompt)
    for _ in range(len(bench.encode(said["gold-reader"])) + 1):
        whole.append(int(network.generate.logits(torch.tensor([whole]), last=1).argmax()))
    assert bench.decode(whole[len(prompt) :]).startswith(said["gold-reader"])
