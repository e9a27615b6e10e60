"""Estimates how long reading will take without loading weights: from the size of the network and the speed
of this machine at multiplying matrices of that size. Independent of the documents.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from models.json_file import read_object
from mplus_cli.errors import UsageError

if TYPE_CHECKING:
    import torch

_TRIAL_SECONDS = 0.2
_CHUNK = 512  # tokens that go through a layer together
_REST = 1.7
"""What an update pass takes beside its matrices: attention, norms, keys and values of the memory. By
`mplus ingest` with the default on two CPU cores."""
_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers")


def seconds_per_token(folder: Path, device: str) -> float | None:
    """Seconds that reading a token takes here, None where the size of the base is not known.

    Args:
        folder: of the base, in Hugging Face's format.
        device: as in the settings.
    """
    try:
        card = read_object(folder / "config.json")
        hidden, inner, layers = (card[name] for name in _SIZES)
        heads = card["num_attention_heads"]
        share = card.get("num_key_value_heads", heads) / heads
        multiplied = layers * hidden * (2 * hidden + 2 * hidden * share + 3 * inner)
        speed = _multiplications_per_second(hidden, inner, device)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, UsageError):
        return None
    return float(_REST * multiplied / speed)


def _multiplications_per_second(hidden: int, inner: int, device: str) -> float:
    import torch

    from models.precision import default_dtype
    from mplus_cli.runtime.session import find_device, thread_count

    found = find_device(device)
    if found.type == "cpu":
        torch.set_num_threads(thread_count())
    dtype = default_dtype(found)
    left = torch.zeros(_CHUNK, hidden, device=found, dtype=dtype)
    right = torch.zeros(hidden, inner, device=found, dtype=dtype)
    _multiply(left, right)  # the first time pays for warming up
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < _TRIAL_SECONDS:
        _multiply(left, right)
        count += 1
    return count * _CHUNK * hidden * inner / elapsed


def _multiply(left: torch.Tensor, right: torch.Tensor) -> None:
    (left @ right)[0, 0].item()  # waits for the device
