"""The retriever of one of our own checkpoints, and its question's side where that was trained by itself.

    retriever.safetensors            f_q, f_k and gates
    question_retriever.safetensors   f_q and gates, in place of those above; absent where they serve

A memory holds the keys that f_k made, so it depends on the first file alone: the second one is not counted
in the fingerprint, and what it says of a question holds for every memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from models.checkpoints.loaded import CheckpointError, explained
from models.durable import new_file

RETRIEVER = "retriever.safetensors"
QUESTION = "question_retriever.safetensors"
_KEYS = "key."
"""In front of the names of f_k's weights."""


def question_side(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a retriever's weights that no key depends on."""
    return {name: weight for name, weight in state.items() if not name.startswith(_KEYS)}


def read_retriever(folder: Path) -> dict[str, Tensor]:
    """The state of a checkpoint's retriever, with its question's side from a file of its own if it has one.

    Raises:
        CheckpointError: a file is missing or damaged, or the two do not fit together.
    """
    state, path = _read(folder / RETRIEVER), folder / QUESTION
    if not path.exists():
        return state
    ours, replaced = _read(path), question_side(state)
    if _shapes(ours) != _shapes(replaced):
        raise CheckpointError(
            f"{path}: does not fit {RETRIEVER}: fetch both again, or delete it to ask with that one alone"
        )
    return state | ours


def save_question_side(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Put the question's side of a retriever's state into a checkpoint, in bfloat16, in place of the one that
    it may have. Its keys are not written: memories hold those of the checkpoint.

    Raises:
        CheckpointError: it does not fit the checkpoint's retriever.
    """
    ours = {
        name: weight.detach().to("cpu", torch.bfloat16).contiguous()
        for name, weight in question_side(state).items()
    }
    if _shapes(ours) != _shapes(question_side(_read(folder / RETRIEVER))):
        raise CheckpointError(f"{folder / RETRIEVER}: is of another geometry")
    with new_file(folder / QUESTION) as file:
        file.write(save(ours, metadata={"format": "pt"}))


def has_same_keys(folder: Path, earlier: Path) -> bool:
    """Whether two checkpoints make the same keys, whatever they make of questions."""
    own, other = _read(folder / RETRIEVER), _read(earlier / RETRIEVER)
    return own.keys() == other.keys() and all(
        torch.equal(own[name], other[name]) for name in own.keys() - question_side(own).keys()
    )


def take_keys(folder: Path, earlier: Path) -> None:
    """Give a checkpoint the retriever's file of one that makes the same keys, and keep its own question's
    side beside it."""
    state, theirs = read_retriever(folder), _read(earlier / RETRIEVER)
    if any(not torch.equal(weight, theirs[name]) for name, weight in state.items()):
        save_question_side(folder, state)  # first: `state` is mapped from the file that is replaced
    with (earlier / RETRIEVER).open("rb") as source, new_file(folder / RETRIEVER) as file:
        shutil.copyfileobj(source, file)


def _read(path: Path) -> dict[str, Tensor]:
    with explained(path):
        return load_file(path)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in state.items()}
