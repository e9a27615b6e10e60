"""AdamW on float32 master copies of bf16 weights, with a warmed-up cosine schedule.

Shapes: as the weights given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.compat import copy_each


class MasterAdamW:
    """Updates float32 masters and copies them to the weights, so that small steps are not lost."""

    def __init__(
        self,
        groups: Sequence[tuple[Sequence[nn.Parameter], float]],
        *,
        weight_decay: float,
        clip: float,
    ) -> None:
        """Weights in groups, each with its peak learning rate."""
        self._weights = [list(weights) for weights, _ in groups]
        self._masters = [
            [weight.detach().to(torch.float32, copy=True) for weight in weights]
            for weights in self._weights
        ]
        self._rates = [rate for _, rate in groups]
        self._clip = clip
        self._optimiser = torch.optim.AdamW(
            [
                {"params": masters, "lr": rate}
                for masters, rate in zip(self._masters, self._rates, strict=True)
            ],
            betas=(0.9, 0.99),
            weight_decay=weight_decay,
            foreach=True,
        )

    def step(self, share: float) -> float:
        """One step at `share` of the peak rates; returns the gradients' norm before clipping."""
        squares = []
        for weights, masters in zip(self._weights, self._masters, strict=True):
            for weight, master in zip(weights, masters, strict=True):
                master.grad = None if weight.grad is None else weight.grad.float()
                weight.grad = None
            gradients = [master.grad for master in masters if master.grad is not None]
            squares.append(nn.utils.clip_grad_norm_(masters, self._clip) if gradients else 0.0)
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        self._optimiser.step()
        self._copy()
        return math.sqrt(sum(float(square) ** 2 for square in squares))

    def state_dict(self) -> dict[str, Tensor]:
        """Masters and moments as flat tensors."""
        out: dict[str, Tensor] = {}
        for group, masters in enumerate(self._masters):
            for number, master in enumerate(masters):
                out[f"{group}.{number}.master"] = master
                for name, value in self._optimiser.state.get(master, {}).items():
                    out[f"{group}.{number}.{name}"] = torch.as_tensor(value)
        return out

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state_dict` gave; KeyError if something of it is missing."""
        for group, masters in enumerate(self._masters):
            for number, master in enumerate(masters):
                key = f"{group}.{number}."
                master.copy_(state[key + "master"])
                moments: dict[str, Any] = {
                    name: state[key + name]
                    for name in ("step", "exp_avg", "exp_avg_sq")
                    if key + name in state
                }
                if moments:
                    self._optimiser.state[master] = moments
        self._copy()

    def _copy(self) -> None:
        with torch.no_grad():
            for weights, masters in zip(self._weights, self._masters, strict=True):
                if weights:
                    copy_each(list[Tensor](weights), masters)


def cosine(step: int, steps: int, warmup: int, final: float) -> float:
    """Share of the peak rate at `step` (from 0): linear warm-up, then a cosine down to `final`."""
    if step < warmup:
        return (step + 1) / warmup
    done = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))
