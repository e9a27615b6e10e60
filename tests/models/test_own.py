"""Our own checkpoints: saved and loaded, merged and live, and told apart by their fingerprint."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoints import (
    CheckpointError,
    attach_adapters,
    base_fingerprint,
    load,
    save_own,
)
from models.checkpoints.adapters import extract, load_adapter, save_adapter
from models.checkpoints.fingerprint import WHOLE_BYTES, fingerprint
from models.checkpoints.own import keep_memories
from models.config import MPlusConfig, RetrieverShape
from models.generate import prefill
from models.merging import Adapter
from models.prompts import PromptFormat
from models.recall import look_up
from models.retriever import make_retriever
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]


@pytest.fixture
def pair(tiny_base_folder: Path, tiny_checkpoint_folder: Path, tmp_path: Path) -> Path:
    """Copies of the tiny base and checkpoint side by side; the checkpoint's folder."""
    shutil.copytree(tiny_base_folder, tmp_path / "tiny-base")
    return Path(shutil.copytree(tiny_checkpoint_folder, tmp_path / "tiny-checkpoint"))


def run(loaded: Any, chunk_ids: Ids) -> tuple[torch.Tensor, Any]:
    """Logits of a prompt after eight chunks, and the memory it was asked of."""
    memory = loaded.model.empty_memory()
    for number in range(8):
        memory = read_chunk(loaded.model, memory, chunk_ids(number, 30))
    prompt = chunk_ids(99, 9)
    recall = look_up(loaded.model, memory, prompt).recall
    assert len(recall) > 0
    logits, _ = prefill(loaded.model, memory, recall, prompt, spare=0, all_logits=True)
    return logits, memory


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "mplus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_merged_and_live_adapters_give_the_same(
    tiny_checkpoint_folder: Path, chunk_ids: Ids
) -> None:
    merged = load(tiny_checkpoint_folder, dtype=torch.float32)
    live = load(tiny_checkpoint_folder, dtype=torch.float32, merge=False)
    assert merged.fingerprint == live.fingerprint
    (one, memory), (other, same) = run(merged, chunk_ids), run(live, chunk_ids)
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    torch.testing.assert_close(memory.stm.tokens.keys, same.stm.tokens.keys, atol=1e-4, rtol=0)


def change_projection(folder: Path, layer: int, projection: str) -> None:
    path = folder / "generate_lora" / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors[f"base_model.model.model.layers.{layer}.{projection}.lora_B.weight"] += 0.25
    save_file(tensors, path, metadata={"format": "pt"})


def test_a_checkpoint_whose_reading_was_trained_opens_the_memories_of_before(
    tiny_checkpoint_folder: Path, pair: Path, chunk_ids: Ids
) -> None:
    base, before = pair.parent / "tiny-base", load(tiny_checkpoint_folder, dtype=torch.float32)
    change_projection(pair, 1, "self_attn.q_proj")
    assert load(pair).fingerprint != before.fingerprint
    edit(pair, memories={"fingerprint": before.fingerprint, "digest": "a" * 64})
    assert load(pair).fingerprint != before.fingerprint, "a card's word is not believed"
    keep_memories(pair, tiny_checkpoint_folder, base)
    trained = load(pair, dtype=torch.float32)
    assert trained.fingerprint == before.fingerprint
    (one, memory), (other, same) = run(before, chunk_ids), run(trained, chunk_ids)
    assert (one - other).abs().max() > 1e-3
    for name in ("keys", "values", "retriever_keys"):
        assert torch.equal(getattr(memory.stm.tokens, name), getattr(same.stm.tokens, name)), name
    again = Path(shutil.copytree(pair, pair.parent / "again"))  # trained further, from that one
    change_projection(again, 0, "mlp.down_proj")
    keep_memories(again, pair, base)
    assert load(again).fingerprint == before.fingerprint
    change_projection(pair, 1, "self_attn.v_proj")  # its memories are others from now on
    with pytest.raises(CheckpointError, match=r"writes other memories than .*memory_lora: with"):
        load(pair)
    with pytest.raises(CheckpointError, match="other memories"):
        keep_memories(pair, tiny_checkpoint_folder, base)
    shutil.rmtree(pair / "memory_lora")
    assert load(pair).fingerprint != before.fingerprint
    tensors = load_file(pair / "retriever.safetensors")
    save_file({name: part + 1 for name, part in tensors.items()}, pair / "retriever.safetensors")
    with pytest.raises(CheckpointError, match="other memories"):
        keep_memories(pair, tiny_checkpoint_folder, base)
    assert not (pair / "memory_lora").exists()


def test_a_reader_of_text_is_none_of_memory_s_business(
    tiny_checkpoint_folder: Path, pair: Path, chunk_ids: Ids
) -> None:
    before = load(tiny_checkpoint_folder, dtype=torch.float32)
    assert before.text_reader is None
    shutil.copytree(pair / "update_lora", pair / "text_lora")  # of another rank than generate_lora
    loaded = load(pair, dtype=torch.float32)
    assert loaded.text_reader is not None and loaded.fingerprint == before.fingerprint
    ids = torch.tensor([chunk_ids(0, 9)])
    wanted = loaded.model.update.logits(ids)
    torch.testing.assert_close(loaded.text_reader().logits(ids), wanted, atol=1e-4, rtol=0)
    assert load(pair, merge=False).text_reader is None, "it is not trained with the others"
    (pair / "text_lora" / "adapter_model.safetensors").unlink()
    reader = load(pair).text_reader
    with pytest.raises(CheckpointError, match="text_lora"):
        reader()


@pytest.mark.parametrize("name", ["update_lora", "generate_lora", "text_lora"])
def test_an_adapter_of_another_base_is_named(pair: Path, name: str) -> None:
    shutil.copytree(pair / "update_lora", pair / "text_lora")
    file = pair / name / "adapter_model.safetensors"
    sound = load_file(file)
    for changed in ("shape", "name"):
        tensors = {
            key.replace("layers.1.", "layers.99.") if changed == "name" else key: (
                tensor[:-1].clone() if changed == "shape" and "lora_B" in key else tensor
            )
            for key, tensor in sound.items()
        }
        save_file(tensors, file, metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=rf"{name} is for another base \(model\."):
            load(pair).text_reader()


def test_both_adapters_tell(tiny_checkpoint_folder: Path, pair: Path, chunk_ids: Ids) -> None:
    whole, _ = run(load(tiny_checkpoint_folder, dtype=torch.float32), chunk_ids)
    for name in ("update", "generate"):
        card = json.loads((tiny_checkpoint_folder / "mplus.json").read_text())
        edit(pair, config=card["config"] | {f"{name}_lora_rank": 0})
        without, _ = run(load(pair, dtype=torch.float32), chunk_ids)
        assert (without - whole).abs().max() > 1e-3
        live, _ = run(load(pair, dtype=torch.float32, merge=False), chunk_ids)
        torch.testing.assert_close(live, without, atol=1e-4, rtol=0)


def test_merged_copies_share_what_no_adapter_touches(tiny_checkpoint_folder: Path) -> None:
    model = load(tiny_checkpoint_folder, dtype=torch.float32).model
    assert model.update.stack is model.generate.stack
    first, second = model.update.weights(0), model.generate.weights(0)
    assert first.input_norm is second.input_norm
    assert first is model.update.weights(0), "they are kept"
    states = torch.randn(1, 2, 32, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(first.qkv(states), second.qkv(states))


def test_weights_that_are_not_kept_are_merged_again(
    tiny_checkpoint_folder: Path, chunk_ids: Ids
) -> None:
    kept = load(tiny_checkpoint_folder, dtype=torch.bfloat16)
    passing = load(tiny_checkpoint_folder, dtype=torch.bfloat16, keep=False)
    decoder = passing.model.generate
    first, _, again = (decoder.weights(index) for index in (0, 1, 0))
    assert first is not again, "one layer is kept, the newest"
    (one, memory), (other, same) = run(kept, chunk_ids), run(passing, chunk_ids)
    assert torch.equal(one, other)
    assert torch.equal(memory.stm.tokens.keys, same.stm.tokens.keys)


def test_what_was_saved_is_loaded(tiny_checkpoint_folder: Path) -> None:
    loaded = load(tiny_checkpoint_folder, dtype=torch.float32, merge=False)
    assert loaded.name == "tiny"
    assert loaded.model.config.retriever.layers == (1, 2)
    stored = load_file(tiny_checkpoint_folder / "retriever.safetensors")
    state = loaded.model.retriever.state_dict()
    assert stored.keys() == state.keys()
    for key, tensor in stored.items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor.float(), state[key])
    adapter = extract(loaded.model.update.stack, "update_lora")
    assert adapter is not None and (adapter.rank, adapter.alpha) == (4, 8)
    assert len(adapter.weights) == 3 * 7


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT's own use
# PEFT's own use of transformers, which announced another name for it in 5.24.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_peft_itself_loads_the_adapters(
    tiny_base_folder: Path, tiny_checkpoint_folder: Path
) -> None:
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    ids = torch.tensor([[5, 6, 7, 8]])
    ours = load(tiny_checkpoint_folder, dtype=torch.float32).model
    for name, decoder in (("update_lora", ours.update), ("generate_lora", ours.generate)):
        base = LlamaForCausalLM.from_pretrained(tiny_base_folder, dtype=torch.float32)
        theirs = PeftModel.from_pretrained(base, str(tiny_checkpoint_folder / name))
        with torch.no_grad():
            torch.testing.assert_close(decoder.logits(ids), theirs(ids).logits, atol=1e-4, rtol=0)


def test_attached_adapters_are_ready_to_train(build_stack: Callable[..., Any]) -> None:
    stack = build_stack()
    stack.to(torch.bfloat16)
    attach_adapters(stack, 4, 2, alpha=6, targets=("q_proj", "v_proj"))
    for name, parameter in stack.named_parameters():
        assert parameter.requires_grad == (".lora_" in name)
        assert parameter.dtype == (torch.float32 if ".lora_" in name else torch.bfloat16)
    update, generate = extract(stack, "update_lora"), extract(stack, "generate_lora")
    assert update is not None and generate is not None
    assert (update.rank, generate.rank, update.alpha) == (4, 2, 6)
    assert update.targets == ("q_proj", "v_proj")


def test_rank_zero_is_no_adapter(build_stack: Callable[..., Any]) -> None:
    stack = build_stack()
    attach_adapters(stack, 0, 3)
    assert extract(stack, "update_lora") is None
    assert extract(stack, "generate_lora") is not None


def test_saving_replaces_and_checks_the_ranks(
    build_stack: Callable[..., Any], tiny_base_folder: Path, tmp_path: Path
) -> None:
    config = MPlusConfig(
        stm_tokens=512,
        recalled_tokens=0,
        generate_lora_rank=2,
        retriever=RetrieverShape(layers=(0,)),
    )
    stack = build_stack()
    attach_adapters(stack, 0, 2)
    folder = tmp_path / "deep" / "ours"

    def save(name: str, config: MPlusConfig = config) -> None:
        save_own(
            folder,
            config=config,
            base_reference=str(tiny_base_folder),
            name=name,
            prompt=PromptFormat("Q {question}"),
            retriever=make_retriever(config.retriever, 3, 32),
            stack=stack,
        )

    save("first")
    save("second")
    loaded = load(folder, dtype=torch.float32)
    assert (loaded.name, loaded.prompt) == ("second", PromptFormat("Q {question}"))
    assert not (folder / "update_lora").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["ours"]
    with pytest.raises(CheckpointError, match="has rank 2, the config says 5"):
        save("third", MPlusConfig(generate_lora_rank=5))
    assert load(folder).name == "second"


def test_the_same_adapter_gives_the_same_bytes(tmp_path: Path) -> None:
    """PEFT keeps what an adapter adapts in a set, whose order differs from process to process."""
    pair = (torch.ones(2, 4), torch.ones(3, 2))
    weights = {f"model.layers.0.self_attn.{name}": pair for name in ("v_proj", "k_proj", "q_proj")}
    save_adapter(Adapter(2, 4, weights), tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["k_proj", "q_proj", "v_proj"]
    assert load_adapter(tmp_path / "adapter").targets == ("k_proj", "q_proj", "v_proj")


def test_what_an_adapter_gives_back_is_read_again(tmp_path: Path) -> None:
    pair = (torch.randn(2, 4096).bfloat16(), torch.randn(3, 2).bfloat16())
    save_adapter(Adapter(2, 4, {"model.layers.0.self_attn.q_proj": pair}), tmp_path / "adapter")
    adapter = load_adapter(tmp_path / "adapter")
    adapter.give_back()
    (read,) = adapter.weights.values()
    assert all(map(torch.equal, read, pair))


@pytest.mark.parametrize("keep", [True, False])
def test_between_the_passes_of_a_single_question_nothing_is_held(
    tiny_checkpoint_folder: Path, keep: bool
) -> None:
    calls, decoder = list[int](), load(tiny_checkpoint_folder, keep=keep).model.generate
    assert decoder.apart is not None
    decoder.apart = replace(decoder.apart, give_back=lambda: calls.append(1))
    held = decoder.weights(0)
    decoder.give_back()
    assert (decoder.weights(0) is held) is keep
    assert calls == ([] if keep else [1])


def test_the_base_is_found_by_reference_or_given(pair: Path, tmp_path: Path) -> None:
    first = load(pair)
    edit(pair, base="some-base")
    with pytest.raises(CheckpointError, match="its base 'some-base' is not there"):
        load(pair)
    assert load(pair, base=tmp_path / "tiny-base").fingerprint == first.fingerprint
    edit(pair, base="nobody-here/no-such-model-e7a1")
    with pytest.raises(CheckpointError, match="not in the local cache and the network is off"):
        load(pair)


def test_another_base_is_refused_where_the_card_names_one(pair: Path, tmp_path: Path) -> None:
    edit(pair, base_fingerprint=base_fingerprint(tmp_path / "tiny-base"))
    load(pair)
    path = tmp_path / "tiny-base" / "model.safetensors"
    tensors = {key: tensor * 2 for key, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="trained on another base"):
        load(pair)


def _drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-40])

    return cut


def _tensor(name: str, key: str, value: torch.Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / name)
        tensors.pop(key)
        if value is not None:
            tensors[key] = value
        save_file(tensors, folder / name, metadata={"format": "pt"})

    return change


def _card(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, **changes)


def _lora(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "update_lora" / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


UPDATE_FILE = "update_lora/adapter_model.safetensors"
Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("retriever.safetensors"), "retriever"),
        (_drop(UPDATE_FILE), "has no adapter_config.json with"),
        (_cut("retriever.safetensors"), "damaged safetensors"),
        (_cut(UPDATE_FILE), "damaged safetensors"),
        (_tensor("retriever.safetensors", "gate.0.bias", None), "cannot be loaded"),
        (_tensor(UPDATE_FILE, Q_PROJ.format("B"), None), "has no tensor .*q_proj.lora_B"),
        (_tensor(UPDATE_FILE, Q_PROJ.format("B"), torch.zeros(3, 4)), "another shape"),
        (_card(format=2), "format 2"),
        (_card(config={"stm": 1}), "unknown field 'stm'"),
        (_card(prompt={"template": "x"}), "exactly once"),
        (_lora(use_dora=True), "use_dora"),
        (_lora(use_rslora=True), "use_rslora"),
        (_lora(r=8), "rank 8"),
        (_lora(peft_type="IA3"), "no LoRA adapter"),
        (_lora(lora_alpha="much"), "lora_alpha"),
    ],
)
def test_damage_is_one_clear_error(
    pair: Path, damage: Callable[[Path], None], message: str
) -> None:
    load(pair)
    damage(pair)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(pair)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        "config",
        "base config",
        "tokenizer",
        "base weights",
        "update_lora",
        "generate_lora",
        "retriever",
        "scale",
    ],
)
def test_the_fingerprint_changes_with_every_part(pair: Path, part: str) -> None:
    base, before = pair.parent / "tiny-base", load(pair).fingerprint
    weights = {
        "base weights": base / "model.safetensors",
        "update_lora": pair / "update_lora" / "adapter_model.safetensors",
        "generate_lora": pair / "generate_lora" / "adapter_model.safetensors",
        "retriever": pair / "retriever.safetensors",
    }
    if part in weights:
        content = bytearray(weights[part].read_bytes())
        content[-1] ^= 1
        weights[part].write_bytes(content)
    elif part == "config":
        card = json.loads((pair / "mplus.json").read_text())
        edit(pair, config=card["config"] | {"recalled_tokens": 32})
    elif part == "scale":
        _lora(lora_alpha=16)(pair)
    elif part == "base config":
        path = base / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"rms_norm_eps": 1e-3}))
    else:
        path = base / "tokenizer.json"
        path.write_text(path.read_text() + "\n")
    assert load(pair).fingerprint != before


def test_the_fingerprint_counts_what_stands_in_front_of_memory(pair: Path) -> None:
    """Chunks are written behind it: other words there make other memories."""
    before = load(pair).fingerprint
    marks = []
    for memory in (
        "Text: {memory} {question}",
        "Text: {memory} Now: {question}",
        "{memory} {question}",
    ):
        edit(pair, prompt={"template": "Q {question}", "memory": memory})
        marks.append(load(pair).fingerprint)
    assert marks[0] == marks[1]
    assert len({before, *marks}) == 3


def test_the_fingerprint_leaves_out_what_no_memory_depends_on(pair: Path) -> None:
    before = load(pair).fingerprint
    edit(pair, name="renamed", prompt={"template": "Q {question}"})
    path = pair.parent / "tiny-base" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"transformers_version": "5.99"}))
    assert load(pair).fingerprint == before


def test_large_files_are_sampled(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    size = WHOLE_BYTES + 4 * 1024 * 1024

    def mark(changes: dict[int, bytes] | None = None, length: int = size) -> str:
        with path.open("wb") as file:
            file.truncate(length)
            file.write((1024).to_bytes(8, "little"))
            for place, content in (changes or {}).items():
                file.seek(place)
                file.write(content)
        return fingerprint({}, [path])

    plain = mark()
    assert mark() == plain
    assert mark(length=size + 1) != plain
    assert mark({1000: b"x"}) != plain, "the header counts"
    assert mark({size - 1: b"x"}) != plain, "the last sample counts"
    assert mark({size // 2: b"x" * 2 * 1024 * 1024}) != plain
    with path.open("rb") as file:
        assert len(file.read()) == size


def test_merged_adapters_are_read_without_transformers(tiny_checkpoint_folder: Path) -> None:
    """Importing it takes longer than all the rest of loading."""
    program = (
        "import sys; from models.checkpoints import load; "
        f"load({str(tiny_checkpoint_folder)!r}); "
        "print([name for name in ('transformers', 'peft', 'huggingface_hub') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
