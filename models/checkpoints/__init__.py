"""Checkpoints: from a folder, a file or a Hub id to a model that is ready to read and answer.

The kind of a reference is found from its content, in this order: a folder in our format (`mplus.json`), the
published M+ layout (a `config.json` with `num_blocks`), a base's folder, a `.gguf` file, and
otherwise a Hub id, whose snapshot is one of the former. Bases without M+ weights get identity
memory.
"""

from __future__ import annotations

from pathlib import Path

import torch

from models.checkpoints.adapters import attach_adapters
from models.checkpoints.base import fetch_from_hub, load_base, read_json
from models.checkpoints.fingerprint import base_files, base_fingerprint, counting, fingerprint
from models.checkpoints.gguf import convert_gguf
from models.checkpoints.identity import identity_config, identity_prompt
from models.checkpoints.loaded import CheckpointError, Loaded, check_answers, explained
from models.checkpoints.own import CARD, load_own, own_weights, save_own
from models.checkpoints.published import is_published, load_published
from models.decoder import Decoder
from models.network import MPlusModel
from models.precision import default_dtype
from models.retriever import make_retriever

__all__ = [
    "CheckpointError",
    "Loaded",
    "attach_adapters",
    "base_fingerprint",
    "convert_gguf",
    "default_dtype",
    "identity_config",
    "load",
    "own_weights",
    "save_own",
]


def load(
    reference: str | Path,
    *,
    base: Path | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    attention: str = "sdpa",
    merge: bool = True,
    keep: bool = True,
) -> Loaded:
    """Load a checkpoint.

    Args:
        reference: a folder, a `.gguf` file, or a Hub id.
        base: folder of the base, for a checkpoint in our format; by default what its card names.
        dtype: of the weights; by default `default_dtype(device)`.
        attention: one of `models.attention.KERNELS`; outputs are the same.
        merge: merge the adapters into two copies of the adapted weights (to use), or keep both
            live and trainable in one model (to train). Outputs are the same.
        keep: keep merged weights from pass to pass; without, a pass takes longer and less memory.

    Raises:
        CheckpointError: nothing there, damaged, or of no kind that is read here.
    """
    dtype = dtype or default_dtype(device)
    path = Path(reference).expanduser()
    if not path.exists():
        path = fetch_from_hub(_hub_id(reference, path))
    if (path / CARD).exists():
        return load_own(
            path,
            base=base,
            device=device,
            dtype=dtype,
            attention=attention,
            merge=merge,
            keep=keep,
        )
    if path.is_dir() and is_published(read_json(path / "config.json")):
        return load_published(path, device=device, dtype=dtype, attention=attention, merge=merge)
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise CheckpointError(f"{path}: is neither a model folder nor a .gguf file")
    return load_identity(path, device=device, dtype=dtype, attention=attention)


def load_identity(
    path: Path, *, device: torch.device | str, dtype: torch.dtype, attention: str
) -> Loaded:
    """A base folder or GGUF file with identity memory."""
    loaded = load_base(path, device=device, dtype=dtype)
    with explained(path):
        decoder = Decoder(loaded.stack, attention=attention)
        config = identity_config(decoder.positions, decoder.layers)
        retriever = make_retriever(config.retriever, decoder.layers, decoder.hidden)
        room = decoder.positions - config.prefix_tokens - config.max_prompt_tokens
        prompt = identity_prompt(loaded.tokenizer, room)
        header = prompt.header(loaded.tokenizer)
        model = MPlusModel(config, decoder, decoder, retriever, bos_id=loaded.bos_id, header=header)
        files = base_files(path)
        mark = fingerprint(counting(config, header), files)
        # Until the header counted: such memories say nothing of theirs, and it is taken to be this one.
        earlier = (fingerprint(config.counting(), files),) if header else ()
        check_answers(model, loaded.tokenizer, prompt)
    name = path.stem if path.is_file() else path.resolve().name
    return Loaded(
        model,
        loaded.tokenizer,
        name,
        mark,
        prompt,
        loaded.stop_ids,
        trained=False,
        earlier_fingerprints=earlier,
    )


def _hub_id(reference: str | Path, path: Path) -> str:
    text = str(reference)
    if isinstance(reference, Path) or path.is_absolute() or text.startswith((".", "~")):
        raise CheckpointError(f"{path}: there is no such file or folder")
    return text
