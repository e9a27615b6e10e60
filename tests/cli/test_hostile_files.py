"""Nothing that loads may fail later: every field of every file and setting, given every wrong kind of value.

A wrong file is exit code 3, a wrong setting 2, and one line; never "a bug of mplus".
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from models.generate import Finished, stream
from models.recall import look_up
from models.update import read_chunk
from mplus_cli import failures
from mplus_cli.errors import UsageError
from mplus_cli.library.seal import seal
from mplus_cli.runtime import catalog, session
from mplus_cli.settings import Flags, resolve

VALUES = {
    "null": "null",
    "true": "true",
    "negative": "-1",
    "zero": "0",
    "fraction": "0.5",
    "2^63": str(1 << 63),
    "2^70": str(1 << 70),
    "400 digits": "1" + "0" * 400,
    "5000 digits": "1" + "0" * 5000,
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "NaN": "NaN",
    "text": '"many"',
    "no text": '""',
    "half a character": '"\\ud800"',
    "long text": json.dumps("x" * 100_000),
    "list": "[]",
    "list of lists": "[[1], [2]]",
    "list of huge": f"[{1 << 63}]",
    "object": "{}",
    "deep": "[" * 100_000 + "]" * 100_000,
}
LLAMA = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "initializer_range",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "hidden_act",
    "tie_word_embeddings",
    "attention_bias",
    "eos_token_id",
    "bos_token_id",
    "model_type",
)
CARD = ("format", "name", "base", "base_fingerprint", "config", "prompt")


def settings_of_a_checkpoint() -> list[str]:
    from models.config import MPlusConfig

    return list(MPlusConfig().to_dict())


@pytest.fixture
def copy(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint with its base, to be damaged; the model in use."""
    for name in ("tiny-base", "tiny-checkpoint"):
        shutil.copytree(tiny.parent / name, tmp_path / name)
    monkeypatch.setenv("MPLUS_MODEL", str(tmp_path / "tiny-checkpoint"))
    return tmp_path


def put(path: Path, *names: str, text: str) -> None:
    """Give a field of a JSON file a value, written as it is."""
    mark = "the value that is put here"
    values = inner = json.loads(path.read_text(encoding="utf-8"))
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = mark
    path.write_text(json.dumps(values).replace(json.dumps(mark), text), encoding="utf-8")


def try_to_load(folder: Path, *, may_load: bool = True) -> str:
    """What loading says in one line is wrong; or it goes well, and then so does an answer."""
    from models.checkpoints import CheckpointError, load

    loaded: Any = None
    caught: Any = None
    try:
        loaded = load(folder / "tiny-checkpoint", device="cpu", dtype=torch.float32)
    except CheckpointError as error:
        caught = error
    if caught is not None:
        message, code = failures.explain(caught)
        assert (code, "bug" in message, len(message) < 1000) == (3, False, True), message
        return message
    assert may_load, "this cannot work"
    model = loaded.model
    prompt, query = loaded.prompt.render(loaded.tokenizer, "Who?")
    memory = model.empty_memory()
    for number in range(4):
        memory = read_chunk(model, memory, range(number, number + model.config.chunk_tokens)[:200])
    limit = min(3, model.generate.positions - model.config.prefix_tokens - len(prompt))
    if limit > 0:
        found = look_up(model, memory, query)
        events = list(stream(model, memory, found, prompt, max_new_tokens=limit))
        assert isinstance(events[-1], Finished)
    return ""


@pytest.mark.parametrize("field", settings_of_a_checkpoint())
def test_settings_of_a_checkpoint(copy: Path, field: str) -> None:
    card = copy / "tiny-checkpoint" / "mplus.json"
    whole = card.read_text()
    for text in VALUES.values():
        card.write_text(whole)
        put(card, "config", field, text=text)
        try_to_load(copy)


@pytest.mark.parametrize("field", CARD)
def test_fields_of_a_card(copy: Path, field: str) -> None:
    card = copy / "tiny-checkpoint" / "mplus.json"
    whole = card.read_text()
    for text in VALUES.values():
        card.write_text(whole)
        put(card, field, text=text)
        try_to_load(copy)


@pytest.mark.parametrize("field", ["template", "system", "answer_end"])
def test_fields_of_a_prompt(copy: Path, field: str) -> None:
    card = copy / "tiny-checkpoint" / "mplus.json"
    whole = card.read_text()
    for text in VALUES.values():
        card.write_text(whole)
        put(card, "prompt", field, text=text)
        try_to_load(copy)


@pytest.mark.parametrize("field", ["r", "lora_alpha", "peft_type", "use_dora"])
def test_fields_of_an_adapter(copy: Path, field: str) -> None:
    path = copy / "tiny-checkpoint" / "update_lora" / "adapter_config.json"
    whole = path.read_text()
    for text in VALUES.values():
        path.write_text(whole)
        put(path, field, text=text)
        try_to_load(copy)


@pytest.mark.parametrize("field", LLAMA)
def test_fields_of_a_base(copy: Path, field: str) -> None:
    path = copy / "tiny-base" / "config.json"
    whole = path.read_text()
    for text in VALUES.values():
        path.write_text(whole)
        put(path, field, text=text)
        try_to_load(copy)


@pytest.mark.parametrize("name", ["mplus.json", "update_lora/adapter_config.json"])
@pytest.mark.parametrize("text", ["", "[]", "3", "\xff", VALUES["deep"], "[" * 100_000])
def test_whole_files(copy: Path, name: str, text: str) -> None:
    (copy / "tiny-checkpoint" / name).write_text(text, encoding="latin-1")
    assert try_to_load(copy, may_load=False)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"num_hidden_layers": 1_000_000}, "num_hidden_layers is 1000000"),
        ({"num_hidden_layers": 1000, "hidden_size": 65_536}, "parameters, the weights beside it"),
        ({"vocab_size": 4_000_000}, "parameters, the weights beside it"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_key_value_heads": 3}, "not a multiple of the key heads"),
        ({"hidden_size": 33, "head_dim": None}, "not a multiple of num_attention_heads"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"rope_parameters": {"rope_type": "linear", "factor": float("nan")}}, "factor is nan"),
    ],
)
def test_what_a_base_claims_is_checked_before_it_is_built(
    copy: Path, values: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*_: Any, **__: Any) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr("models.checkpoints.weights.Stack", built)
    path = copy / "tiny-base" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    assert says in try_to_load(copy, may_load=False)


@pytest.mark.parametrize("where", ["base", "retriever", "adapter"])
def test_weights_that_are_no_numbers(copy: Path, where: str) -> None:
    from safetensors.torch import load_file, save_file

    name, key = {
        "base": ("tiny-base/model.safetensors", "model.layers.0.mlp.up_proj.weight"),
        "retriever": ("tiny-checkpoint/retriever.safetensors", "gate.0.bias"),
        "adapter": (
            "tiny-checkpoint/generate_lora/adapter_model.safetensors",
            "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight",
        ),
    }[where]
    tensors = load_file(copy / name)
    tensors[key][0] = float("nan")
    save_file(tensors, copy / name, metadata={"format": "pt"})
    assert "not numbers" in try_to_load(copy, may_load=False)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that what must never run would make."""
    return tmp_path / "ran"


@pytest.mark.parametrize("family", ["llama", "mplus-own"])
def test_code_of_a_model_is_never_run(copy: Path, ran: Path, family: str) -> None:
    """`auto_map` names Python files beside the weights: a known family is read without them, another one
    is refused."""
    base = copy / "tiny-base"
    code = f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n"
    for name in ("own.py", "modeling_own.py", "configuration_own.py", "tokenization_own.py"):
        (base / name).write_text(code)
    own = {
        "AutoConfig": "configuration_own.Own",
        "AutoModelForCausalLM": "modeling_own.Own",
        "AutoTokenizer": ["tokenization_own.Own", None],
    }
    for name in ("config.json", "tokenizer_config.json"):
        values = json.loads((base / name).read_text())
        values |= {"auto_map": own, "trust_remote_code": True}
        if name == "config.json":
            values["model_type"] = family
        (base / name).write_text(json.dumps(values))
    said = try_to_load(copy, may_load=family == "llama")
    assert "'mplus-own' model: supported are" in said or family == "llama"
    assert not ran.exists()


class Harm:
    """Its pickle makes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)

    def __reduce__(self) -> Any:
        return open, (self._file, "w")


@pytest.mark.parametrize(
    "file",
    [
        "tiny-base/model.safetensors",
        "tiny-checkpoint/retriever.safetensors",
        "tiny-checkpoint/generate_lora/adapter_model.safetensors",
        "tiny-checkpoint/update_lora/adapter_model.safetensors",
    ],
)
def test_a_pickle_is_never_read(copy: Path, ran: Path, file: str) -> None:
    """Neither under the name of a file of safetensors nor under that which pickles have."""
    torch.save({"x": Harm(ran)}, copy / file)
    assert try_to_load(copy, may_load=False)
    (copy / file).rename((copy / file).with_suffix(".bin"))
    assert try_to_load(copy, may_load=False)
    assert not ran.exists()


def test_a_tokenizer_of_another_base(copy: Path) -> None:
    path = copy / "tiny-base" / "tokenizer.json"
    values = json.loads(path.read_text())
    values["model"]["vocab"] |= {f"word{number}": 300 + number for number in range(50)}
    path.write_text(json.dumps(values))
    assert "do not belong together" in try_to_load(copy, may_load=False)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{{ raise_exception('never') }}",
        "{% if %}",
    ],
)
def test_a_template_of_a_base_is_tried_when_it_loads(mplus: Any, copy: Path, template: str) -> None:
    (copy / "tiny-base" / "chat_template.jinja").write_text(template)
    assert "chat template" in try_to_load(copy, may_load=False)


def test_sigmoid_scores_need_tokens(mplus: Any, copy: Path) -> None:
    put(copy / "tiny-checkpoint" / "mplus.json", "config", "scorer", text='"sigmoid"')
    assert "recall 'chunks' needs" in mplus("model", "show").error
    assert mplus("model", "show").code == 3


def test_temperatures_at_the_edge(mplus: Any, tiny: Path, story: Path) -> None:
    assert mplus("ingest", story).code == 0
    for number in ("1e-38", "1e300"):
        asked = mplus("ask", "Who?", "--max-new-tokens", "3", "--temperature", number)
        assert asked.code == 0, asked.err


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1e-9", "1e999", "x"])
def test_temperatures_that_are_none(mplus: Any, tiny: Path, number: str) -> None:
    asked = mplus("ask", "Who?", "--temperature", number)
    assert asked.code == 2
    assert "bug" not in asked.error


@pytest.mark.parametrize("field", ["drop", "ages_in_stm", "ltm_format", "stm_tokens"])
def test_what_a_memory_records_of_its_model(mplus: Any, tmp_path: Path, field: str) -> None:
    kept = Path(__file__).resolve().parents[1] / "fixtures" / "format1"
    for number, text in enumerate(VALUES.values()):
        home = tmp_path / str(number)
        shutil.copytree(kept / "home", home)
        with closing(sqlite3.connect(home / "memories" / "story" / "memory.db")) as database:
            (recorded,) = database.execute("SELECT value FROM settings WHERE key = 'geometry'")
            mark = json.dumps("put here")
            changed = json.dumps(json.loads(recorded[0]) | {field: "put here"}).replace(mark, text)
            database.execute("UPDATE settings SET value = ? WHERE key = 'geometry'", (changed,))
            database.execute("UPDATE state SET seal = ?", (seal(database),))
            database.commit()
        for words in (("verify", "story"), ("show", "story"), ("save", "story", home / "file")):
            done = mplus("--home", home, "memory", *words)
            assert done.code in (0, 1, 3), done.err
            assert done.code == 0 or "bug" not in done.err, (text[:40], done.err)


TOML = {
    "number": "3",
    "2^63": str(1 << 63),
    "infinity": "inf",
    "NaN": "nan",
    "list": "[]",
    "table": "{ a = 1 }",
    "deep": "[" * 3000 + "]" * 3000,
    "no text": '""',
    "NUL": '"a\\u0000b"',
    "no such user": '"~nosuchuser/x"',
    "date": "1979-05-27",
}


@pytest.mark.parametrize("key", ["model", "device", "dtype", "home", "memory", "offline"])
@pytest.mark.parametrize("value", TOML)
def test_settings_in_a_config_file(
    mplus: Any, user_folders: Path, key: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MPLUS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(user_folders / "data"))
    path = user_folders / "config" / "mplus" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f"{key} = {TOML[value]}\n")
    asked = mplus("ask", "Who?", "--offline")
    named = key in ("model", "memory") and value == "no such user"  # a name that nothing has
    assert asked.code == 2 or named, asked.err
    assert "bug" not in asked.error


@pytest.mark.parametrize(
    "text", ["[" * 3000, "a = " + "[" * 3000 + "]" * 3000, "\xff", "x" * 2_000_000]
)
def test_config_files_that_are_none(mplus: Any, user_folders: Path, text: str) -> None:
    path = user_folders / "config" / "mplus" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="latin-1")
    asked = mplus("memory", "list")
    assert asked.code == 2
    assert "bug" not in asked.error


@pytest.mark.parametrize("variable", ["MPLUS_HOME", "MPLUS_MODEL", "MPLUS_DEVICE", "MPLUS_CONFIG"])
@pytest.mark.parametrize("value", ["~nosuchuser/x", "x" * 5000, "cuda:99999999999", "cuda:٣"])
def test_environment(
    mplus: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    for words in (("model", "show"), ("model", "list"), ("ask", "Who?")):
        result = mplus(*words)
        assert result.code in (0, 1, 2, 3)
        assert result.code == 0 or "bug" not in result.error


@pytest.mark.parametrize("text", ["²", "٣", "0", "-1", "x", "9" * 5000, "1.5", "4,2", ""])
def test_numbers_of_threads(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert 1 <= session.thread_count() <= (os.cpu_count() or 1)


def test_homes_of_nobody() -> None:
    with pytest.raises(UsageError, match="--home is ~nosuchuser/x: "):
        resolve(Flags(home=Path("~nosuchuser/x")), {})
    with pytest.raises(UsageError, match="MPLUS_HOME is ~nosuchuser/x: "):
        resolve(Flags(), {"MPLUS_HOME": "~nosuchuser/x"})


@pytest.fixture
def named(tiny_base_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Puts an untrained model where its kind is found by name; returns the home."""

    def name(kind: str) -> Path:
        if kind == "installed":
            shutil.copytree(tiny_base_folder, tmp_path / "models" / "plain")
        else:
            snapshot = tmp_path / "hub" / "models--org--plain" / "snapshots" / "abc"
            shutil.copytree(tiny_base_folder, snapshot)
        return tmp_path

    return name


@pytest.mark.parametrize(("kind", "model"), [("installed", "plain"), ("hub", "org/plain")])
def test_an_untrained_model_is_marked_however_it_is_named(
    mplus: Any, named: Any, kind: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = named(kind)
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    assert not catalog.find(model, home).trained
    listed = mplus("--home", home, "model", "list", "--json").json
    assert [entry["trained"] for entry in listed if entry["name"] == model] == [False]
    if kind == "installed":  # the Hub client found its cache when it was imported
        assert "untrained" in mplus("--home", home, "--model", model, "model", "show").err
