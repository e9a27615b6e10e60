"""From a GGUF file to a folder in Hugging Face's format, once; and models of `transformers` as they are.

What is written is what `transformers` writes: the embedded base's fingerprint is made of it. Nothing that
reads or answers comes here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from models.checkpoints.architecture import read_architecture
from models.checkpoints.base import bos_id, read_config, stop_ids
from models.checkpoints.loaded import CheckpointError, checkpoint_files, explained
from models.checkpoints.weights import fill_stack
from models.compat import without_gguf_bar
from models.durable import new_folder

if TYPE_CHECKING:
    from models.checkpoints.gguf_file import GgufFile


def convert_gguf(gguf: Path, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a base from a GGUF file as safetensors with its tokenizer and chat template.

    Quantised weights are unpacked. The folder appears whole or not at all; the same file gives the
    same bytes.

    Raises:
        CheckpointError: not a GGUF file, or of a family that is not read.
    """
    if not gguf.is_file():
        raise CheckpointError(f"{gguf}: there is no such file")
    _check(gguf)
    with explained(gguf), _quiet(), new_folder(folder) as fresh:
        import transformers

        options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
        unpacked = {}
        if hasattr(transformers, "GgufConfig"):  # older versions always unpack
            unpacked["quantization_config"] = transformers.GgufConfig(dequantize=True)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, dtype=dtype, attn_implementation="eager", **unpacked, **options
        )
        model.save_pretrained(fresh)
        transformers.AutoTokenizer.from_pretrained(gguf.parent, **options).save_pretrained(fresh)


class _Shapes:
    """The weights of a GGUF file without their numbers."""

    def __init__(self, file: GgufFile) -> None:
        self._file = file

    def __contains__(self, name: object) -> bool:
        return name in self._file

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.empty(self._file.shape(name), device="meta")

    def give_back(self, name: str) -> None:
        """There is nothing to give back."""


def _check(gguf: Path) -> None:
    """Report what is wrong with a file before `transformers` sees it, which would make up missing weights.

    Raises:
        CheckpointError: as `load_base` does, but nothing is unpacked for it.
    """
    from models.checkpoints.gguf_file import GgufFile

    with explained(gguf):
        file = GgufFile(gguf)
        architecture = read_architecture(file.config, gguf, gguf.stat().st_size)
        fill_stack(architecture, _Shapes(file), gguf, device="meta", dtype=torch.float32)
        tokenizer = file.tokenizer()
        _ = bos_id(file.config, architecture.vocabulary, tokenizer)
        _ = stop_ids(file.config, architecture.vocabulary, tokenizer)


def transformers_model(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Any:
    """A base as `transformers` has it, which can be trained whole and writes text by itself.

    Raises:
        CheckpointError: as of `load_base`.
    """
    with explained(folder), _quiet():
        from transformers import AutoModelForCausalLM

        size = sum(path.stat().st_size for path in checkpoint_files(folder))
        read_architecture(read_config(folder), folder / "config.json", size)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
        return model.requires_grad_(False).eval().to(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, warnings or load reports of `transformers` inside."""
    from transformers.utils import logging

    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with without_gguf_bar(logging.tqdm):
            yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()
