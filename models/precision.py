"""The dtype that a device computes in. Imports no transformers."""

from __future__ import annotations

import torch

from models import compat


def default_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 on CUDA, MPS and CPUs that multiply it in hardware, else float32."""
    if torch.device(device).type != "cpu":
        return torch.bfloat16
    return torch.bfloat16 if compat.has_bfloat16() else torch.float32
