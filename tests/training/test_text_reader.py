"""A reader of text on a tiny base: what it is shown, that it learns, resumes, and is what `ask` uses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.checkpoints import CheckpointError, load
from models.checkpoints.base import load_tokenizer
from models.config import ConfigError
from models.prompts import REFUSAL, encode_plain
from models.training.config import TrainingConfig
from models.training.curves import read_curves
from models.training.data import DataError
from models.training.loop import Run, Step
from models.training.rows import IGNORED
from models.training.start import StreamMaker, export, start
from models.training.text_reader import span_of
from models.training.weights import read_weights, starting_weights
from mplus_cli.asking.rereading import passages_for_second
from mplus_cli.asking.second_opinion import ask_second
from mplus_cli.errors import UsageError
from mplus_cli.settings import Flags, resolve
from mplus_cli.training.run import TrainingOrder, recipes, train

THINGS = (("door", "red"), ("boat", "blue"), ("hat", "green"), ("cart", "black"))


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    path = tmp_path / "qa.jsonl"
    records = [
        {
            "context": f"Ald has many things. The {thing} of Ald is {colour}. Nobody knows more.",
            "qas": [{"question": f"What colour is the {thing}?", "answers": [colour.upper()]}],
        }
        for thing, colour in THINGS
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return TrainingConfig(
        model={"chunk_tokens": 64, "new_tokens": 32},
        qa=(str(path),),
        validation=(str(path),),
        text_lora_rank=2,
        reread=2,
        steps=6,
        streams=2,
        questions=2,
        continuations=0,
        distractors=2,
        pool=3,
        facts=0.0,
        unanswerable=0.2,
        near_misses=0.3,
        learning_rate=5e-3,
        warmup=2,
        save_every=3,
        validate_every=3,
        validation_questions=3,
    )


@pytest.fixture
def checkpoint(tiny_base_folder: Path, tiny_checkpoint_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint beside its base."""
    shutil.copytree(tiny_base_folder, tmp_path / "tiny-base")
    return Path(shutil.copytree(tiny_checkpoint_folder, tmp_path / "one"))


def begin(config: TrainingConfig, folder: Path, base: Path, *weights: Path) -> Run:
    run, _ = start(
        config, folder, base, dtype=torch.float32, weights=weights, passages=passages_for_second
    )
    return run


def changed(config: TrainingConfig, **values: Any) -> TrainingConfig:
    return TrainingConfig(**{name: getattr(config, name) for name in config.__slots__} | values)


def test_questions_are_shown_what_answers_them(
    config: TrainingConfig, tiny_base_folder: Path
) -> None:
    stream = StreamMaker(config, tiny_base_folder, 2, passages_for_second)([0])[0]
    tokenizer = load_tokenizer(tiny_base_folder)
    refused = 0
    for example in (example for _ in range(30) for example in stream.draw().examples):
        prompt, answer = tokenizer.decode(example.prompt), tokenizer.decode(example.target[:-1])
        shown = prompt.split("?\n\n")[1]
        assert prompt.count("What colour is the") == 2
        assert example.target[-1] == 2
        assert answer == REFUSAL or f"is {answer}." in shown
        refused += answer == REFUSAL
    assert refused > 3


def test_it_learns_and_a_resumed_run_is_the_same(
    config: TrainingConfig, tiny_base_folder: Path, tmp_path: Path
) -> None:
    config = changed(config, steps=30, unanswerable=0.0, near_misses=0.0, validate_every=15)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    seen = [e for e in begin(config, whole, tiny_base_folder).events() if isinstance(e, Step)]
    first, last = (sum(step.answer for step in part) for part in (seen[:5], seen[-5:]))
    assert last < 0.8 * first
    held_out = read_curves(whole / "validation.csv")["answer"]
    assert held_out[1] < held_out[0]

    for until in (8, 30):
        list(begin(config, parts, tiny_base_folder).events(until))
    mine, other = (load_file(folder / "last" / "weights.safetensors") for folder in (whole, parts))
    assert {name.split(".")[-2] for name in mine} == {"text_lora"}
    assert all(torch.equal(other[name], value) for name, value in mine.items())


def test_it_begins_as_the_reader_of_memory(
    config: TrainingConfig, checkpoint: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    generate = load(checkpoint, base=tiny_base_folder, dtype=torch.float32).model.generate
    run = begin(config, tmp_path / "run", tiny_base_folder, checkpoint)
    rows = run._sampler.batch()
    hidden = run._trainee._read(rows)  # type: ignore[operator]
    for number in range(len(rows.ids)):
        ids = rows.ids[number][rows.examples[number] == 0]
        found = generate.final(hidden[number : number + 1, : len(ids)]).float()
        torch.testing.assert_close(found, generate.logits(ids[None]).float(), atol=2e-3, rtol=1e-3)


def test_a_lower_rank_is_the_closest(checkpoint: Path) -> None:
    weights = read_weights(checkpoint)
    before, lower = (starting_weights(weights, rank) for rank in (2, 1))
    name = "llama.model.layers.0.mlp.up_proj.lora_{}.text_lora.weight"
    product = before[name.format("B")] @ before[name.format("A")]
    left = product - lower[name.format("B")] @ lower[name.format("A")]
    values = torch.linalg.svdvals(product.float())
    assert torch.linalg.svdvals(left.float())[0] == pytest.approx(float(values[1]), rel=0.02)
    with pytest.raises(ConfigError, match="rank 2"):
        starting_weights(weights, 3)


def test_it_is_put_into_a_checkpoint_and_asked(
    config: TrainingConfig, checkpoint: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}
    mark = load(checkpoint, dtype=torch.float32).fingerprint
    run = begin(config, tmp_path / "run", tmp_path / "tiny-base", checkpoint)
    list(run.events())
    with pytest.raises(CheckpointError, match=r"mplus\.json"):
        export(run, tmp_path / "none", name="x", base=tmp_path, base_reference="x")
    for _ in range(2):  # over the one that is there, too
        export(run, checkpoint, name="x", base=tmp_path, base_reference="x")
    assert before == {
        path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()
    }
    loaded = load(checkpoint, dtype=torch.float32)
    assert loaded.fingerprint == mark

    session: Any = SimpleNamespace(
        loaded=loaded, tokenizer=loaded.tokenizer, text_reader=loaded.text_reader
    )
    question, passages = "What colour is the hat?", ("The hat of Ald is green.",)
    asked = ask_second(session, question, [passages], ("green",))[0]
    ids = loaded.prompt.render(loaded.tokenizer, "\n\n".join((question, *passages, question)))[0]
    answer = encode_plain(loaded.tokenizer, "green")
    rows = run._sampler.batch()
    rows.ids[0, : len(ids) + len(answer)] = torch.tensor([*ids, *answer])
    rows.offsets[0], rows.examples[0] = torch.arange(rows.ids.shape[1]), 0
    rows.targets[:] = IGNORED
    rows.kinds[0, len(ids) - 1 : len(ids) + len(answer)] = 1
    rows.targets[0, len(ids) - 1 : len(ids) + len(answer)] = torch.tensor([*answer, 2])
    with torch.no_grad():
        loss = float(run._trainee(rows)[0].answer) * len(rows.ids)
    assert asked.given[0].nats == pytest.approx(-loss * (len(answer) + 1), rel=0.02)


@pytest.mark.parametrize(
    ("answer", "text", "span"),
    [
        ("The Old King.", "He saw the old king there.", "the old king"),
        ("king", "the kingdom of a King", "King"),
        ("king", "the kingdom", None),
        ("a (b", "it is a (b) now", "a (b"),
        (" . ", "nothing . at all", None),
    ],
)
def test_an_answer_is_as_the_text_writes_it(answer: str, text: str, span: str | None) -> None:
    assert span_of(answer, text) == span


def test_what_does_not_fit_says_so(
    config: TrainingConfig, tiny_base_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="reread"):
        changed(config, reread=0)
    Path(config.qa[0]).write_text('{"context": "A red door.", "qas": []}\n')
    with pytest.raises(DataError, match="qa"):
        begin(config, tmp_path / "run", tiny_base_folder)
    order = TrainingOrder("text-reader", tmp_path / "run", None, (), (), tmp_path / "none", None)
    with pytest.raises(UsageError, match="copy it"):
        list(train(resolve(Flags()), order, progress=print, passages=passages_for_second))
    assert TrainingConfig.read(recipes()["text-reader"]).text_lora_rank == 30
