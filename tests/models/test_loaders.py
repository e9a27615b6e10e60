"""Loading bases: folders, shards, GGUF files, Hub ids, and everything that is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoints import (
    CheckpointError,
    convert_gguf,
    default_dtype,
    identity_config,
    load,
)
from models.config import ConfigError

IDS = torch.tensor([[5, 9, 40, 7]])


@pytest.fixture
def base_copy(tiny_base_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base_folder, tmp_path / "base"))


def logits(llama: Any) -> torch.Tensor:
    with torch.no_grad():
        return llama(IDS).logits  # type: ignore[no-any-return]


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_plain_folder_gets_identity_memory(
    tiny_base_folder: Path, tiny_llama: Any, attention: str
) -> None:
    loaded = load(tiny_base_folder, dtype=torch.float32, attention=attention)
    assert loaded.model.config == identity_config(2048, 3)
    assert loaded.name == "tiny-base"
    assert loaded.model.update is loaded.model.generate
    assert loaded.stop_ids == {2}
    assert loaded.model.bos_id == 0
    assert loaded.initial_memory is None
    assert not any(p.requires_grad for p in loaded.model.generate.stack.parameters())
    torch.testing.assert_close(loaded.model.generate.logits(IDS), logits(tiny_llama))


def test_the_dtype_is_the_one_asked_for(tiny_base_folder: Path) -> None:
    assert load(tiny_base_folder, dtype=torch.bfloat16).model.dtype == torch.bfloat16
    assert load(str(tiny_base_folder)).model.dtype == default_dtype("cpu")
    assert default_dtype("cuda") == default_dtype("mps") == torch.bfloat16


def test_default_dtype_on_the_cpu_follows_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda yes=supported: yes)
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        assert default_dtype("cpu") == expected


def test_shards_load_as_one(base_copy: Path, tiny_llama: Any) -> None:
    (base_copy / "model.safetensors").unlink()
    tiny_llama.save_pretrained(base_copy, max_shard_size="40KB")
    assert len(list(base_copy.glob("*.safetensors"))) > 1
    loaded = load(base_copy, dtype=torch.float32)
    torch.testing.assert_close(loaded.model.generate.logits(IDS), logits(tiny_llama))
    sorted(base_copy.glob("*.safetensors"))[0].unlink()
    with pytest.raises(CheckpointError):
        load(base_copy)


@pytest.mark.parametrize(
    ("positions", "chunk"),
    [(131072, 512), (8192, 512), (4097, 512), (4096, 504), (1024, 120), (65, 8)],
)
def test_identity_geometry_fits_every_base(positions: int, chunk: int) -> None:
    config = identity_config(positions, 2)
    assert (config.chunk_tokens, config.new_tokens) == (chunk, chunk)
    assert (config.stm_tokens, config.recalled_tokens) == (4 * chunk, 2 * chunk)
    config.check_base(layers=2, positions=positions)


def test_a_base_can_be_too_small() -> None:
    with pytest.raises(ConfigError, match="64 positions"):
        identity_config(64, 2)


def test_other_architectures_are_refused(base_copy: Path) -> None:
    change_config(base_copy, model_type="gpt2")
    with pytest.raises(CheckpointError, match="'gpt2' model: read are llama, mistral, qwen2"):
        load(base_copy)


def test_pickles_are_never_read(base_copy: Path) -> None:
    (base_copy / "model.safetensors").unlink()
    (base_copy / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(CheckpointError, match="pickled weights only"):
        load(base_copy)


def test_a_missing_tensor_is_named(base_copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = base_copy / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"no tensor model\.layers\.1\.mlp\.up_proj\.weight"):
        load(base_copy)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_a_damaged_file_is_refused(base_copy: Path) -> None:
    path = base_copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="damaged safetensors"):
        load(base_copy)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", r"has no config\.json"),
        ("model.safetensors", r"has no \.safetensors"),
        ("tokenizer.json", r"has no tokenizer\.json"),
    ],
)
def test_an_incomplete_folder_is_refused(base_copy: Path, missing: str, message: str) -> None:
    (base_copy / missing).unlink()
    with pytest.raises(CheckpointError, match=message):
        load(base_copy)


def test_invalid_json_is_refused(base_copy: Path) -> None:
    (base_copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load(base_copy)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load("./nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CheckpointError, match=r"neither a model folder nor a \.gguf file"):
        load(tmp_path / "notes.txt")


def test_a_hub_id_offline_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is not in the local cache and the network is off"):
        load("nobody-here/no-such-model-e7a1")


def test_a_name_that_is_no_hub_id_is_refused() -> None:
    with pytest.raises(CheckpointError, match="neither a folder here nor a Hub id"):
        load("no//such//model")


def test_a_cached_hub_snapshot_is_loaded_by_its_content(
    tiny_base_folder: Path, tiny_checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def snapshot(reference: str, **options: Any) -> str:
        asked[reference] = options["local_files_only"]
        return str(tiny_checkpoint_folder if reference == "me/ours" else tiny_base_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert load("me/base").name == "tiny-base"
    assert load("me/ours").name == "tiny"
    assert asked == {"me/base": True, "me/ours": True}
    monkeypatch.delenv("HF_HUB_OFFLINE")
    load("me/base")
    assert asked["me/base"] is False


def test_loading_is_silent(tiny_base_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(tiny_base_folder)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.fixture
def gguf_file(tiny_llama: Any, tiny_tokenizer: Any, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny_llama, tiny_tokenizer, "llama")
    return path


def write_gguf(path: Path, llama: Any, tokenizer: Any, architecture: str) -> None:
    """A Llama in float32 as llama.cpp's converter lays it out."""
    import gguf

    config = llama.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocabulary]
    tokens += [f"<unused{number}>" for number in range(config.vocab_size - len(tokens))]
    control = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [control[0] if number < 3 else control[1] for number in range(len(tokens))]
    )
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_chat_template(tokenizer.chat_template)
    for name, tensor in llama.state_dict().items():
        writer.add_tensor(gguf_name(name), gguf_rows(name, tensor, config).contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in whole:
        return whole[name]
    parts = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "q_proj": "attn_q",
        "k_proj": "attn_k",
        "v_proj": "attn_v",
        "o_proj": "attn_output",
        "gate_proj": "ffn_gate",
        "up_proj": "ffn_up",
        "down_proj": "ffn_down",
    }
    layer, part = name.split(".")[2], name.split(".")[-2]
    return f"blk.{layer}.{parts[part]}.weight"


def gguf_rows(name: str, tensor: torch.Tensor, config: Any) -> torch.Tensor:
    """llama.cpp interleaves the two halves of each query and key head that RoPE turns together."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    part = name.split(".")[-2]
    if part not in heads:
        return tensor
    halves = tensor.view(heads[part], 2, -1, tensor.shape[1])
    return halves.transpose(1, 2).reshape(tensor.shape)


def test_a_gguf_file_loads(gguf_file: Path, tiny_llama: Any, tiny_tokenizer: Any) -> None:
    loaded = load(gguf_file, dtype=torch.float32)
    assert loaded.name == "tiny"
    assert 2 in loaded.stop_ids
    torch.testing.assert_close(
        loaded.model.generate.logits(IDS), logits(tiny_llama), atol=1e-4, rtol=0
    )
    text = "the keeper wrote"
    assert loaded.tokenizer(text)["input_ids"] == tiny_tokenizer(text)["input_ids"]
    assert loaded.tokenizer.chat_template == tiny_tokenizer.chat_template


def test_a_converted_gguf_is_the_same_model(
    gguf_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        convert_gguf(gguf_file, tmp_path / name, torch.float32)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(
        files
    )
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "tiny.gguf", "two"]
    direct, converted = (
        load(gguf_file, dtype=torch.float32),
        load(tmp_path / "one", dtype=torch.float32),
    )
    assert torch.equal(direct.model.generate.logits(IDS), converted.model.generate.logits(IDS))
    prompts = [side.prompt.render(side.tokenizer, "Who kept it?") for side in (direct, converted)]
    assert prompts[0] == prompts[1]
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_a_conversion_unpacks_the_weights_once(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `transformers`; what is missing is said from the header, as there it would be made up."""
    from models.checkpoints.gguf_file import GgufFile

    monkeypatch.setattr(GgufFile, "__getitem__", None)
    convert_gguf(gguf_file, tmp_path / "one", torch.float32)
    without = GgufFile.__contains__
    monkeypatch.setattr(
        GgufFile, "__contains__", lambda file, name: "norm" not in str(name) and without(file, name)
    )
    with pytest.raises(CheckpointError, match=r"has no tensor model\..*norm"):
        convert_gguf(gguf_file, tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "tiny.gguf"]


def test_a_failed_conversion_leaves_nothing(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("transformers.LlamaForCausalLM.save_pretrained", fail)
    with pytest.raises(CheckpointError, match="disk full"):
        convert_gguf(gguf_file, tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match=r"x\.gguf"):
        load(tmp_path / "x.gguf")
    with pytest.raises(CheckpointError, match="no such file"):
        convert_gguf(tmp_path / "y.gguf", tmp_path / "out")


def test_a_gguf_of_another_architecture_is_refused(
    tiny_llama: Any, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "q.gguf", tiny_llama, tiny_tokenizer, "gptneox")
    with pytest.raises(CheckpointError, match="is a 'gptneox' model: read are llama, qwen2"):
        load(tmp_path / "q.gguf")
