"""What is borrowed by private names: with each of them gone, the results stay."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch

from models import compat
from models.blocks import Blocks4
from models.precision import default_dtype
from models.projections import Joined, Prepacked, join, pack4, prepack

ROOT = Path(__file__).resolve().parents[2]
BORROWED = ("torch", "cpu", "transformers", "peft", "config", "module")


@pytest.mark.parametrize("package", ["models", "mplus_cli"])
def test_private_names_are_used_in_one_module_alone(package: str) -> None:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                owner = ast.unparse(node.value).split(".")[-1]
                if owner in BORROWED and not node.attr.startswith("__"):
                    found.append(f"{path.name}: {owner}.{node.attr}")
    assert [one for one in found if not one.startswith("compat.py")] == []


def test_products_of_bytes_are_the_same_without_their_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    left = torch.randint(-127, 128, (32, 64), dtype=torch.int8)
    right = torch.randint(-127, 128, (64, 48), dtype=torch.int8)
    inputs, scales = torch.randn(3, 64), torch.rand(32)
    exact, linear = compat.int8_matmul(left, right), compat.int8_linear(inputs, left, scales)
    assert torch.equal(exact, left.int() @ right.int())
    for name in ("_int_mm", "_weight_int8pack_mm"):
        monkeypatch.delattr(torch, name)
    assert torch.equal(compat.int8_matmul(left, right), exact)
    again = compat.int8_linear(inputs, left, scales)
    assert again.dtype == linear.dtype == torch.float32
    assert float((again - linear).norm() / again.norm()) < 0.01  # the kernel's are bfloat16
    assert not compat.has_int8_linear() and not compat.multiplies_bytes()


@pytest.mark.skipif(not compat.has_int4_linear(), reason="torch has no products of 4 bits")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products_of_4_bits(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    codes = torch.randint(0, 16, (48, 64), dtype=torch.uint8)
    blocks = Blocks4(codes, torch.rand(48, 2), torch.rand(48, 2) - 0.5)
    parts = zip(*(part.split([32, 16]) for part in astuple(blocks)), strict=True)
    inputs, bias = torch.randn(2, 3, 64, dtype=dtype), torch.randn(48, dtype=dtype)
    found = pack4([Blocks4(*part) for part in parts], bias)(inputs)
    exact = inputs.float() @ blocks.unpacked().T + bias.float()
    assert found.dtype == dtype and found.shape == (2, 3, 48)
    assert float((found.float() - exact).norm() / exact.norm()) < 0.01
    monkeypatch.delattr(torch, "_weight_int4pack_mm_for_cpu")
    assert not compat.has_int4_linear()


@pytest.mark.skipif(not compat.has_packed_linear(), reason="no products of bfloat16 in hardware")
@pytest.mark.parametrize("rows", [1, 3, 17, 130])
def test_prepacked_weights_give_the_same_bits(rows: int) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(40, 96).bfloat16(), torch.randn(24, 96).bfloat16()]
    inputs, bias = torch.randn(2, rows, 96).bfloat16(), torch.randn(64).bfloat16()
    for given in (None, bias):
        packed, joined = prepack(parts, given), join(parts, given)
        assert isinstance(packed, Prepacked)
        assert torch.equal(packed(inputs), joined(inputs))
    assert isinstance(prepack([part.float() for part in parts]), Joined)


def test_weights_stay_as_they_are_where_they_cannot_be_prepacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compat, "has_packed_linear", lambda: False)
    assert isinstance(prepack([torch.ones(8, 8).bfloat16()]), Joined)


def test_a_processor_that_is_not_known_is_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_vnni_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert default_dtype("cpu") == torch.float32
    assert not compat.has_packed_linear()
    assert not compat.multiplies_bytes()


def test_tensors_are_copied_without_their_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "_foreach_copy_")
    targets = [torch.zeros(2), torch.zeros(3)]
    compat.copy_each(targets, [torch.ones(2), torch.ones(3)])
    assert all(bool((target == 1).all()) for target in targets)


def test_an_adapter_is_switched_without_its_attribute(
    build_stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora import LoraLayer

    from models.checkpoints import attach_adapters
    from models.merging import GENERATE, UPDATE

    llama = build_stack()
    attach_adapters(llama, 2, 2)
    switched = []

    def set_adapter(self: Any, names: list[str]) -> None:
        switched.append(names)
        self.lora_A[UPDATE].weight.requires_grad_(False)

    monkeypatch.setattr(LoraLayer, "set_adapter", set_adapter)
    for module in llama.modules():
        if isinstance(module, LoraLayer):
            monkeypatch.delattr(module, "_active_adapter")
    monkeypatch.delattr("peft.tuners.tuners_utils.BaseTunerLayer._active_adapter")
    compat.activate_adapter(llama, GENERATE)
    assert switched and all(names == [GENERATE] for names in switched)
    adapters = [weight for name, weight in llama.named_parameters() if ".lora_" in name]
    assert adapters and all(weight.requires_grad for weight in adapters)


def test_the_gguf_loader_may_have_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import modeling_gguf_pytorch_utils

    bar = object()
    with compat.without_gguf_bar(bar):  # type: ignore[arg-type]
        assert modeling_gguf_pytorch_utils.tqdm is bar
    monkeypatch.delattr(modeling_gguf_pytorch_utils, "tqdm")
    with compat.without_gguf_bar(bar):  # type: ignore[arg-type]
        assert not hasattr(modeling_gguf_pytorch_utils, "tqdm")
