"""Base models: the weights and the tokenizer from a folder in Hugging Face's format or a GGUF file.

Independent of memory. Weights come from safetensors or GGUF only; pickles and remote code are never run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models import hub
from models.checkpoints.architecture import read_architecture
from models.checkpoints.loaded import CheckpointError, checkpoint_files, explained
from models.checkpoints.weights import SafetensorsFiles, fill_stack
from models.json_file import read_object
from models.schema import Integer, check
from models.stack import Stack
from models.tokenizer import Tokenizer

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|end_of_role|>")
"""Special tokens that end a turn in chat templates, besides the end-of-text ids."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base model in memory."""

    stack: Stack
    tokenizer: Any
    path: Path
    """The folder or `.gguf` file it came from."""
    config: Mapping[str, Any]
    """Of `config.json`, with the end-of-text ids of `generation_config.json` under `generation_eos`."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids that end an answer."""
        return stop_ids(self.config, self.stack.architecture.vocabulary, self.tokenizer)

    @property
    def bos_id(self) -> int:
        """The id that begins every text."""
        return bos_id(self.config, self.stack.architecture.vocabulary, self.tokenizer)


def load_base(path: Path, *, device: torch.device | str, dtype: torch.dtype) -> Base:
    """Load a base model, its weights frozen.

    Raises:
        CheckpointError: of a family that is not read, incomplete, damaged, or without tokenizer.
    """
    with explained(path):
        base = (_gguf if path.is_file() else _folder)(path, device, dtype)
        _ = base.bos_id, base.stop_ids  # invalid values are reported here
        return base


def _folder(folder: Path, device: torch.device | str, dtype: torch.dtype) -> Base:
    config = read_config(folder)
    size = sum(path.stat().st_size for path in checkpoint_files(folder))
    architecture = read_architecture(config, folder / "config.json", size)
    weights = SafetensorsFiles(folder)
    called = _text_model(weights)
    stack = fill_stack(architecture, weights, folder, device=device, dtype=dtype, called=called)
    return Base(stack, load_tokenizer(folder), folder, config)


def _text_model(names: Iterable[str]) -> Callable[[str], str]:
    """The name of a text model's weight among `names`; multimodal models prefix it."""
    starts = {name.partition("language_model.")[0] for name in names if "language_model." in name}
    if "" in starts:
        return lambda name: f"language_model.{name}"
    if "model." in starts:
        return lambda name: name.replace("model.", "model.language_model.", 1)
    return str


def _gguf(path: Path, device: torch.device | str, dtype: torch.dtype) -> Base:
    from models.checkpoints.gguf_file import GgufFile

    file = GgufFile(path)
    architecture = read_architecture(file.config, path, path.stat().st_size)
    stack = fill_stack(architecture, file, path, device=device, dtype=dtype)
    stack.blocks = file.blocks(name for name, _ in stack.wanted())
    return Base(stack, file.tokenizer(), path, file.config)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`, with the end-of-text ids of `generation_config.json` under `generation_eos`."""
    config = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    if generation.exists():
        config["generation_eos"] = read_json(generation).get("eos_token_id")
    return config


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that comes with a base folder or GGUF file.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    if path.is_file():
        from models.checkpoints.gguf_file import GgufFile

        return GgufFile(path).tokenizer()
    file = path / "tokenizer.json"
    if not file.exists():
        raise CheckpointError(f"{path}: has no tokenizer.json: fetch the model again")
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (path / name).exists():
            settings |= read_json(path / name)
    with explained(path):
        template = path / "chat_template.jinja"
        if template.exists():
            settings["chat_template"] = template.read_text(encoding="utf-8")
        return Tokenizer.read(file, settings)


def stop_ids(config: Mapping[str, Any], vocabulary: int, tokenizer: Any) -> frozenset[int]:
    """Ids that end an answer: end of text by any config, and the chat template's turn end."""
    ends = [config.get("eos_token_id"), tokenizer.eos_token_id, config.get("generation_eos")]
    named = [id for end in ends for id in (end if isinstance(end, list) else [end])]
    special = tokenizer.get_added_vocab()
    named += [special[name] for name in TURN_ENDS if name in special]
    for id in named:
        check("eos_token_id", id, Integer(0, optional=True))
    # An id beyond the vocabulary is never drawn.
    return frozenset(id for id in named if id is not None and id < vocabulary)


def bos_id(config: Mapping[str, Any], vocabulary: int, tokenizer: Any) -> int:
    """The token that leads every sequence; an end-of-text token where the base has no BOS."""
    for candidate in (tokenizer.bos_token_id, config.get("bos_token_id"), tokenizer.eos_token_id):
        if candidate is not None:
            check("bos_token_id", candidate, Integer(0, vocabulary - 1))
            return int(candidate)
    raise CheckpointError("the tokenizer has neither a BOS nor an end-of-text token")


def fetch_from_hub(reference: str) -> Path:
    """The local snapshot of a Hub repository, downloaded where the network is on.

    Raises:
        CheckpointError: as `models.hub.fetch` does.
    """
    try:
        return hub.fetch(reference)
    except hub.HubError as error:
        raise CheckpointError(str(error)) from error


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
