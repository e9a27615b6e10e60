"""The question's side of a retriever in a file of its own: asked with, and no memory's business."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoints import CheckpointError, Loaded, load, own_weights
from models.checkpoints.own import keep_memories
from models.checkpoints.question_side import (
    QUESTION,
    RETRIEVER,
    question_side,
    read_retriever,
    save_question_side,
)
from models.memory import Memory
from models.scan import ChunkScore, score_chunks
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]


@pytest.fixture
def checkpoint(tiny_base_folder: Path, tiny_checkpoint_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, beside one of its base."""
    shutil.copytree(tiny_base_folder, tmp_path / "tiny-base")
    return Path(shutil.copytree(tiny_checkpoint_folder, tmp_path / "tiny-checkpoint"))


def trained(folder: Path) -> dict[str, Tensor]:
    """A retriever's state after training, that of keys too."""
    return {name: weight + 0.5 for name, weight in load_file(folder / RETRIEVER).items()}


def ask(loaded: Loaded, chunk_ids: Ids) -> tuple[list[ChunkScore], Memory]:
    memory = loaded.model.empty_memory()
    for number in range(6):
        memory = read_chunk(loaded.model, memory, chunk_ids(number, 30))
    return score_chunks(loaded.model, memory, chunk_ids(99, 9)), memory


def test_questions_are_asked_with_it_and_memories_are_as_before(
    checkpoint: Path, chunk_ids: Ids
) -> None:
    before = load(checkpoint, dtype=torch.float32)
    state, whole = trained(checkpoint), (checkpoint / RETRIEVER).read_bytes()
    save_question_side(checkpoint, state)
    after = load(checkpoint, dtype=torch.float32)
    assert after.fingerprint == before.fingerprint
    assert (checkpoint / RETRIEVER).read_bytes() == whole
    own = after.model.retriever.state_dict()
    for name, weight in before.model.retriever.state_dict().items():
        wanted = weight if name.startswith("key.") else state[name].to(torch.bfloat16).float()
        assert torch.equal(own[name], wanted), name
    (scores, memory), (others, same) = ask(before, chunk_ids), ask(after, chunk_ids)
    assert torch.equal(memory.stm.tokens.retriever_keys, same.stm.tokens.retriever_keys)
    assert scores != others
    assert score_chunks(after.model, memory, chunk_ids(99, 9)) == others
    weights = own_weights(checkpoint)[1]  # what training starts from
    assert {name: weight.dtype for name, weight in weights.items()}.keys() == own.keys()
    assert torch.equal(weights["gate.0.weight"].float(), own["gate.0.weight"])


def test_what_does_not_fit_is_not_written(checkpoint: Path) -> None:
    state = trained(checkpoint)
    state["gate.0.bias"] = torch.zeros(2)
    with pytest.raises(CheckpointError, match="geometry"):
        save_question_side(checkpoint, state)
    assert not (checkpoint / QUESTION).exists()


def _changed(name: str, weight: Tensor | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = load_file(path)
        tensors.pop(name, None)
        save_file(tensors if weight is None else tensors | {name: weight}, path)

    return change


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_cut, "damaged safetensors"),
        (_changed("gate.0.bias", None), "does not fit retriever.safetensors"),
        (_changed("gate.0.bias", torch.zeros(2)), "does not fit retriever.safetensors"),
        (_changed("key.0.linear.weight", torch.zeros(8, 32)), "does not fit retriever.safetensors"),
    ],
)
def test_a_damaged_file_is_named(
    checkpoint: Path, damage: Callable[[Path], None], says: str
) -> None:
    save_question_side(checkpoint, trained(checkpoint))
    load(checkpoint)
    damage(checkpoint / QUESTION)
    with pytest.raises(
        CheckpointError, match=rf"question_retriever\.safetensors.*{says}"
    ) as caught:
        load(checkpoint)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_trained_from_one_opens_its_memories(checkpoint: Path, tmp_path: Path) -> None:
    """A run writes the retriever as a whole: that its keys are the same is enough."""
    save_question_side(checkpoint, trained(checkpoint))
    exported = Path(shutil.copytree(checkpoint, tmp_path / "exported"))
    state = read_retriever(checkpoint)
    save_file(state, exported / RETRIEVER, metadata={"format": "pt"})
    (exported / QUESTION).unlink()
    assert load(exported).fingerprint != load(checkpoint).fingerprint
    os.link(exported / RETRIEVER, tmp_path / "in use")
    keep_memories(exported, checkpoint, tmp_path / "tiny-base")
    assert (exported / RETRIEVER).read_bytes() == (checkpoint / RETRIEVER).read_bytes()
    for name, weight in load_file(tmp_path / "in use").items():  # replaced, not written over
        assert torch.equal(weight, state[name]), name
    assert load(exported).fingerprint == load(checkpoint).fingerprint
    for name, weight in question_side(read_retriever(exported)).items():
        assert torch.equal(weight, state[name]), name
