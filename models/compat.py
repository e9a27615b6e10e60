"""Where torch, transformers and PEFT are used by names that they do not promise to keep.

Each such name is looked for here, once, with what is done where it is missing: slower, never other results.
Nothing else of this project uses a private name of theirs. Imports torch alone, the others inside.

Shapes: O outputs, I inputs of a projection, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_INT4 = ("_convert_weight_to_int4pack_for_cpu", "_weight_int4pack_mm_for_cpu")


def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware."""
    return _cpu("_is_avx512_bf16_supported") or has_matrix_units()


def has_matrix_units() -> bool:
    """Whether the CPU multiplies tiles (AMX), where SDPA's own kernel is the quickest."""
    return _cpu("_is_amx_tile_supported")


def multiplies_bytes() -> bool:
    """Whether the CPU multiplies whole numbers of 8 bits exactly, and faster than others."""
    return _cpu("_is_vnni_supported") and hasattr(torch, "_int_mm")


def int8_matmul(left: Tensor, right: Tensor) -> Tensor:
    """The exact product (int32) of two matrices of int8."""
    product = getattr(torch, "_int_mm", None)
    if product is None:
        return (left.double() @ right.double()).to(torch.int32)
    found: Tensor = product(left, right)
    return found


def has_int8_linear() -> bool:
    """Whether `int8_linear` is quick here."""
    return hasattr(torch, "_weight_int8pack_mm")


def int8_linear(inputs: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """Inputs (T, I) through a projection of codes (O, I) int8 with a scale a row (O,): (T, O).

    In bfloat16, whatever the inputs are: in float32 the kernel takes six times as long.
    """
    product = getattr(torch, "_weight_int8pack_mm", None)
    if product is None:
        return functional.linear(inputs, codes.to(inputs.dtype)) * scales
    outputs: Tensor = product(inputs.bfloat16(), codes, scales.bfloat16())
    return outputs.to(inputs.dtype)


def has_int4_linear() -> bool:
    """Whether there are `pack_int4` and `int4_linear`."""
    return all(hasattr(torch, name) for name in _INT4)


def pack_int4(codes: Tensor) -> Tensor:
    """Codes (O, I) from 0 to 15, O a multiple of 16, laid out for `int4_linear` and for nothing else."""
    packed: Tensor = getattr(torch, _INT4[0])(codes.int(), 1)
    return packed


def int4_linear(inputs: Tensor, packed: Tensor, block: int, scales: Tensor) -> Tensor:
    """Inputs (T, I) through a projection that was laid out: (T, O). In bfloat16, whatever the inputs are.

    Args:
        scales: (I / block, O, 2) bfloat16, s and m, if weights are (code - 8) * s + m.
    """
    outputs: Tensor = getattr(torch, _INT4[1])(inputs.bfloat16(), packed, block, scales)
    return outputs.to(inputs.dtype)


def has_packed_linear() -> bool:
    """Whether `packed_linear` is quicker than the product that torch has for bfloat16: oneDNN too, where the
    CPU has one, but lays the weights out anew each time."""
    return has_bfloat16() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


def pack_linear(weight: Tensor) -> Tensor:
    """Weights (O, I) of a projection, laid out for `packed_linear` and for nothing else."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed


def packed_linear(inputs: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """Inputs (..., I) through a projection that was laid out: (..., O), the same bits as without that."""
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")
    return outputs


def seeded(seed: int) -> torch.Generator:
    """A generator of random numbers on the CPU.

    torch 2.13 makes none before its `_meta_registrations` are executed, which the program may have put off.
    """
    try:
        generator = torch.Generator(device="cpu")
    except RuntimeError:
        getattr(torch, "_meta_registrations").activate_meta  # noqa: B009, B018  (touching it imports it)
        generator = torch.Generator(device="cpu")
    return generator.manual_seed(seed)


def copy_each(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors into others, in as few kernels as there are."""
    at_once = getattr(torch, "_foreach_copy_", None)
    if at_once is not None:
        at_once(list(targets), list(sources))
        return
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def activate_adapter(model: nn.Module, name: str) -> None:
    """Make adapter `name` the active one in every LoRA layer, leaving gradients as they are.

    PEFT's own `set_adapter` also freezes the adapters it leaves; reading and writing are trained
    together, so both must keep theirs.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        if hasattr(module, "_active_adapter"):
            module._active_adapter = [name]
            continue
        kept = [(weight, weight.requires_grad) for weight in module.parameters()]
        module.set_adapter([name])
        for weight, needed in kept:
            weight.requires_grad_(needed)


@contextmanager
def without_gguf_bar(bar: Callable[..., Any]) -> Iterator[None]:
    """Have transformers' GGUF loader draw its progress with `bar`: its own obeys no switch."""
    try:
        from transformers import modeling_gguf_pytorch_utils
    except ImportError:
        yield
        return
    loader: Any = modeling_gguf_pytorch_utils
    if not hasattr(loader, "tqdm"):
        yield
        return
    own, loader.tqdm = loader.tqdm, bar
    try:
        yield
    finally:
        loader.tqdm = own


def _cpu(probe: str) -> bool:
    """What a probe of torch says of the CPU; no where there is no such probe."""
    asked = getattr(torch.cpu, probe, None)
    return bool(asked()) if callable(asked) else False
