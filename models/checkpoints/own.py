"""Our own checkpoints: a folder with what M+ adds to a base, and a reference to that base.

    mplus.json           {"format": 1, "name", "base", "base_fingerprint"?, "memories"?, "config",
                         "prompt"}
    update_lora/         the update adapter in PEFT's format; absent at rank 0
    generate_lora/       the generate adapter, likewise
    text_lora/           that of a reader of text without memory, of any rank; absent where there is none
    retriever.safetensors

`base` is a path relative to the folder, a Hub id, or a bare name that the caller resolves. `memories`
({"fingerprint", "digest"}) stands where only the way memories are read was trained since earlier weights:
their fingerprint is kept as long as the digest is that of these weights (`memory_digest`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.checkpoints.adapters import (
    CONFIG,
    WEIGHTS,
    decoders,
    extract,
    load_adapter,
    save_adapter,
)
from models.checkpoints.base import fetch_from_hub, load_base, load_tokenizer, read_json
from models.checkpoints.fingerprint import base_files, counting, fingerprint
from models.checkpoints.loaded import CheckpointError, Loaded, check_answers, explained
from models.config import MPlusConfig
from models.durable import new_file, new_folder
from models.merging import GENERATE, TEXT, UPDATE, Adapter
from models.network import MPlusModel
from models.prompts import PromptFormat
from models.retriever import Retriever, make_retriever
from models.schema import Text, check_values, shown

FORMAT = 1
CARD = "mplus.json"
RETRIEVER = "retriever.safetensors"
_CARD = {"name": Text(256), "base": Text(4096), "base_fingerprint": Text(64, optional=True)}
_MEMORIES = {"fingerprint": Text(64), "digest": Text(64)}


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
        if (earlier := card.get("memories")) is not None:
            check_values(earlier if isinstance(earlier, dict) else {}, _MEMORIES)
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
        retriever.load_state_dict(load_file(folder / RETRIEVER))
        retriever.requires_grad_(not merge).to(device, dtype)
        header = prompt.header(loaded.tokenizer)
        model = MPlusModel(config, writing, reading, retriever, bos_id=loaded.bos_id, header=header)
        mark = _fingerprint(card, config, header, base_path, folder, generate)
        check_answers(model, loaded.tokenizer, prompt)
        text = None
        if merge and (folder / TEXT).is_dir():
            adapter = load_adapter(folder / TEXT)
            _, text = decoders(
                loaded.stack, None, adapter, merged=True, attention=attention, keep=keep
            )
    plain = (card["name"], mark, prompt, loaded.stop_ids)
    return Loaded(model, loaded.tokenizer, *plain, text_reader=text)


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
        return adapters, load_file(folder / RETRIEVER)


def base_fingerprint(base: Path) -> str:
    """SHA-256 (hex) of a base alone."""
    return fingerprint({}, base_files(base))


def keep_memories(folder: Path, earlier: Path, base: Path) -> None:
    """Give a checkpoint the fingerprint of the one it was trained from, so that it opens its memories.

    Raises:
        CheckpointError: its memories would be others: more than reading was trained.
    """
    tokenizer = load_tokenizer(base)
    marks, digests = [], []
    for one in (earlier, folder):
        card = _read_card(one)
        config = MPlusConfig.from_dict(card["config"])
        generate = _read_adapter(one / GENERATE, config.generate_lora_rank)
        header = PromptFormat.from_dict(card["prompt"]).header(tokenizer)
        marks.append(_fingerprint(card, config, header, base, one, generate))
        digests.append(memory_digest(config, header, base, one, generate))
    if digests[0] != digests[1]:
        raise CheckpointError(f"{folder}: writes other memories than {earlier}: keep its own name")
    card |= {"memories": {"fingerprint": marks[0], "digest": digests[0]}}
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    with new_file(folder / CARD) as file:
        file.write(text.encode())


def memory_digest(
    config: MPlusConfig,
    header: Sequence[int],
    base: Path,
    folder: Path,
    generate: Adapter | None,
) -> str:
    """SHA-256 (hex) of what memories are made by: of the adapter that reads them, only the projections
    that make their keys and values count.

    Args:
        header: of the prompt (`PromptFormat.header`): chunks are written behind it.
    """
    files = [*base_files(base), folder / RETRIEVER]
    files += [folder / UPDATE / CONFIG, folder / UPDATE / WEIGHTS]
    digest = hashlib.sha256(
        fingerprint(counting(config, header), [path for path in files if path.exists()]).encode()
    )
    scale, weights = (generate.scale, generate.weights) if generate else (0.0, {})
    for name, halves in sorted(weights.items()):
        layer = next((int(part) for part in name.split(".") if part.isdigit()), -1)
        is_kept = config.memory_layers is None or layer in config.memory_layers
        if is_kept and name.endswith(("k_proj", "v_proj")):
            digest.update(f"\n{name} {scale}\n".encode())
            for half in halves:
                digest.update(half.float().numpy().tobytes())
    return digest.hexdigest()


def _fingerprint(
    card: dict[str, Any],
    config: MPlusConfig,
    header: Sequence[int],
    base: Path,
    folder: Path,
    generate: Adapter | None,
) -> str:
    earlier = card.get("memories")
    if earlier is not None:
        digest = memory_digest(config, header, base, folder, generate)
        if earlier["digest"] == digest:
            return str(earlier["fingerprint"])
    return fingerprint(counting(config, header), [*base_files(base), *_own_files(folder)])


def _read_card(folder: Path) -> dict[str, Any]:
    card = read_json(folder / CARD)
    if card.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / CARD}: has format {shown(card.get('format'))}, here {FORMAT} is read: "
            "update mplus"
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


def _own_files(folder: Path) -> list[Path]:
    """The weights of the checkpoint itself, and the adapters' configs (they hold the scale)."""
    files = [folder / RETRIEVER]
    for name in (UPDATE, GENERATE):
        files += [
            folder / name / CONFIG,
            folder / name / WEIGHTS,
        ]
    return [path for path in files if path.exists()]
