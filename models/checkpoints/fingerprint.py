"""Fingerprint of a checkpoint: equal for checkpoints whose memories are interchangeable.

SHA-256 over the settings that memories depend on, the base's config, the tokenizer's vocabulary, and
every weights file (base, adapters, retriever). Files of up to 64 MB are hashed whole. Of larger ones the
name, the size, the header and 64 evenly spaced samples of 64 KiB are, so that opening a model takes
milliseconds: this tells checkpoints apart, but is not protection against forgery.

Left out, because no memory depends on them: the prompt format (except for what it puts in front of memory),
chat templates, generation defaults, how a memory is read (`models.config` says of each setting whether it
counts), and the version of `transformers` that wrote a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.config import MPlusConfig

WHOLE_BYTES = 64 * 1024 * 1024
BLOCK_BYTES = 1 << 20
"""Read at a time."""
SAMPLES = 64
SAMPLE_BYTES = 64 * 1024
PLAIN_HEADER_BYTES = 4 * 1024 * 1024
"""Bytes read as the header of a large file that is not safetensors (GGUF keeps its vocabulary there)."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)
_NO_CONFIG = (
    "transformers_version",
    "_name_or_path",
    "_model_name_or_path",
    "torch_dtype",
    "dtype",
)


def counting(config: MPlusConfig, header: Sequence[int]) -> dict[str, Any]:
    """The settings that memories depend on. A checkpoint without a header keeps its earlier fingerprint.

    Args:
        header: of the prompt (`PromptFormat.header`): chunks are written behind it.
    """
    return config.counting() | ({"header": list(header)} if header else {})


def fingerprint(values: Mapping[str, Any], files: Iterable[Path]) -> str:
    """SHA-256 (hex) of settings as JSON values (`counting`) and of files, in order."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in files:
        _add_file(digest, path)
    return digest.hexdigest()


def base_fingerprint(base: Path) -> str:
    """SHA-256 (hex) of a base alone."""
    return fingerprint({}, base_files(base))


def base_files(base: Path) -> list[Path]:
    """The files of a base that count: a `.gguf` file, or a folder's config, tokenizer and weights."""
    if base.is_file():
        return [base]
    named = [base / name for name in ("config.json", *TOKENIZER_FILES)]
    return [path for path in named if path.exists()] + sorted(base.glob("*.safetensors"))


def _add_file(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    if path.name == "config.json":
        parts = [_config_bytes(path)]
    elif size <= WHOLE_BYTES:
        with path.open("rb") as file:
            digest.update(f"\n{path.name}\n{size}\n".encode())
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        return
    else:
        parts = _samples(path, size)
    digest.update(f"\n{path.name}\n{sum(map(len, parts))}\n".encode())
    for part in parts:
        digest.update(part)


def _config_bytes(path: Path) -> bytes:
    values = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in values.items() if key not in _NO_CONFIG}
    return json.dumps(kept, sort_keys=True).encode()


def _samples(path: Path, size: int) -> list[bytes]:
    with path.open("rb") as file:
        header = PLAIN_HEADER_BYTES
        if path.suffix == ".safetensors":
            header = min(int.from_bytes(file.read(8), "little"), WHOLE_BYTES)
        parts = [str(size).encode(), file.read(header)]
        for number in range(SAMPLES):
            file.seek((size - SAMPLE_BYTES) * number // (SAMPLES - 1))
            parts.append(file.read(SAMPLE_BYTES))
    return parts
