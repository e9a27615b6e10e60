"""Every family that is read, against `transformers` with the same random weights in float32."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.architecture import FAMILIES
from models.checkpoints import CheckpointError
from models.checkpoints.architecture import read_architecture
from models.checkpoints.base import load_base
from models.config import MPlusConfig, RetrieverShape
from models.decoder import Decoder
from models.fast_decode import FastDecoder, join, optimise_for_device
from models.generate import Sampling, decode, prefill
from models.network import MPlusModel
from models.recall import ChunkRecall
from models.retriever import make_retriever
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]
CHUNK = 8
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "initializer_range": 0.2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
}
SHORT = [1.0 + 0.1 * number for number in range(6)]
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": SHORT,
    "long_factor": [9.0] * 6,
    "partial_rotary_factor": 0.75,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, tied, biased": (
        "llama",
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    ),
    "llama 3": ("llama", {"rope_parameters": LLAMA3}),
    "llama, yarn": ("llama", {"rope_parameters": YARN}),
    "llama, linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "llama, dynamic": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral, window": ("mistral", {"sliding_window": 11}),
    "qwen2": ("qwen2", {"head_dim": "none"}),
    "qwen3": ("qwen3", {}),
    "qwen3, window": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": 11, "max_window_layers": 2},
    ),
    "smollm3": ("smollm3", {"head_dim": "none", "no_rope_layers": [1, 0, 1, 1]}),
    "phi3": ("phi3", {"head_dim": "none", "hidden_size": 64}),
    "phi3, longrope": (
        "phi3",
        {
            "head_dim": "none",
            "hidden_size": 64,
            "original_max_position_embeddings": 128,
            "partial_rotary_factor": 0.75,
            "rope_parameters": LONGROPE,
        },
    ),
    "gemma2": ("gemma2", {"sliding_window": 11, "query_pre_attn_scalar": 24}),
    "gemma3": (
        "gemma3_text",
        {"sliding_window": 11, "query_pre_attn_scalar": 24, "sliding_window_pattern": 2},
    ),
    "gemma3, linear": (
        "gemma3_text",
        {
            "sliding_window": 11,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "olmo2": ("olmo2", {"head_dim": "none"}),
    "granite": (
        "granite",
        {
            "head_dim": "none",
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.4,
            "attention_multiplier": 0.2,
            "logits_scaling": 2.0,
        },
    ),
}


def make(name: str) -> Any:
    """A random model of `transformers`, with weights that show in every norm and bias."""
    from transformers import AutoConfig, AutoModelForCausalLM

    family, changes = MODELS[name]
    values = {key: value for key, value in (SIZES | changes).items() if value != "none"}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **values)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for weight_name, weight in model.named_parameters():
        if "norm" in weight_name or "bias" in weight_name:
            torch.nn.init.normal_(weight, 0.0 if "bias" in weight_name else 0.5, 0.3)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=list(MODELS))
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Any
) -> tuple[Any, Decoder]:
    """A model of `transformers`, and ours from the files that it writes."""
    theirs = make(request.param)
    folder = tmp_path_factory.mktemp("family")
    theirs.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return theirs, Decoder(load_base(folder, device="cpu", dtype=torch.float32).stack)


def network(decoder: Decoder) -> MPlusModel:
    """Identity memory of 8-token chunks (K = T)."""
    config = MPlusConfig(
        chunk_tokens=CHUNK,
        new_tokens=CHUNK,
        stm_tokens=2 * CHUNK,
        recalled_tokens=CHUNK,
        max_prompt_tokens=64,
        memory_positions="strided",
        retriever=RetrieverShape(scorer="cosine", layers=(0,)),
    )
    retriever = make_retriever(config.retriever, decoder.layers, decoder.hidden)
    return MPlusModel(config, decoder, decoder, retriever, bos_id=0)


@pytest.mark.parametrize("attention", ["sdpa", "eager", "grouped_causal"])
def test_logits_of_a_text(pair: tuple[Any, Decoder], chunk_ids: Ids, attention: str) -> None:
    theirs, decoder = pair
    ids = torch.tensor([chunk_ids(0, 30)])
    expected = theirs(ids).logits
    assert expected.std() > 0.05
    found = Decoder(decoder.stack, attention=attention).logits(ids)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lengths", [(8,), (8, 8)], ids=["a chunk", "two chunks"])
def test_logits_behind_memory_and_greedy_tokens(
    pair: tuple[Any, Decoder], chunk_ids: Ids, lengths: tuple[int, ...]
) -> None:
    theirs, decoder = pair
    model = network(Decoder(decoder.stack))
    optimise_for_device(model)
    memory, text = model.empty_memory(), [0]
    for number, length in enumerate(lengths):
        memory = read_chunk(model, memory, chunk_ids(number, length))
        text += chunk_ids(number, length)
    prompt = chunk_ids(99, 6)
    nothing = ChunkRecall(memory.stm.tokens.slice(0, 0))
    logits, cache = prefill(model, memory, nothing, prompt, spare=8, all_logits=True)
    whole = torch.tensor([text + prompt])
    expected = theirs(whole).logits[0, len(text) :]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    options = {"do_sample": False, "max_new_tokens": 8, "eos_token_id": None}
    wanted = theirs.generate(whole, **options)[0, whole.shape[1] :].tolist()
    model.step_decoder = FastDecoder(model.generate, join)
    steps = decode(model, cache, logits, Sampling())
    assert [next(steps) for _ in wanted] == wanted


def test_every_family_is_tested() -> None:
    assert {family for family, _ in MODELS.values()} == set(FAMILIES)


@pytest.mark.parametrize("older", [True, False])
def test_the_text_model_of_one_that_sees_images_is_read(
    tmp_path: Path, tiny_tokenizer: Any, chunk_ids: Ids, older: bool
) -> None:
    from safetensors.torch import load_file, save_file

    theirs = make("gemma3")
    theirs.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    text = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
    tensors = load_file(tmp_path / "model.safetensors")
    named = {
        f"language_model.{name}" if older else name.replace("model.", "model.language_model."): part
        for name, part in tensors.items()
    }
    save_file(named | {"vision_tower.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    ids = torch.tensor([chunk_ids(0, 12)])
    found = Decoder(load_base(tmp_path, device="cpu", dtype=torch.float32).stack).logits(ids)
    torch.testing.assert_close(found, theirs(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mixtral"}, "is a 'mixtral' model: supported are llama, mistral, qwen2"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu': supported are silu"),
        ({"rope_parameters": {"rope_type": "mrope"}}, "rope_type is 'mrope': supported are"),
        ({"rope_scaling": {"type": "linear"}}, "of type 'linear' have no factor"),
        ({"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0]}}, "give 8 numbers"),
        ({"model_type": "qwen3", "layer_types": ["linear"] * 4}, "layer_types is"),
        ({"model_type": "smollm3", "no_rope_layers": [2]}, "no_rope_layers is"),
        ({"model_type": "gemma2", "use_bidirectional_attention": True}, "bidirectional"),
        ({"sliding_window": 0}, "sliding_window is 0"),
        ({"quantization_config": {"quant_method": "fp8"}}, "are quantised .'fp8'.*.gguf file"),
        ({"model_type": "gemma3", "text_config": {}, "compression_config": {"x": 1}}, "quantised"),
    ],
)
def test_what_is_not_read_is_one_line(changes: dict[str, Any], message: str) -> None:
    values = {**SIZES, "model_type": "llama", **changes}
    with pytest.raises(CheckpointError, match=message) as caught:
        read_architecture(values, Path("config.json"), 1 << 30)
    assert "\n" not in str(caught.value)


def test_weights_in_whole_numbers_are_refused(tmp_path: Path, tiny_tokenizer: Any) -> None:
    """Their scale lies beside them, where it is not looked for."""
    from safetensors.torch import load_file, save_file

    make("llama").save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    save_file(tensors | {name: tensors[name].to(torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"{name} holds whole numbers"):
        load_base(tmp_path, device="cpu", dtype=torch.float32)
