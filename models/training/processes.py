"""The processes that share a run: of `accelerate launch` or `torchrun`, or just this one.

Only adapters and retriever learn, some 40 MB of gradients, so averaging them after the backward pass is
all that data parallelism takes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device | str) -> Processes:
        """Join the group that the launcher describes in the environment; without one, stand alone.

        Args:
            device: this process's, see `own_device`.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls()
        if not distributed.is_initialized():
            # Its functions take the group of the moment of import as their default: imported later,
            # they would hold the group beyond `leave`, and its threads may abort a process that exits.
            importlib.import_module("torch.distributed.nn.functional")
            on_gpu = torch.device(device).type == "cuda"
            if on_gpu and ":" in str(device):
                torch.cuda.set_device(device)  # NCCL gathers objects on the current device
            distributed.init_process_group("nccl" if on_gpu else "gloo")
        return cls(distributed.get_rank(), size)

    @property
    def is_main(self) -> bool:
        """Whether it is the one that reports and saves."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """The numbers of this process's streams, of `count`.

        Raises:
            ValueError: the streams do not divide evenly among the processes.
        """
        if count % self.size:
            raise ValueError(
                f"{count} streams cannot be divided evenly among {self.size} processes"
            )
        each = count // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def average(self, weights: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; a missing one counts as zeros."""
        if self.size == 1:
            return
        learning = list(weights)
        for weight in learning:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in learning if weight.grad is not None]
        # In one exchange: hundreds of small ones cost more than a step's arithmetic.
        flat = torch.cat([gradient.flatten().float() for gradient in gradients])
        distributed.all_reduce(flat)
        flat.div_(self.size)
        for gradient, mean in zip(
            gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in rank order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def leave(self) -> None:
        """Leave the group: its threads have ended when this returns."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The device of this process: one GPU each, numbered by the launcher."""
    number = os.environ.get("LOCAL_RANK", "")
    return torch.device(f"cuda:{number}") if str(device) == "cuda" and number else device
