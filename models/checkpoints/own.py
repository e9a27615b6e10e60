"""Our own checkpoints: a folder with what M+ adds to a base, and a reference to that base.

    mplus.json           {"format": 1, "name", "base", "base_fingerprint"?, "config", "prompt"}
    update_lora/         the update adapter in PEFT's format; absent at rank 0
    generate_lora/       the generate adapter, likewise
    memory_lora/         the generate adapter of the earlier weights whose memories these open, where only
                         the reading of memories was trained since (`keep_memories`)
    text_lora/           that of a reader of text without memory, of any rank; absent where there is none
    retriever.safetensors
    reranker.safetensors             ranks the best chunks again; absent where there is none (`reranker`)
    question_retriever.safetensors   where its question's side was trained since (`question_side`)

`base` is a path relative to the folder, a Hub id, or a bare name that the caller resolves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.checkpoints.adapters import (
    CONFIG,
    WEIGHTS,
    check_fit,
    decoders,
    extract,
    load_adapter,
    save_adapter,
)
from models.checkpoints.base import fetch_from_hub, load_base, load_tokenizer, read_json
from models.checkpoints.fingerprint import base_files, base_fingerprint, counting, fingerprint
from models.checkpoints.loaded import CheckpointError, Loaded, check_answers, explained
from models.checkpoints.question_side import (
    RETRIEVER,
    has_same_keys,
    read_retriever,
    take_keys,
)
from models.checkpoints.reranker import read_reranker
from models.config import MPlusConfig
from models.decoder import Decoder
from models.durable import new_folder
from models.merging import GENERATE, TEXT, UPDATE, Adapter
from models.network import MPlusModel
from models.prompts import PromptFormat
from models.retriever import Retriever, make_retriever
from models.schema import Text, check_values, shown
from models.stack import Stack

FORMAT = 1
CARD = "mplus.json"
MEMORY = "memory_lora"
_CARD = {"name": Text(256), "base": Text(4096), "base_fingerprint": Text(64, optional=True)}


def save_own(
    folder: str | Path,
    *,
    config: MPlusConfig,
    base_reference: str,
    name: str,
    prompt: PromptFormat,
    retriever: Retriever,
    stack: nn.Module,
    base_fingerprint: str | None = None,
) -> None:
    """Write a checkpoint, whole or not at all; one that is there is replaced. Weights in bfloat16.

    Args:
        base_reference: path relative to `folder`, Hub id, or a name the loader's caller resolves.
        stack: the base with the adapters injected (`attach_adapters`).
        base_fingerprint: of the base's files (`base_fingerprint`); checked at loading if given.

    Raises:
        CheckpointError: the adapters of `stack` are not of the ranks that `config` says.
    """
    adapters = {
        UPDATE: _of_rank(stack, UPDATE, config.update_lora_rank),
        GENERATE: _of_rank(stack, GENERATE, config.generate_lora_rank),
    }
    card: dict[str, Any] = {"format": FORMAT, "name": name, "base": base_reference}
    if base_fingerprint is not None:
        card["base_fingerprint"] = base_fingerprint
    card |= {"config": config.to_dict(), "prompt": prompt.to_dict()}
    state = {
        key: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for key, tensor in retriever.state_dict().items()
    }
    with new_folder(Path(folder)) as fresh:
        for adapter_name, adapter in adapters.items():
            if adapter is not None:
                save_adapter(adapter, fresh / adapter_name)
        save_file(state, fresh / RETRIEVER, metadata={"format": "pt"})
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        (fresh / CARD).write_text(text, encoding="utf-8")


def load_own(
    folder: Path,
    *,
    base: Path | None,
    device: torch.device | str,
    dtype: torch.dtype,
    attention: str,
    merge: bool,
    keep: bool = True,
) -> Loaded:
    """Load one of our own checkpoints.

    Args:
        keep: keep merged weights from pass to pass (`models.decoder.Decoder`).

    Raises:
        CheckpointError: damaged, of a newer format, or its base is not there or another one.
    """
    card = _read_card(folder)
    with explained(folder / CARD):
        config = MPlusConfig.from_dict(card["config"])
        prompt = PromptFormat.from_dict(card["prompt"])
        check_values(card, _CARD)
        base_path = base or _find_base(folder, card["base"])
        _check_base(folder, card, base_path)
    loaded = load_base(base_path, device=device, dtype=dtype)
    with explained(folder):
        update = _read_adapter(folder / UPDATE, config.update_lora_rank)
        generate = _read_adapter(folder / GENERATE, config.generate_lora_rank)
        writing, reading = decoders(
            loaded.stack, update, generate, merged=merge, attention=attention, keep=keep
        )
        retriever = make_retriever(config.retriever, reading.layers, reading.hidden)
        retriever.load_state_dict(read_retriever(folder))
        retriever.requires_grad_(not merge).to(device, dtype)
        header = prompt.header(loaded.tokenizer)
        model = MPlusModel(config, writing, reading, retriever, bos_id=loaded.bos_id, header=header)
        if merge:
            model.reranker = read_reranker(folder, model)
        written = _written_under(folder)
        _check_memories(folder, config, generate, written)
        mark = _fingerprint(config, header, base_path, folder, written, folder)
        check_answers(model, loaded.tokenizer, prompt)
        text = None
        if merge and (folder / TEXT).is_dir():
            text = cache(partial(_text_reader, folder / TEXT, loaded.stack, attention, keep))
    plain = (card["name"], mark, prompt, loaded.stop_ids)
    return Loaded(model, loaded.tokenizer, *plain, text_reader=text)


def _text_reader(folder: Path, stack: Stack, attention: str, keep: bool) -> Decoder:
    with explained(folder):
        adapter = load_adapter(folder)
        check_fit(stack, str(folder), adapter)
        return Decoder(stack, adapter, attention=attention, keep=keep)


def own_weights(folder: Path) -> tuple[dict[str, Adapter], dict[str, Tensor]]:
    """What one of our own checkpoints adds to its base: its adapters by name, and the retriever's state.

    Raises:
        CheckpointError: damaged, or of a newer format.
    """
    card = _read_card(folder)
    with explained(folder):
        config = MPlusConfig.from_dict(card["config"])
        ranks = {UPDATE: config.update_lora_rank, GENERATE: config.generate_lora_rank}
        found = {name: _read_adapter(folder / name, rank) for name, rank in ranks.items()}
        adapters = {name: adapter for name, adapter in found.items() if adapter is not None}
        if (folder / TEXT).is_dir():
            adapters[TEXT] = load_adapter(folder / TEXT)
        return adapters, read_retriever(folder)


def save_text_reader(folder: Path, adapter: Adapter) -> None:
    """Put a reader of text into a checkpoint, in place of the one that it may have.

    Raises:
        CheckpointError: the folder is no checkpoint of ours.
    """
    _read_card(folder)
    with new_folder(folder / TEXT) as fresh:
        save_adapter(adapter, fresh)


def keep_memories(folder: Path, earlier: Path, base: Path) -> None:
    """Give a checkpoint the generate adapter and the retriever's keys of the one it was trained from, so that
    it has the fingerprint of that one and opens its memories.

    Raises:
        CheckpointError: its memories would be others: more than reading and asking was trained.
    """
    written, marks = _written_under(earlier), []
    keys = earlier if has_same_keys(folder, earlier) else folder
    for one in (earlier, folder):
        card = _read_card(one)
        config = MPlusConfig.from_dict(card["config"])
        header = PromptFormat.from_dict(card["prompt"]).header(load_tokenizer(base))
        _check_memories(
            one, config, _read_adapter(one / GENERATE, config.generate_lora_rank), written
        )
        marks.append(
            _fingerprint(config, header, base, one, written, keys if one == folder else one)
        )
    if marks[0] != marks[1]:
        raise CheckpointError(f"{folder}: writes other memories than {earlier}")
    take_keys(folder, earlier)
    with new_folder(folder / MEMORY) as fresh:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(written / name, fresh / name)


def _written_under(folder: Path) -> Path:
    """The generate adapter that a checkpoint's fingerprint counts."""
    return folder / MEMORY if (folder / MEMORY).is_dir() else folder / GENERATE


def _check_memories(
    folder: Path, config: MPlusConfig, generate: Adapter | None, written: Path
) -> None:
    """Check that weights open the memories written under another generate adapter: the projections that make
    their keys and values are the same.

    Raises:
        CheckpointError: they are not.
    """
    if written == folder / GENERATE:
        return
    before = _of_memory(load_adapter(written), config)
    now = {} if generate is None else _of_memory(generate, config)
    same = before.keys() == now.keys() and all(
        one.shape == other.shape and torch.equal(one, other)
        for name, halves in before.items()
        for one, other in zip(halves, now[name], strict=True)
    )
    if not same:
        raise CheckpointError(
            f"{folder}: {GENERATE} writes other memories than {written}: with that folder deleted it has "
            "memories of its own"
        )


def _of_memory(generate: Adapter, config: MPlusConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """What an adapter adds to the projections that make memory's keys and values, halves by name."""
    found = {}
    for name, (a, b) in generate.weights.items():
        layer = next((int(part) for part in name.split(".") if part.isdigit()), -1)
        is_kept = config.memory_layers is None or layer in config.memory_layers
        if is_kept and name.endswith(("k_proj", "v_proj")):
            found[name] = (a, b * generate.scale)
    return found


def _fingerprint(
    config: MPlusConfig,
    header: Sequence[int],
    base: Path,
    folder: Path,
    written: Path,
    keys: Path,
) -> str:
    own = [keys / RETRIEVER]  # and the adapters with their configs, which hold the scale
    own += [part / name for part in (folder / UPDATE, written) for name in (CONFIG, WEIGHTS)]
    files = [*base_files(base), *(path for path in own if path.exists())]
    return fingerprint(counting(config, header), files)


def _read_card(folder: Path) -> dict[str, Any]:
    card = read_json(folder / CARD)
    if card.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / CARD}: has format {shown(card.get('format'))}, not {FORMAT}, which this "
            "version reads: update mplus"
        )
    for field in ("name", "base", "config", "prompt"):
        if field not in card:
            raise CheckpointError(f"{folder / CARD}: has no field {field!r}")
    return card


def _find_base(folder: Path, reference: str) -> Path:
    path = folder / reference
    if path.is_dir() or (path.suffix == ".gguf" and path.is_file()):
        return path.resolve()
    if reference.count("/") == 1 and not reference.startswith("."):
        return fetch_from_hub(reference)
    raise CheckpointError(
        f"{folder}: its base {reference!r} is not there: fetch it (mplus model pull), "
        "or name its folder"
    )


def _check_base(folder: Path, card: dict[str, Any], base: Path) -> None:
    expected = card.get("base_fingerprint")
    if expected is not None and expected != base_fingerprint(base):
        raise CheckpointError(
            f"{folder}: was trained on another base than {base}: use {card['base']!r} as it came"
        )


def _of_rank(stack: nn.Module, name: str, rank: int) -> Adapter | None:
    adapter = extract(stack, name)
    found = 0 if adapter is None else adapter.rank
    if found != rank:
        raise CheckpointError(f"adapter {name} has rank {found}, the config says {rank}")
    return adapter


def _read_adapter(folder: Path, rank: int) -> Adapter | None:
    if rank == 0:
        return None
    adapter = load_adapter(folder)
    if adapter.rank != rank:
        raise CheckpointError(f"{folder}: has rank {adapter.rank}, {CARD} says {rank}")
    return adapter
