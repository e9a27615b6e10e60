"""LoRA adapters added to the weights they adapt, also before there is a network to hold them.

Importing `transformers` and building a model takes seconds in which one core works: another can
merge meanwhile (`MergedAhead`). So this module imports torch and safetensors alone.

Shapes: r rank, I inputs and O outputs of a projection.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

UPDATE = "update_lora"
GENERATE = "generate_lora"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""In front of the names of projections in PEFT's format."""
HALF = ".lora_A.weight"


@torch.no_grad()
def merge(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """W + scale * B A (O, I), in the type of W (O, I), where sums are float32 all the same.

    Args:
        a: (r, I).
        b: (O, r).
    """
    return torch.addmm(weight, b.to(weight), a.to(weight), alpha=scale)


class MergedAhead:
    """The weights of a base in safetensors under adapters, merged in a thread of its own.

    It is there for speed alone: what it cannot read or merge it leaves to who asks for it, who then
    finds out why. On a CPU; a thread that is left behind does not keep the process from ending.

    Args:
        base: the base's folder.
        adapters: folders in PEFT's format; those that are not there are left out.
        dtype: that the base is loaded in.
    """

    def __init__(self, base: Path, adapters: tuple[Path, ...], dtype: torch.dtype) -> None:
        self._base = base
        self._adapters = adapters
        self._dtype = dtype
        self._merged: dict[Path, dict[str, Tensor]] = {folder: {} for folder in adapters}
        self._thread = threading.Thread(target=self._work, name="mplus-merge", daemon=True)
        self._thread.start()

    def take(self, adapter: Path) -> Mapping[str, Tensor]:
        """Projection (`model.layers.0.self_attn.q_proj`) to its weight (O, I) under an adapter.

        Waits until the work is done; a second call gives nothing.
        """
        self._thread.join()
        return self._merged.pop(adapter, {})

    def _work(self) -> None:
        for folder in self._adapters:
            try:
                self._merge(folder)
            except Exception:  # whatever it is, loading meets it again, and says so
                continue

    def _merge(self, folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        scale = config["lora_alpha"] / config["r"]
        with safe_open(folder / WEIGHTS, framework="pt") as adapter:
            keys = sorted(adapter.keys())
            wanted = {
                key.removeprefix(PREFIX).removesuffix(HALF): key for key in keys if HALF in key
            }
            for path in sorted(self._base.glob("*.safetensors")):
                with safe_open(path, framework="pt") as base:
                    held = set(base.keys())
                    for name, half in wanted.items():
                        if f"{name}.weight" not in held:
                            continue
                        weight = base.get_tensor(f"{name}.weight").to(self._dtype)
                        a = adapter.get_tensor(half)
                        b = adapter.get_tensor(half.replace(HALF, ".lora_B.weight"))
                        self._merged[folder][name] = merge(weight, a, b, scale)
