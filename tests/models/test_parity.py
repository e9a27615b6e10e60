"""The published layout, against numbers that the reference implementation computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoints import CheckpointError, load
from models.checkpoints.parity import check, main, ties_as_recorded
from models.checkpoints.published import load_network
from models.rotary import frequencies
from models.update import read_chunk

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "parity"
TOLERANCE = 1e-4
same_ties = pytest.mark.skipif(
    not ties_as_recorded(FIXTURE), reason="this processor sorts equal ages in another order"
)


@pytest.fixture
def fixture_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "parity"))


@pytest.fixture
def published_folder(fixture_copy: Path, tiny_tokenizer: Any) -> Path:
    """The fixture with a tokenizer, as the published checkpoint has one."""
    tiny_tokenizer.save_pretrained(fixture_copy)
    return fixture_copy


def network(folder: Path, merge: bool = True) -> Any:
    return load_network(folder, device="cpu", dtype=torch.float32, attention="sdpa", merge=merge)


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value != "gone"}))


def edit_tensors(folder: Path, drop: str = "", **changes: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path) | {key.replace("__", "."): value for key, value in changes.items()}
    tensors.pop(drop, None)
    save_file(tensors, path, metadata={"format": "pt"})


@same_ties
@pytest.mark.parametrize("merge", [True, False], ids=["merged", "live"])
def test_every_number_of_the_reference(merge: bool) -> None:
    deviations = check(FIXTURE, merge_adapters=merge)
    assert [str(d) for d in deviations if not d.within(TOLERANCE)] == []
    quantities = {deviation.quantity for deviation in deviations}
    assert len(quantities) == 12
    for quantity in ("logits", "recalled indices", "LTM ages"):
        assert [d.step for d in deviations if d.quantity == quantity] == list(range(9))


def test_the_memory_is_the_reference_s_on_every_processor() -> None:
    depends_on_ties = ("logits", "recalled indices", "greedy ids, cache", "greedy ids, reread")
    deviations = [d for d in check(FIXTURE) if d.quantity not in depends_on_ties]
    assert len(deviations) == 9 * 7 + 8
    assert [str(d) for d in deviations if not d.within(TOLERANCE)] == []


@same_ties
def test_the_replay_sees_a_deviation(fixture_copy: Path) -> None:
    path = fixture_copy / "golden.safetensors"
    golden = load_file(path)
    golden["step3.logits"][0, 2, 7] += 0.01
    golden["step4.stm_ages"][1, 5] += 1
    golden["greedy_ids_cache"][0, -1] += 1
    golden["step6.ltm_keys.2"][3, 3] += 0.01
    save_file(golden, path)
    wrong = {(d.step, d.quantity) for d in check(fixture_copy) if not d.within(TOLERANCE)}
    assert wrong == {
        (3, "logits"),
        (4, "STM ages"),
        (8, "greedy ids, cache"),
        (6, "LTM retriever keys"),
    }


@same_ties
def test_the_command_reports(fixture_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FIXTURE)]) == 0
    table = capsys.readouterr().out
    assert "logits" in table and "past it" not in table
    assert main([str(FIXTURE), "--tolerance", "1e-9"]) == 1
    assert "past it" in capsys.readouterr().out
    (fixture_copy / "golden.safetensors").unlink()
    assert main([str(fixture_copy)]) == 2
    assert "golden.safetensors" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_the_shipped_memory_is_where_a_new_one_starts(published_folder: Path) -> None:
    loaded = load(published_folder, dtype=torch.float32)
    memory = loaded.initial_memory
    assert memory is not None
    assert (len(memory.stm), memory.ltm_tokens, memory.chunks) == (64, 48, 0)
    assert set(memory.stm.tokens.chunks.flatten().tolist()) == {-1}
    assert int(memory.segments[0].born.min()) >= 0
    config = loaded.model.config
    assert (config.stm_tokens, config.recalled_tokens, config.new_tokens) == (64, 32, 16)
    assert (config.retriever.width, config.retriever.hidden) == (8, 16)
    assert loaded.stop_ids == {2}
    after = read_chunk(loaded.model, memory, [5] * 40)
    assert after.stm.tokens.chunks[0, -1] == 0
    before = loaded.fingerprint
    edit_tensors(
        published_folder, memory=load_file(published_folder / "model.safetensors")["memory"] + 1
    )
    assert load(published_folder).fingerprint != before


@same_ties
def test_shards_load_as_one(fixture_copy: Path) -> None:
    tensors = load_file(fixture_copy / "model.safetensors")
    (fixture_copy / "model.safetensors").unlink()
    names, weight_map = sorted(tensors), {}
    for number in range(3):
        shard = f"model-0000{number + 1}-of-00003.safetensors"
        save_file({name: tensors[name] for name in names[number::3]}, fixture_copy / shard)
        weight_map |= dict.fromkeys(names[number::3], shard)
    index = {"metadata": {}, "weight_map": weight_map}
    (fixture_copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert all(deviation.within(TOLERANCE) for deviation in check(fixture_copy))
    (fixture_copy / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no tensor"):
        network(fixture_copy)


def test_layers_that_forgot_unevenly_keep_the_newest_in_common(fixture_copy: Path) -> None:
    tensors = load_file(fixture_copy / "model.safetensors")
    names = ("ltm.1", "ltm_keys.1", "ltm_ages.1", "ltm_recall_frequencies.1")
    edit_tensors(fixture_copy, **{name.replace(".", "__"): tensors[name][8:] for name in names})
    whole, cut = network(FIXTURE).memory, network(fixture_copy).memory
    assert cut.ltm_tokens == 40
    torch.testing.assert_close(cut.segments[0].tokens.keys, whole.segments[0].tokens.keys[:, 8:])
    ages = [memory.clock - 1 - memory.segments[0].born for memory in (whole, cut)]
    assert torch.equal(ages[0][:, 8:], ages[1])


def test_llama_3_s_rotary_fields_are_understood(fixture_copy: Path) -> None:
    scaling = {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
        "rope_type": "llama3",
    }
    edit_config(fixture_copy, rope_theta=500000.0, rope_scaling=scaling)
    plain, scaled = network(FIXTURE).model.generate, network(fixture_copy).model.generate
    found, plainly = (frequencies_of(decoder) for decoder in (scaled, plain))
    expected = 500000.0 ** (-torch.arange(0, 16, 2) / 16)
    wavelength = 2 * torch.pi / expected
    smooth = (64 / wavelength - 1) / 3
    blend = (1 - smooth) * expected / 8 + smooth * expected
    expected = torch.where(
        wavelength > 64, expected / 8, torch.where(wavelength < 16, expected, blend)
    )
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, plainly)


def frequencies_of(decoder: Any) -> torch.Tensor:
    architecture = decoder.stack.architecture
    spec = architecture.layers[0].rotary
    return frequencies(spec, architecture.head_size, architecture.positions)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_ltm_blocks": "gone"}, "has no field 'num_ltm_blocks'"),
        ({"add_decoder_lora": "gone"}, "has no field 'add_decoder_lora'"),
        ({"add_bos_embedding": False}, "add_bos_embedding is False"),
        ({"update_ltm_mode": "decouple"}, "update_ltm_mode is 'decouple'"),
        ({"hidden_size": 32}, "shape"),
        ({"max_position_embeddings": 128}, "128 positions"),
    ],
)
def test_other_settings_are_refused(
    published_folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_config(published_folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(published_folder)


@pytest.mark.parametrize(
    "missing",
    [
        "bos_embedding",
        "memory",
        "model.layers.2.self_attn.key_proj.2.weight",
        "model.layers.1.mlp.down_proj.base_layer.weight",
        "model.layers.0.mlp.up_proj.lora_B.decoder_adapter.weight",
    ],
)
def test_a_missing_tensor_is_named(published_folder: Path, missing: str) -> None:
    edit_tensors(published_folder, drop=missing)
    with pytest.raises(CheckpointError, match=missing.removesuffix(".base_layer.weight")):
        load(published_folder)


def test_without_a_second_adapter_one_serves_both_passes(fixture_copy: Path) -> None:
    edit_config(fixture_copy, add_decoder_lora=False)
    model = network(fixture_copy).model
    assert model.update is model.generate
