"""GGUF files of every family: names, quantised weights and tokenizers, against `gguf` and `transformers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from models.architecture import FAMILIES
from models.checkpoints.architecture import read_architecture
from models.checkpoints.base import load_base
from models.checkpoints.gguf_file import FAMILIES as ARCHITECTURES
from models.checkpoints.gguf_file import llama_cpp_name
from models.checkpoints.gguf_vocabulary import implied_merges
from models.decoder import Decoder
from models.stack import Stack

SIZES = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
}


def names_of(architecture: str) -> Any:
    numbers = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in numbers:
        pytest.skip(f"this version of gguf does not know {architecture} yet")
    return gguf.get_tensor_name_map(numbers[architecture], 2)


@pytest.mark.parametrize(("architecture", "family"), list(ARCHITECTURES.items()))
def test_names_are_those_of_llama_cpp(architecture: str, family: str) -> None:
    values = SIZES | {"model_type": family}
    stack = Stack(read_architecture(values, Path("config.json"), 1 << 30))
    known = names_of(architecture)
    for name, _ in stack.wanted():
        if family == "phi3" and any(part in name for part in ("q_proj", "k_proj", "v_proj")):
            name = name.replace(name.split(".")[4], "qkv_proj")
        if family == "phi3" and any(part in name for part in ("gate_proj", "up_proj")):
            name = name.replace(name.split(".")[4], "gate_up_proj")
        expected = known.get_name(name, try_suffixes=(".weight", ".bias"))
        assert llama_cpp_name(family, name) == expected, name


def test_every_family_has_a_name_there() -> None:
    assert set(ARCHITECTURES.values()) | {"mistral"} == set(FAMILIES)


def write(path: Path, architecture: str, stack: Decoder, kind: Any, **fields: Any) -> None:
    """A decoder's weights as llama.cpp's converter lays them out, without tokenizer."""
    shape = stack.stack.architecture
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(shape.positions)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(stack.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(10000.0)
    for name, value in fields.items():
        writer.add_float32(f"{architecture}.{name}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"<{number}>" for number in range(shape.vocabulary)])
    writer.add_token_types([gguf.TokenType.NORMAL] * shape.vocabulary)
    writer.add_token_merges([])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    for name, weight in stack.stack.state_dict().items():
        if name == "lm_head.weight" and shape.tied:
            continue
        is_norm = name.split(".")[-2].endswith("norm")
        rows = (weight + 1 if is_norm and shape.norm == "offset" else weight).numpy()
        found = llama_cpp_name(shape.family, name)
        if is_norm or weight.dim() == 1:
            writer.add_tensor(found, rows)
        else:
            writer.add_tensor(found, gguf.quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1"])
@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_weights_are_unpacked(family: str, kind: str, tmp_path: Path) -> None:
    gemma = {"tie_word_embeddings": True, "query_pre_attn_scalar": 16}
    values = SIZES | {"model_type": family} | (gemma if family == "gemma2" else {})
    built = Stack(read_architecture(values, Path("config.json"), 1 << 30))
    torch.manual_seed(0)
    for name, shape in list(built.wanted()):
        built.fill(name, torch.randn(shape) * 0.2)
    one = Decoder(built)
    number = getattr(gguf.GGMLQuantizationType, kind)
    fields = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    path = tmp_path / "tiny.gguf"
    write(path, family, one, number, **(fields if family == "gemma2" else {}))
    loaded = load_base(path, device="cpu", dtype=torch.float32)
    assert loaded.bos_id == 0 and loaded.stop_ids == {2}
    for name, shape in built.wanted():
        found, exact = loaded.stack.get_parameter(name), built.get_parameter(name)
        tolerance = {"F32": 1e-6, "F16": 1e-3, "BF16": 4e-3, "Q8_0": 6e-3, "Q4_1": 0.1}[kind]
        assert tuple(found.shape) == shape
        torch.testing.assert_close(found, exact, atol=tolerance, rtol=0)
    if kind == "F32":
        ids = torch.tensor([[3, 9, 40, 7]])
        again = Decoder(loaded.stack).logits(ids)
        torch.testing.assert_close(again, one.logits(ids), atol=1e-4, rtol=0)


def test_merges_that_follow_from_scores_are_those_of_transformers() -> None:
    from transformers.tokenization_utils_base import generate_merges

    tokens = ["<s>", "a", "b", "c", "ab", "bc", "abc", "ca", "cab", "\u2581", "\u2581a", "\u2581ab"]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    scores = {token: float(np.cos(id * 7.0)) for token, id in vocabulary.items()}
    assert implied_merges(vocabulary, scores) == generate_merges(vocabulary, scores)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "phi3"])
def test_sentencepiece_vocabularies_encode_as_transformers_encodes(
    architecture: str, tmp_path: Path
) -> None:
    reason = "the converter of earlier versions knows no unknown token"
    theirs_of = pytest.importorskip("transformers.integrations.gguf", reason=reason)

    from models.checkpoints.gguf_vocabulary import read_vocabulary

    letters = [chr(code) for code in range(97, 123)]
    pairs = ["th", "he", "the", "\u2581the", "\u2581t", "er", "in", "\u2581a", "\u2581in"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += ["\u2581", "\u2581\u2581", *letters, *pairs, "<turn>"]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 260) + [4]
    header = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [-float(id) for id in range(len(tokens))],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    ours = read_vocabulary(header.get, architecture, tmp_path)
    table = {
        "tokenizer_type": "llama",
        "tokens": tokens,
        "scores": header["tokenizer.ggml.scores"],
        "token_type": kinds,
    }
    theirs, _ = theirs_of.convert_gguf_tokenizer(architecture, table)
    for text in ("the other  thing in a <turn> hat", " in", "x\u00e9\U0001f600", "  the", "a\nb"):
        ids = ours(text, add_special_tokens=False)["input_ids"]
        assert ids == theirs.encode(text, add_special_tokens=False).ids, text
        assert ours.decode(ids) == theirs.decode(ids)
    assert (ours.bos_token_id, ours.eos_token_id) == (1, 2)
