"""What loading a checkpoint yields, and the one error that loading raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.config import ConfigError
from models.decoder import Decoder
from models.memory import Memory
from models.network import MPlusModel
from models.prompts import PromptFormat


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded; one line: what is wrong with which path, what to do."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint ready to read and answer."""

    model: MPlusModel
    tokenizer: Any
    """The base's (`models.tokenizer.Tokenizer`)."""
    name: str
    fingerprint: str
    """SHA-256 (hex) of what a memory depends on: see `models.checkpoints.fingerprint`."""
    prompt: PromptFormat
    stop_ids: frozenset[int]
    """Ids that end an answer."""
    initial_memory: Memory | None = None
    """The memory the checkpoint ships with; None: new memories start empty."""
    trained: bool = True
    """Whether it was trained to have a memory; False: a base with identity memory."""
    earlier_fingerprints: tuple[str, ...] = ()
    """What earlier versions gave it; memories with one of these are read too."""
    text_reader: Callable[[], Decoder] | None = None
    """Gives the base under an adapter that reads text in its prompt, without memory, which is read when
    first asked for (`CheckpointError` if it is damaged); None: there is none."""


@contextmanager
def explained(path: object) -> Iterator[None]:
    """Turn what reading a damaged or unfit checkpoint raises into a `CheckpointError`."""
    from safetensors import SafetensorError

    try:
        yield
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: damaged safetensors file ({_first_line(error)}): fetch it again"
        ) from error
    except Exception as error:  # libraries raise errors of every kind over damaged files
        raise CheckpointError(f"{path}: cannot be loaded: {_first_line(error)}") from error
    except BaseException as error:
        if (
            type(error).__name__ == "PanicException"
        ):  # of libraries in Rust, the tokenizer's among them
            raise CheckpointError(f"{path}: cannot be loaded: {_first_line(error)}") from error
        raise


def check_answers(model: MPlusModel, tokenizer: Any, prompt: PromptFormat) -> None:
    """Check what a model needs for its first answer, so that nothing that loads fails later: weights that
    are numbers, a tokenizer that fits the embeddings, and a prompt that can be composed.

    Raises:
        CheckpointError: one of these is missing.
        ValueError: the prompt cannot be composed (`PromptFormat.render`).
    """
    vocabulary = model.generate.vocabulary
    if tokenizer.vocab_size > vocabulary:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {vocabulary}: "
            "they do not belong together"
        )
    numbers = [part.detach().float().flatten() for part in model.retriever.parameters()]
    if model.generate.keep:  # else the first pass finds out (`models.network.BosStates`)
        states = (model.update_bos, model.generate_bos)  # which all but the last layer made
        numbers += [part.whole().float().flatten() for part in states]
    if not bool(torch.cat(numbers).isfinite().all()):
        raise CheckpointError("the weights hold values that are not numbers: fetch them again")
    for turns in ((), (("Who?", "Ann."),)):
        prompt.render(tokenizer, "Who?", turns=turns)


def checkpoint_files(folder: Path) -> list[Path]:
    """The folder's safetensors weights, sorted by name.

    Raises:
        CheckpointError: there are none (pickled `.bin` weights are never read).
    """
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise CheckpointError(
            f"{folder}: has pickled weights only, which are never read: convert them to safetensors"
        )
    raise CheckpointError(f"{folder}: has no .safetensors weights: name a complete model folder")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0][:300] if lines else ""
    return f"missing {text}" if isinstance(error, KeyError) else text or type(error).__name__
