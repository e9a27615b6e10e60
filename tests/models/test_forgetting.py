"""The published layout's forgetting, against a restatement of the reference's, token by token.

As its `update_ltm` has it: what leaves short-term memory waits, joins long-term memory every few updates with
a new frequency, and all frequencies fall; in layers that would be left with too few tokens the fall is taken
back.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoints import CheckpointError
from models.checkpoints.parity import check, ties_as_recorded
from models.checkpoints.published import load_network
from models.forgetting import UnfitMemory
from models.generate import prefill
from models.recall import TokenRecall
from models.update import read_chunk
from mplus_cli.errors import ExitCode
from mplus_cli.failures import explain

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "parity"
LAYERS, SHIPPED, NEW, BUDGET = 3, 48, 16, 32


@dataclass
class OneLayer:
    """The reference's lists of one layer; tokens are numbered as they came."""

    frequencies: dict[int, float]
    waiting: list[int] = field(default_factory=list)
    came: int = SHIPPED
    updates: int = 0

    def update(self, initial: float, decay: float, every: int) -> None:
        self.waiting += range(self.came, self.came + NEW)
        self.came += NEW
        self.updates += 1
        if self.updates < every:
            return
        self.frequencies |= dict.fromkeys(self.waiting, initial)
        self.waiting, self.updates = [], 0
        faded = {token: left - decay for token, left in self.frequencies.items()}
        kept = {token: left for token, left in faded.items() if left > 0.01}
        if len(kept) > BUDGET:
            self.frequencies = kept
        else:
            self.frequencies = {token: left + decay for token, left in faded.items()}

    @property
    def held(self) -> list[int]:
        return [*self.frequencies, *self.waiting]


def forgetful(folder: Path, frequencies: torch.Tensor, **settings: Any) -> Any:
    """The fixture with other frequencies (L, m), told to forget."""
    shutil.copytree(FIXTURE, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"forget_expired": True} | settings))
    tensors = load_file(folder / "model.safetensors")
    for layer, row in enumerate(frequencies):
        tensors[f"ltm_recall_frequencies.{layer}"] = row.float().contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return load_network(folder, device="cpu", dtype=torch.float32, attention="sdpa")


UNEVEN = torch.stack([torch.arange(SHIPPED) * step % 11 for step in (3, 5, 7)]) / 2


@pytest.mark.parametrize(
    ("frequencies", "initial", "decay", "every"),
    [
        (torch.full((LAYERS, SHIPPED), 4.0), 4, 1, 3),
        (UNEVEN, 3, 1, 2),
        (UNEVEN, 0.3, 0.1, 1),  # 0.3 - 0.1 - 0.1 - 0.1 is not 0
        (torch.zeros(LAYERS, SHIPPED), 1, 1, 1),  # would leave nothing: nothing is forgotten
        (UNEVEN[:, :], 2, 0, 2),  # nothing ever fades
    ],
    ids=["even", "uneven", "fractions", "too few left", "no decay"],
)
def test_indices_and_sizes_after_every_update(
    tmp_path: Path, frequencies: torch.Tensor, initial: float, decay: float, every: int
) -> None:
    network = forgetful(
        tmp_path / "own",
        frequencies,
        initial_rf_when_moving_stm_to_ltm=initial,
        decay_frequency=decay,
        update_ltm_frequency=every,
    )
    model, memory = network.model, network.memory
    told = [OneLayer(dict(enumerate(row.tolist()))) for row in frequencies]
    for update in range(1, 25):
        memory = read_chunk(model, memory, [update] * NEW)
        for layer in told:
            layer.update(initial, decay, every)
        gone = SHIPPED + update * NEW - memory.ltm_tokens  # of the oldest, in every layer
        places = model.forgetting.places(memory.chunks, memory.ltm_tokens)
        assert [(row + gone).tolist() for row in places] == [layer.held for layer in told]
    assert gone == min(layer.held[0] for layer in told)
    recall = TokenRecall(model, memory, BUDGET)
    prefill(model, memory, recall, [1, 2, 3], spare=0)
    for index, layer in enumerate(told):
        assert {place + gone for place in recall.indices[index].tolist()} <= set(layer.held)
        assert len(recall.indices[index]) == min(BUDGET, *(len(one.held) for one in told))


def test_recall_is_that_of_a_memory_without_the_forgotten(tmp_path: Path) -> None:
    """All layers forget the first 16 shipped tokens, which then take no room either."""
    even = torch.full((LAYERS, SHIPPED), 9.0)
    even[:, :NEW] = 1
    network = forgetful(tmp_path / "own", even, update_ltm_frequency=1)
    model, memory = network.model, read_chunk(network.model, network.memory, [7] * NEW)
    assert memory.ltm_tokens == SHIPPED
    plain = load_network(FIXTURE, device="cpu", dtype=torch.float32, attention="sdpa").model
    recall = TokenRecall(model, memory, BUDGET)
    logits, _ = prefill(model, memory, recall, [1, 2, 3], spare=0)
    expected, _ = prefill(plain, memory, TokenRecall(plain, memory, BUDGET), [1, 2, 3], spare=0)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("change", [1, -1])
def test_a_memory_of_other_settings_is_refused(tmp_path: Path, change: int) -> None:
    """One that holds more than was ever there, or less than a layer is to hold, is asked in no way."""
    network = forgetful(tmp_path / "own", UNEVEN, update_ltm_frequency=1)
    forgetting, memory = network.model.forgetting, network.memory
    memory = read_chunk(network.model, memory, [7] * NEW)
    held = forgetting.held(memory.chunks)
    tokens = held.shape[1] + 1 if change > 0 else forgetting.newest(memory.chunks) - 1
    with pytest.raises(
        UnfitMemory, match=f"^the memory holds {tokens} tokens .* read its documents"
    ):
        forgetting.places(memory.chunks, tokens)
    line, code = explain(UnfitMemory("it does not fit"))
    assert (line, code) == ("it does not fit", ExitCode.MISMATCH)


@pytest.mark.skipif(
    not ties_as_recorded(FIXTURE), reason="this processor sorts equal ages in another order"
)
def test_the_reference_s_numbers_stay_while_nothing_has_expired(tmp_path: Path) -> None:
    forgetful(tmp_path / "own", torch.full((LAYERS, SHIPPED), 10.0))
    assert [str(one) for one in check(tmp_path / "own") if not one.within(1e-4)] == []
    frequencies = load_file(FIXTURE / "golden.safetensors")["step8.ltm_recall.0"]
    assert sorted(frequencies.unique().tolist()) == [8, 9]  # it shipped 10: two of nine falls


def test_nothing_is_forgotten_unless_it_is_asked_for() -> None:
    network = load_network(FIXTURE, device="cpu", dtype=torch.float32, attention="sdpa")
    assert network.model.forgetting is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"forget_expired": "yes"}, "forget_expired is 'yes': give true or false"),
        ({"decay_frequency": -1}, "decay_frequency is -1"),
        ({"update_ltm_frequency": 0}, "update_ltm_frequency is 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        forgetful(tmp_path / "own", torch.ones(LAYERS, SHIPPED), **settings)
    broken = torch.full((LAYERS, SHIPPED), torch.nan)
    with pytest.raises(CheckpointError, match="not numbers"):
        forgetful(tmp_path / "other", broken)
