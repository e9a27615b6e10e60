"""From a GGUF file to a folder in Hugging Face's format, once."""

from __future__ import annotations

from pathlib import Path

import torch

from models.checkpoints.base import load_base, quiet
from models.checkpoints.loaded import CheckpointError, explained
from models.durable import new_folder


def convert_gguf(gguf: Path, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a Llama from a GGUF file as safetensors with its tokenizer and chat template.

    Quantised weights are unpacked. The folder appears whole or not at all; the same file gives the
    same bytes.

    Raises:
        CheckpointError: not a GGUF file, or not of a Llama.
    """
    if not gguf.is_file():
        raise CheckpointError(f"{gguf}: there is no such file")
    base = load_base(gguf, device="cpu", dtype=dtype, attention="eager")
    with explained(gguf), quiet(), new_folder(folder) as fresh:
        base.llama.save_pretrained(fresh)
        base.tokenizer.save_pretrained(fresh)
