"""What is trained is what is used: a row's logits are those of the generate pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.checkpoints.base import load_tokenizer
from models.config import ConfigError
from models.generate import prefill
from models.memory import Memory, ShortTermMemory, Tokens, concatenate
from models.network import MPlusModel
from models.recall import look_up
from models.training.batch import Batch
from models.training.config import TrainingConfig
from models.training.data import DataError
from models.training.prefetch import Prefetched
from models.training.recall import chunk_scores, prefix_relevance
from models.training.sampler import Inline
from models.training.start import StreamMaker, start

MODEL = {
    "chunk_tokens": 32,
    "new_tokens": 16,
    "stm_tokens": 128,
    "recalled_tokens": 32,
    "max_prompt_tokens": 128,
    "scorer": "maxsim",
    "retriever_width": 8,
    "retriever_hidden": 8,
    "retriever_layers": [0, 2],
    "update_lora_rank": 4,
    "generate_lora_rank": 4,
}


def memory_of(model: MPlusModel, parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Memory:
    """Short-term memory of chunks given as keys, values (L, K, H, d) and normed states (R, K, D)."""
    tokens = []
    for number, (keys, values, normed) in enumerate(parts):
        lookup = torch.stack([model.retriever.keys(row, part) for row, part in enumerate(normed)])
        numbers = torch.full((1, keys.shape[1]), number)
        tokens.append(Tokens(keys, values, lookup, numbers))
    stm, tail = concatenate(tokens), model.empty_memory().stm.tail
    ages = torch.arange(len(stm))[None]
    return Memory(ShortTermMemory(stm, ages, tail), (), len(stm), len(parts))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"relevance_weight": 0.7, "memory_layers": [1, 2]},
        {"relevance_weight": 0.7, "window_weight": 0.9, "window_tokens": 8},
        {"relevance_weight": 0.7, "window_weight": 0.9, "window_tokens": 4, "window_limit": 0.05},
    ],
    ids=["pooled", "some layers", "windows", "limited windows"],
)
@torch.no_grad()
def test_rows_are_read_as_prompts_are(
    tmp_path: Path, tiny_base_folder: Path, changes: dict[str, Any]
) -> None:
    config = TrainingConfig(
        model=MODEL | changes,
        facts=0.0,
        qa=(_passages(tmp_path),),
        streams=2,
        questions=3,
        past=0.5,
        distractors=3,
        pool=6,
        continuation_tokens=16,
        cue_tokens=4,
        seed=5,
    )
    run, _ = start(config, tmp_path / "run", tiny_base_folder, dtype=torch.float32)
    trainee, sampler, model = run._trainee, run._sampler, run.model
    for name, parameter in trainee.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model = model.with_fresh_bos()
    batch = sampler.batch()
    for _ in range(50):
        crowded = (batch.order >= 0).sum(dim=1) > 1
        if bool(crowded.all()) and bool((batch.answered > 0).all()):
            break
        sampler.remember(trainee(batch)[1])
        batch = sampler.batch()
    states = trainee._write(batch)
    keys, values, normed = trainee._encoded(states)
    scores = chunk_scores(model, batch, normed)
    hidden = trainee._read(batch, keys, values, prefix_relevance(model, batch, scores, normed))
    compared = 0
    for stream in range(2):
        own = (
            torch.stack([layer[stream] for layer in keys]),
            torch.stack([layer[stream] for layer in values]),
            normed[:, stream],
        )
        past = [
            (
                batch.past.keys[:, stream, slot],
                batch.past.values[:, stream, slot],
                batch.past.normed[:, stream, slot],
            )
            for slot in batch.candidates[stream].tolist()
        ]
        parts = [[own, *past][at] for at in batch.order[stream].tolist() if at >= 0]
        compared += compare(model, memory_of(model, parts), batch, hidden, stream)
    assert compared >= 2


def compare(model: MPlusModel, memory: Memory, batch: Batch, hidden: Tensor, stream: int) -> int:
    """Compare every answer's row part with a prefill of the same ids; how many there were."""
    answered = int(batch.answered[stream])
    for number in range(answered):
        query = batch.questions[stream, number][batch.real[stream, number]]
        place = batch.rows.examples[stream] == number
        ids = batch.rows.ids[stream][place].tolist()
        recall = look_up(model, memory, query.tolist()).recall
        wanted, _ = prefill(model, memory, recall, ids, spare=0, all_logits=True)
        found = model.generate.final(hidden[stream][place]).float()
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)
    return answered


def _passages(folder: Path) -> str:
    path = folder / "qa.jsonl"
    things = [("door", "red"), ("boat", "blue"), ("hat", "green"), ("cart", "black")]
    records = [
        {
            "context": f"The {thing} of Ald is {colour}.",
            "qas": [{"question": f"What colour is the {thing}?", "answers": [colour]}],
        }
        for thing, colour in things
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_drawing_ahead_changes_nothing(tmp_path: Path, tiny_base_folder: Path) -> None:
    """Two processes draw three streams, over a pause too, as this one would."""
    config = TrainingConfig(
        model=MODEL,
        qa=(_passages(tmp_path),),
        facts=0.5,
        clozes=2,
        streams=3,
        seed=3,
        continuation_tokens=16,
        cue_tokens=4,
        negatives=2,
    )
    make, numbers = StreamMaker(config, tiny_base_folder, 2), range(3)
    inline = Inline(make(numbers))
    first = Prefetched(make, numbers, 2)
    try:
        for _ in range(4):
            assert first.next() == inline.next()
            assert first.states() == inline.states()
        states = first.states()
        paused = Inline(make(numbers))
        paused.restore(states)
        first.restore(states)
        assert [first.next() for _ in range(4)] == [paused.next() for _ in range(4)]
        assert first.states() == paused.states()
        for worker in first._workers:
            worker._process.kill()
        with pytest.raises(ValueError, match="died"):
            all(first.next() for _ in range(20))
    finally:
        first.close()


def test_data_that_cannot_be_read_ahead_is_one_error(
    tmp_path: Path, tiny_base_folder: Path
) -> None:
    config = TrainingConfig(model=MODEL, qa=(str(tmp_path / "nowhere.jsonl"),))
    drawing = Prefetched(StreamMaker(config, tiny_base_folder, 2), range(2), 2)
    try:
        with pytest.raises(DataError, match="nowhere"):
            drawing.next()
    finally:
        drawing.close()


def _first_words(question: str, texts: Sequence[str], count: int) -> list[str]:
    return [" ".join(text.split()[:3]) for text in texts[:count]]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_questions_is_asked_with_passages(
    tmp_path: Path, tiny_base_folder: Path, share: float
) -> None:
    config = TrainingConfig(
        model=MODEL, qa=(_passages(tmp_path),), facts=0, streams=1, reread=2, reread_share=share,
        continuation_tokens=16, cue_tokens=4,
    )  # fmt: skip
    make = StreamMaker(config, tiny_base_folder, 2, _first_words)
    (stream,), tokenizer = make([0]), load_tokenizer(tiny_base_folder)
    asked, shown = 0, 0
    for _ in range(12):
        drawn = stream.draw()
        for example, (query, _) in zip(
            drawn.examples[: drawn.answered], drawn.questions, strict=False
        ):
            prompt, question = tokenizer.decode(example.prompt), tokenizer.decode(query)
            asked += 1
            shown += prompt.count(question) == 2
            assert prompt.count(question) == 1 or f"{question}\n\nThe " in prompt
    assert asked > 10
    assert {0.0: shown == 0, 0.5: 0 < shown < asked, 1.0: shown == asked}[share]


def test_passages_need_someone_to_choose_them(tmp_path: Path, tiny_base_folder: Path) -> None:
    config = TrainingConfig(model=MODEL, qa=(_passages(tmp_path),), reread=2)
    with pytest.raises(ConfigError, match="reread"):
        start(config, tmp_path / "run", tiny_base_folder)
