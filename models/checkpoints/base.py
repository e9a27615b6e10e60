"""Base models: a Llama and its tokenizer from a folder in Hugging Face's format or a GGUF file.

Knows no memory. Weights come from safetensors or GGUF only; pickles and remote code are never run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from models.checkpoints.architecture import check_llama
from models.checkpoints.loaded import CheckpointError, checkpoint_files, explained
from models.compat import without_gguf_bar
from models.json_file import read_object
from models.schema import Whole, check, shown

TURN_ENDS = ("<|im_end|>", "<|eot_id|>")
"""Special tokens that end a turn in chat templates, besides the end-of-text ids."""

HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "merges.txt")


@dataclass(frozen=True, slots=True)
class Base:
    """A base model in memory."""

    llama: LlamaForCausalLM
    tokenizer: Any
    path: Path
    """The folder or `.gguf` file it came from."""

    @property
    def stop_ids(self) -> frozenset[int]:
        return stop_ids(self.llama, self.tokenizer)

    @property
    def bos_id(self) -> int:
        return bos_id(self.llama, self.tokenizer)


def load_base(
    path: Path, *, device: torch.device | str, dtype: torch.dtype, attention: str
) -> Base:
    """Load a base model, its weights frozen.

    Raises:
        CheckpointError: not a Llama, incomplete, damaged, or without tokenizer.
    """
    with quiet(), explained(path):
        options = gguf_options(path) if path.is_file() else folder_options(path)
        # Typed as the model alone, which is what comes back without `output_loading_info`.
        found: Any = LlamaForCausalLM.from_pretrained(
            path.parent if path.is_file() else path,
            dtype=dtype,
            attn_implementation=attention,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
        llama, report = found
        if report["missing_keys"]:
            missing = sorted(report["missing_keys"])[0]
            raise CheckpointError(f"{path}: has no tensor {missing}: fetch the model again")
        llama.requires_grad_(False).eval().to(device)
        base = Base(llama, load_tokenizer(path), path)
        _ = base.bos_id, base.stop_ids  # what is not valid is told here
        return base


def folder_options(folder: Path) -> dict[str, Any]:
    """What `from_pretrained` needs for a folder, once it is known to be a Llama in safetensors."""
    config = read_json(folder / "config.json")
    if config.get("model_type") != "llama":
        raise CheckpointError(
            f"{folder}: is a {shown(config.get('model_type'))} model: only the Llama architecture "
            "is read"
        )
    size = sum(path.stat().st_size for path in checkpoint_files(folder))
    check_llama(config, folder / "config.json", size)
    return {"use_safetensors": True}


def gguf_options(path: Path) -> dict[str, Any]:
    """What `from_pretrained` needs for a GGUF file, once it is known to hold a Llama."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True
    )
    if config.model_type != "llama":
        raise CheckpointError(
            f"{path}: is a {config.model_type!r} model: only the Llama architecture is read"
        )
    check_llama(config.to_dict(), path, path.stat().st_size)
    options = {"gguf_file": path.name, "config": config}
    if hasattr(transformers, "GgufConfig"):  # older versions always unpack
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    return options


def load_tokenizer(path: Path) -> Any:
    """The tokenizer that comes with a base folder or GGUF file."""
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if path.is_file():
        return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, **options)
    if not any((path / name).exists() for name in ("tokenizer.json", "tokenizer.model")):
        raise CheckpointError(f"{path}: has no tokenizer.json: fetch the model again")
    return AutoTokenizer.from_pretrained(path, **options)


def stop_ids(llama: LlamaForCausalLM, tokenizer: Any) -> frozenset[int]:
    """Ids that end an answer: end of text by any config, and the chat template's turn end."""
    ends: list[int | list[int] | None] = [llama.config.eos_token_id, tokenizer.eos_token_id]
    if llama.generation_config is not None:
        ends.append(llama.generation_config.eos_token_id)
    named = [id for end in ends for id in (end if isinstance(end, list) else [end])]
    special = tokenizer.get_added_vocab()
    named += [special[name] for name in TURN_ENDS if name in special]
    for id in named:
        check("eos_token_id", id, Whole(0, optional=True))
    # An id beyond the vocabulary is never drawn.
    return frozenset(id for id in named if id is not None and id < llama.config.vocab_size)


def bos_id(llama: LlamaForCausalLM, tokenizer: Any) -> int:
    """The token that leads every sequence; an end-of-text token where the base has no BOS."""
    for candidate in (tokenizer.bos_token_id, llama.config.bos_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            check("bos_token_id", candidate, Whole(0, llama.config.vocab_size - 1))
            return int(candidate)
    raise CheckpointError("the tokenizer has neither a BOS nor an end-of-text token")


def fetch_from_hub(reference: str) -> Path:
    """The local snapshot of a Hub repository, downloaded where the network is on.

    Raises:
        CheckpointError: not cached and offline, or the Hub does not give it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    try:
        with quiet():
            folder = snapshot_download(
                reference, allow_patterns=list(HUB_FILES), local_files_only=offline
            )
    except LocalEntryNotFoundError as error:
        why = "the network is off" if offline else "the Hub cannot be reached"
        raise CheckpointError(
            f"{reference} is not in the local cache and {why}: give a folder, or fetch it online"
        ) from error
    except HFValidationError as error:
        raise CheckpointError(f"{reference} is neither a folder here nor a Hub id") from error
    except (HfHubHTTPError, OSError) as error:
        line = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{reference}: the Hub does not give it: {line}") from error
    return Path(folder)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: no such file, or not a JSON object.
    """
    try:
        return read_object(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"{path.parent}: has no {path.name}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, warnings or load reports of `transformers` and the Hub client inside."""
    from huggingface_hub import utils as hub
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_bars = not hub.are_progress_bars_disabled()  # type: ignore[attr-defined]
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        with without_gguf_bar(logging.tqdm):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            hub.enable_progress_bars()  # type: ignore[attr-defined]
