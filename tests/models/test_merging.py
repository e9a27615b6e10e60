"""Weights merged ahead are those that loading merges itself, and a failure of theirs changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.checkpoints import CheckpointError, load
from models.merging import GENERATE, UPDATE, MergedAhead

HEAVY = ("transformers", "peft")


def begin(folder: Path, base: Path, dtype: torch.dtype = torch.float32) -> MergedAhead:
    return MergedAhead(base, (folder / UPDATE, folder / GENERATE), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_weights_as_without(
    tiny_checkpoint_folder: Path, tiny_base_folder: Path, dtype: torch.dtype
) -> None:
    plain = load(tiny_checkpoint_folder, base=tiny_base_folder, dtype=dtype)
    ahead = begin(tiny_checkpoint_folder, tiny_base_folder, dtype)
    quick = load(tiny_checkpoint_folder, base=tiny_base_folder, dtype=dtype, ahead=ahead)
    assert quick.fingerprint == plain.fingerprint
    for one, other in zip(plain.model.modules(), quick.model.modules(), strict=True):
        held, found = one.state_dict(), other.state_dict()
        assert held.keys() == found.keys()
        assert all(torch.equal(held[name], found[name]) for name in held)


def test_every_adapted_projection_is_merged_once(
    tiny_checkpoint_folder: Path, tiny_base_folder: Path
) -> None:
    ahead = begin(tiny_checkpoint_folder, tiny_base_folder)
    update = ahead.take(tiny_checkpoint_folder / UPDATE)
    assert len(update) == 3 * 7
    assert ahead.take(tiny_checkpoint_folder / UPDATE) == {}, "it keeps no second copy"
    assert ahead.take(tiny_checkpoint_folder / "other") == {}


def test_what_is_of_another_type_is_merged_again(
    tiny_checkpoint_folder: Path, tiny_base_folder: Path
) -> None:
    ahead = begin(tiny_checkpoint_folder, tiny_base_folder, torch.bfloat16)
    loaded = load(tiny_checkpoint_folder, base=tiny_base_folder, dtype=torch.float32, ahead=ahead)
    weights = loaded.model.generate.llama.state_dict().values()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_what_cannot_be_merged_is_left_to_loading(
    tiny_checkpoint_folder: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    ahead = begin(tmp_path / "missing", tiny_base_folder)
    assert ahead.take(tmp_path / "missing" / UPDATE) == {}
    load(tiny_checkpoint_folder, base=tiny_base_folder, ahead=ahead)
    with pytest.raises(CheckpointError):
        load(tmp_path, base=tiny_base_folder, ahead=ahead)


def test_it_begins_before_the_network_is_imported() -> None:
    modules = "sys, models.merging, models.precision"
    program = f"import {modules}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
