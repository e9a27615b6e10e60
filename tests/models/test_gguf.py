"""GGUF files of every family: names, quantised weights and tokenizers, against `gguf` and `transformers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from models import compat
from models.architecture import FAMILIES
from models.blocks import Blocks4
from models.cache import KeyValueCache, StepDecoder
from models.checkpoints.architecture import read_architecture
from models.checkpoints.base import load_base
from models.checkpoints.gguf_blocks import KINDS as FOURS
from models.checkpoints.gguf_blocks import unpack_blocks
from models.checkpoints.gguf_file import FAMILIES as ARCHITECTURES
from models.checkpoints.gguf_file import GgufFile, llama_cpp_name
from models.checkpoints.gguf_vocabulary import implied_merges
from models.checkpoints.loaded import CheckpointError
from models.decoder import Decoder
from models.fast_decode import FastDecoder, join, pack8
from models.merging import Adapter
from models.projections import Packed4, Packed8
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


def header_of(path: Path, architecture: str, **values: int) -> Path:
    """A GGUF file of a header alone."""
    writer = gguf.GGUFWriter(path, architecture)
    sizes = {"embedding_length": 128, "block_count": 2, "attention.head_count": 4}
    for name, value in (sizes | {"context_length": 64, "feed_forward_length": 96}).items():
        writer.add_uint32(f"{architecture}.{name}", value)
    for name, value in values.items():
        writer.add_uint32(name.replace("__", "."), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_positions_that_turn_a_part_of_each_head(tmp_path: Path) -> None:
    """As in Phi-4-mini; where the whole head is turned, some converters say so."""
    for turned, share in ((24, 0.75), (32, 1.0)):
        path = header_of(tmp_path / f"{turned}.gguf", "phi3", phi3__rope__dimension_count=turned)
        built = read_architecture(GgufFile(path).config | {"vocab_size": 8}, path, 1 << 30)
        assert {kind.rotary.share for kind in built.layers if kind.rotary} == {share}


def test_the_end_of_a_turn_ends_an_answer(tmp_path: Path) -> None:
    ends = {"tokenizer__ggml__eos_token_id": 2, "tokenizer__ggml__eot_token_id": 5}
    config = GgufFile(header_of(tmp_path / "x.gguf", "llama", **ends)).config
    assert (config["eos_token_id"], config["generation_eos"]) == (2, 5)


def test_one_part_of_a_model_says_how_to_join_it(tmp_path: Path) -> None:
    path = header_of(tmp_path / "x-00001-of-00003.gguf", "qwen3", split__count=3)
    with pytest.raises(CheckpointError, match=r"one of 3 files .*llama-gguf-split --merge"):
        GgufFile(path)


KINDS = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ2_XS", "IQ3_S", "IQ4_NL", "IQ4_XS", "Q5_1")


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_common_kind_are_unpacked(kind: str, tmp_path: Path) -> None:
    """`gguf` packs few kinds, but unpacks all of these: any bytes are rows of them."""
    number = getattr(gguf.GGMLQuantizationType, kind)
    rows = np.random.default_rng(0).integers(
        0, 60, (4, gguf.quant_shape_to_byte_shape((4, 256), number)[1])
    )
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_head_count(2)
    writer.add_tensor("blk.0.ffn_up.weight", rows.astype(np.uint8), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = GgufFile(tmp_path / "x.gguf")["model.layers.0.mlp.up_proj.weight"]
    expected = gguf.dequantize(rows.astype(np.uint8), number)
    assert found.shape == (4, 256) and found.std() > 0
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("kind", list(FOURS))
def test_codes_of_4_bits_are_those_that_are_unpacked(kind: str) -> None:
    number = getattr(gguf.GGMLQuantizationType, kind)
    width = gguf.quant_shape_to_byte_shape((6, 512), number)[1]
    rows = np.random.default_rng(0).integers(0, 256, (6, width), dtype=np.uint8)
    halfs = np.random.default_rng(1).normal(size=(6, width)).astype(np.float16).view(np.uint8)
    size, _ = FOURS[kind]
    for start in range(0, width, size):  # a step and a least value that are numbers
        rows[:, start : start + 4] = halfs[:, start : start + 4]
    found = unpack_blocks(rows, kind, lambda part: part.flip(0))
    assert found.codes.dtype == torch.uint8 and int(found.codes.max()) == 15
    expected = torch.from_numpy(gguf.dequantize(rows, number)).flip(0)
    torch.testing.assert_close(found.unpacked(), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.skipif(not compat.has_int4_linear(), reason="torch has no products of 4 bits")
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_steps_leave_weights_in_4_bits(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rows to be put in order, and with biases; nearer to the file's numbers than 8 bits are."""
    values = SIZES | {"model_type": family, "tie_word_embeddings": True}
    built = Stack(read_architecture(values, Path("config.json"), 1 << 30))
    torch.manual_seed(0)
    for name, shape in list(built.wanted()):
        built.fill(name, torch.randn(shape) * 0.2)
    path = tmp_path / "tiny.gguf"
    write(path, family, Decoder(built), gguf.GGMLQuantizationType.Q4_1)
    decoder = Decoder(load_base(path, device="cpu", dtype=torch.float32).stack)

    def logits(steps: StepDecoder) -> torch.Tensor:
        shape = (1, decoder.kv_heads, 8, decoder.head_size)
        cache = KeyValueCache([shape] * decoder.layers, decoder.dtype, decoder.device)
        return torch.cat([steps.step(token, cache) for token in (3, 9, 40, 7)])

    fours, exact = FastDecoder(decoder, pack8), logits(decoder)
    distance = float((logits(fours) - exact).norm() / exact.norm())
    assert distance < 0.02
    assert all(isinstance(layer.qkv, Packed4) for layer in fours._layers)
    assert all(isinstance(layer.down, Packed4) for layer in fours._layers)
    as_they_are = FastDecoder(decoder, join)
    assert torch.allclose(logits(as_they_are), exact, atol=1e-4)
    monkeypatch.setattr(compat, "has_int4_linear", lambda: False)
    eights = FastDecoder(decoder, pack8)
    logits(eights)
    assert all(isinstance(layer.down, Packed8) for layer in eights._layers)


def test_weights_with_an_adapter_are_not_left_in_4_bits(build_network: Any) -> None:
    """Nor where a projection of several has none, or the kernel does not take so many rows."""
    decoder = build_network().generate
    names = [f"model.layers.0.self_attn.{part}_proj" for part in "qkv"]
    some = Blocks4(torch.zeros(16, 32, dtype=torch.uint8), torch.ones(16, 1), torch.zeros(16, 1))
    decoder.stack.blocks = {f"{name}.weight": lambda: some for name in names}
    fast = FastDecoder(decoder, pack8)
    assert len(fast._blocks(names)) == 3
    assert not fast._blocks([*names, "model.layers.0.self_attn.o_proj"])
    halves = (torch.zeros(1, 32), torch.zeros(16, 1))
    decoder.apart = Adapter(1, 2.0, {names[1]: halves})
    assert not fast._blocks(names) and len(fast._blocks(names[:1])) == 1
    few = Blocks4(some.codes[:8], some.steps[:8], some.middles[:8])
    decoder.stack.blocks[f"{names[0]}.weight"] = lambda: few
    assert not fast._blocks(names[:1])


def test_no_weight_is_unpacked_where_another_of_its_group_is_not_in_4_bits(
    build_network: Any,
) -> None:
    """Q4_K_M files keep v_proj of many layers in Q6_K."""
    decoder = build_network().generate
    names = [f"model.layers.0.self_attn.{part}_proj" for part in "qkv"]
    unpacked: list[str] = []
    for name in names[:2]:
        decoder.stack.blocks[f"{name}.weight"] = lambda name=name: unpacked.append(name)
    assert FastDecoder(decoder, pack8)._blocks(names) == [] and not unpacked


@pytest.mark.parametrize(
    ("cut_as", "pieces"),
    [
        ("llama-bpe", ["It", "'s", " ABCdef", " ", "123", "45", "!/"]),
        ("falcon3", ["It", "'s", " ABCdef", " ", "123", "45", "!/"]),
        ("gpt-4o", ["It's", " ABCdef", " ", "123", "45", "!/"]),
        ("smollm", ["It", "'s", " ABCdef", " ", "1", "2", "3", "4", "5", "!/"]),
        ("gpt-2", ["It", "'s", " ABCdef", " 12345", "!/"]),
        (None, ["It", "'s", " ABCdef", " 12345", "!/"]),
    ],
)
def test_text_is_cut_as_the_file_says(
    cut_as: str | None, pieces: list[str], tmp_path: Path
) -> None:
    from models.checkpoints.gguf_vocabulary import read_vocabulary

    header = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": cut_as,
        "tokenizer.ggml.tokens": ["a", "b", "c"],
        "tokenizer.ggml.merges": [],
    }
    backend = read_vocabulary(header.get, "llama", tmp_path).backend_tokenizer
    found = backend.pre_tokenizer.pre_tokenize_str("It's ABCdef 12345!/")
    assert [piece.replace("\u0120", " ") for piece, _ in found] == pieces


@pytest.mark.parametrize("cut_as", ["bailingmoe", 7, ["gpt-2"]])
def test_a_way_to_cut_text_that_is_not_known_is_refused(cut_as: Any, tmp_path: Path) -> None:
    from models.checkpoints.gguf_vocabulary import read_vocabulary

    header = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": cut_as,
        "tokenizer.ggml.tokens": ["a"],
    }
    with pytest.raises(CheckpointError, match="cuts text in a way that is not known here"):
        read_vocabulary(header.get, "llama", tmp_path)


def test_llama_3_takes_a_word_that_is_a_token_whole(tmp_path: Path) -> None:
    """Whether merges lead to it or not (`ignore_merges`)."""
    from models.checkpoints.gguf_vocabulary import read_vocabulary

    header = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["a", "b", "c", "ab", "abc"],
        "tokenizer.ggml.merges": ["a b"],
    }
    for cut_as, ids in (("llama-bpe", [4]), ("qwen2", [3, 2])):
        found = read_vocabulary((header | {"tokenizer.ggml.pre": cut_as}).get, "llama", tmp_path)
        assert found("abc", add_special_tokens=False)["input_ids"] == ids
