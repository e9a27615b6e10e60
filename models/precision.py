"""The type of numbers that a device computes in. Imports torch alone."""

from __future__ import annotations

import torch


def default_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 on CUDA, MPS and CPUs that multiply it in hardware, else float32."""
    if torch.device(device).type != "cpu":
        return torch.bfloat16
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32
