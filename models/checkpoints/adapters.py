"""LoRA adapters of the two passes: read and written in PEFT's format, merged or kept live.

Works on adapters and a stack, independent of where a checkpoint keeps them. PEFT itself is imported where
adapters are live or written: that takes longer than reading and merging them, which needs their files
only.

Shapes: r rank, I inputs and O outputs of a projection.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.checkpoints.base import read_json
from models.checkpoints.loaded import CheckpointError, explained
from models.checkpoints.weights import SafetensorsFiles
from models.decoder import Decoder
from models.merging import GENERATE, UPDATE, Adapter
from models.schema import Integer, Number, check, shown
from models.stack import Stack

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""In front of the names of projections in PEFT's format."""
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_UNREAD = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")
"""Settings of PEFT's format under which an adapter is not W + alpha / r * B A."""


def attach_adapters(
    stack: nn.Module,
    rank_update: int,
    rank_generate: int,
    alpha: float | None = None,
    targets: Sequence[str] = PROJECTIONS,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Inject fresh adapters for both passes, ready to train: LoRA trainable, the base frozen.

    Args:
        rank_update, rank_generate: ranks; 0 leaves that pass without an adapter.
        alpha: LoRA's alpha; by default twice the rank of each.
        dtype: of the adapters' weights (float32, as in PEFT, whatever the base's).
    """
    stack.requires_grad_(False)
    for name, rank in ((UPDATE, rank_update), (GENERATE, rank_generate)):
        if rank:
            inject(stack, name, rank, 2 * rank if alpha is None else alpha, targets, dtype)


def inject(
    stack: nn.Module,
    name: str,
    rank: int,
    alpha: float,
    targets: Sequence[str],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Inject one fresh adapter under `name`; those already there stay trainable."""
    from peft import inject_adapter_in_model

    with warnings.catch_warnings():
        # PEFT warns of a second adapter in the same model, which is the point here.
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        inject_adapter_in_model(_peft_config(rank, alpha, targets), stack, name)
    for parameter_name, parameter in stack.named_parameters():
        if ".lora_" in parameter_name:
            parameter.requires_grad_(True)
            if f".{name}." in parameter_name:
                parameter.data = parameter.data.to(dtype)


def decoders(
    stack: Stack,
    update: Adapter | None,
    generate: Adapter | None,
    *,
    merged: bool,
    attention: str,
    keep: bool = True,
) -> tuple[Decoder, Decoder]:
    """The decoders of the update and the generate pass over one base.

    Merged, each has its own adapted weights and shares all others (embeddings, norms, head);
    otherwise both see the stack itself, with the adapters live and trainable.

    Args:
        attention, keep: as of `Decoder`.

    Raises:
        CheckpointError: an adapter does not fit the base.
    """
    for name, adapter in ((UPDATE, update), (GENERATE, generate)):
        if adapter is not None:
            check_fit(stack, name, adapter)
    if merged:
        reading = Decoder(stack, generate, attention=attention, keep=keep)
        if update is generate:
            return reading, reading
        return Decoder(stack, update, attention=attention, keep=keep), reading
    for name, adapter in ((UPDATE, update), (GENERATE, generate)):
        if adapter is not None:
            inject(stack, name, adapter.rank, adapter.alpha, adapter.targets)
            _fill(stack, name, adapter)
    return (
        Decoder(stack, UPDATE, attention=attention),
        Decoder(stack, GENERATE, attention=attention),
    )


def extract(stack: nn.Module, name: str) -> Adapter | None:
    """The injected adapter `name` of a model, or None where it has none."""
    from peft.tuners.lora import LoraLayer

    weights, rank, alpha = {}, 0, 0.0
    for module_name, module in stack.named_modules():
        if isinstance(module, LoraLayer) and name in module.lora_A:
            a, b = _halves(module, name)
            weights[module_name] = (a.detach(), b.detach())
            rank, alpha = module.r[name], module.lora_alpha[name]
    return Adapter(rank, alpha, weights) if weights else None


def save_adapter(adapter: Adapter, folder: Path) -> None:
    """Write an adapter in PEFT's format, in bfloat16; the same adapter gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    _peft_config(adapter.rank, adapter.alpha, adapter.targets).save_pretrained(str(folder))
    path = folder / CONFIG
    config = read_json(path)
    config["target_modules"] = sorted(config["target_modules"])  # PEFT's order is that of a set
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {}
    for name, (a, b) in adapter.weights.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = a.to("cpu", torch.bfloat16).contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = b.to("cpu", torch.bfloat16).contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def load_adapter(folder: Path) -> Adapter:
    """Read a plain LoRA adapter from a folder in PEFT's format.

    Raises:
        CheckpointError: missing files, or a variant of LoRA that is not W + alpha / r * B A.
    """
    path = folder / WEIGHTS
    if not (folder / CONFIG).exists() or not path.exists():
        raise CheckpointError(f"{folder}: has no {CONFIG} with {path.name}")
    config = read_json(folder / CONFIG)
    if config.get("peft_type") != "LORA":
        raise CheckpointError(
            f"{folder}: holds no LoRA adapter but {shown(config.get('peft_type'))}"
        )
    for field in _UNREAD:
        if config.get(field):
            raise CheckpointError(f"{folder}: uses {field}: only plain LoRA adapters are supported")
    with explained(folder):
        rank, alpha = config["r"], config["lora_alpha"]
        check("r", rank, Integer(1))
        check("lora_alpha", alpha, Number(0))
        files = SafetensorsFiles(folder)  # mapped: what no pass uses is not read
        weights = pair_up({name: files[name] for name in files}, folder)
        return Adapter(rank, alpha, weights, files.give_back_all)


def pair_up(tensors: Mapping[str, Tensor], source: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """PEFT's tensors, named `base_model.model.<projection>.lora_A.weight`, as pairs."""
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, dot, half = key.removeprefix(PREFIX).partition(".lora_")
        if not dot or half not in ("A.weight", "B.weight"):
            raise CheckpointError(f"{source}: has an unexpected tensor {key}")
        halves.setdefault(name, {})[half[0]] = tensor
    for name, pair in halves.items():
        for half in "AB":
            if half not in pair:
                raise CheckpointError(f"{source}: has no tensor {name}.lora_{half}.weight")
    return {name: (pair["A"], pair["B"]) for name, pair in halves.items()}


def _peft_config(rank: int, alpha: float, targets: Sequence[str]) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=list(targets),
        task_type="CAUSAL_LM",
        bias="none",
    )


def check_fit(stack: nn.Module, which: str, adapter: Adapter) -> None:
    """Check that an adapter is for this base.

    Raises:
        CheckpointError: it is not; says `which` it is.
    """
    linears: dict[str, Any] = {
        name: module
        for name, module in stack.named_modules()
        if isinstance(module, nn.Linear) or hasattr(module, "lora_A")
    }
    for name, (a, b) in adapter.weights.items():
        if name not in linears:
            raise CheckpointError(
                f"{which} is for another base ({name} is not in this one): fetch the model again"
            )
        weight = linears[name].weight
        if weight.shape != (b.shape[0], a.shape[1]) or a.shape[0] != b.shape[1]:
            raise CheckpointError(
                f"{which} is for another base ({name} has another shape in this one): fetch the "
                "model again"
            )
        if a.shape[0] != adapter.rank:
            raise CheckpointError(
                f"{which} is damaged ({name} has rank {a.shape[0]}, not {adapter.rank}): fetch the "
                "model again"
            )


@torch.no_grad()
def _fill(stack: nn.Module, name: str, adapter: Adapter) -> None:
    for module_name, (a, b) in adapter.weights.items():
        layer = stack.get_submodule(module_name)
        for inside, given in zip(_halves(layer, name), (a, b), strict=True):
            inside.copy_(given)
    held = extract(stack, name)
    if held is None or held.weights.keys() != adapter.weights.keys():
        raise CheckpointError(f"adapter {name} covers some layers only: load it merged")


def _halves(layer: Any, name: str) -> tuple[Tensor, Tensor]:
    """A (r, I) and B (O, r) of adapter `name` as they live in a PEFT layer."""
    return layer.lora_A[name].weight, layer.lora_B[name].weight
