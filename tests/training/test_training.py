"""Training on a tiny base: it learns, it stops and resumes, and processes share its streams."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models import durable
from models.checkpoints import load
from models.config import ConfigError
from models.training.batch import Losses
from models.training.config import TrainingConfig
from models.training.curves import read_curves
from models.training.loop import CheckpointSaved, Run, Step, Validated, total_loss
from models.training.processes import own_device
from models.training.start import export, start
from models.training.weights import trained_weights
from mplus_cli.asking.rereading import passages_by_words

MODEL = {
    "chunk_tokens": 32,
    "new_tokens": 16,
    "stm_tokens": 64,
    "recalled_tokens": 32,
    "max_prompt_tokens": 128,
    "scorer": "maxsim",
    "retriever_width": 8,
    "retriever_hidden": 8,
    "retriever_layers": [0, 2],
    "update_lora_rank": 4,
    "generate_lora_rank": 4,
}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, list[str]]:
    """Small files in the documented forms, one of them gzipped."""
    passages = [
        {
            "source": "made-up",
            "id": str(number),
            "context": f"The {thing} of Ald is {colour}.",
            "qas": [{"question": f"What colour is the {thing}?", "answers": [colour]}],
        }
        for number, (thing, colour) in enumerate(
            [("door", "red"), ("boat", "blue"), ("hat", "green"), ("cart", "black")]
        )
    ]
    qa = tmp_path / "qa.jsonl.gz"
    with gzip.open(qa, "wt") as file:
        file.writelines(json.dumps(passage) + "\n" for passage in passages)
    books = tmp_path / "books.jsonl"
    text = "It was a fine day. The sea was calm, and nobody spoke of the storm.\n" * 40
    books.write_text(json.dumps({"title": "A", "author": "B", "text": text}) + "\n")
    return {"qa": [str(qa)], "books": [str(books)], "validation": [str(qa)]}


def make(data: dict[str, list[str]], **changes: object) -> TrainingConfig:
    values: dict[str, object] = {
        "model": MODEL,
        "qa": tuple(data["qa"]),
        "books": tuple(data["books"]),
        "validation": (),
        "steps": 6,
        "streams": 2,
        "questions": 2,
        "continuation_tokens": 16,
        "cue_tokens": 4,
        "pool": 4,
        "negatives": 3,
        "warmup": 2,
        "save_every": 3,
        "validate_every": 3,
    }
    return TrainingConfig(**{**values, **changes})  # type: ignore[arg-type]


def begin(config: TrainingConfig, folder: Path, base: Path, **options: object) -> Run:
    run, _ = start(config, folder, base, dtype=torch.float32, **options)  # type: ignore[arg-type]
    return run


def steps(run: Run, until: int | None = None) -> list[Step]:
    return [event for event in run.events(until) if isinstance(event, Step)]


def test_it_learns(data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path) -> None:
    config = make(data, steps=40, learning_rate=5e-3, save_every=40)
    seen = steps(begin(config, tmp_path / "run", tiny_base_folder))
    first = sum(step.answer + step.continuation for step in seen[:5])
    last = sum(step.answer + step.continuation for step in seen[-5:])
    assert last < 0.9 * first
    assert all(step.seconds > 0 and step.gradient > 0 for step in seen)


def test_only_adapters_and_retriever_learn(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    run = begin(make(data), tmp_path / "run", tiny_base_folder)
    before = {name: w.clone() for name, w in run.model.generate.stack.named_parameters()}
    retriever = {name: w.clone() for name, w in run.model.retriever.named_parameters()}
    steps(run)
    changed = {
        name
        for name, weight in run.model.generate.stack.named_parameters()
        if not torch.equal(weight, before[name])
    }
    for part in (".update_lora.", ".generate_lora."):
        assert any(part in name for name in changed)
    assert all("_lora." in name for name in changed)
    assert any(not torch.equal(w, retriever[n]) for n, w in run.model.retriever.named_parameters())


def test_resumes_with_weights_optimiser_position_and_log(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    folder, config = tmp_path / "run", make(data)
    first = begin(config, folder, tiny_base_folder)
    assert [step.step for step in steps(first, until=3)] == [1, 2, 3]
    saved = load_file(folder / "last" / "weights.safetensors")
    second = begin(config, folder, tiny_base_folder)
    assert second.step == 3
    own = dict(second.model.generate.stack.named_parameters())
    for name, weight in saved.items():
        if name.startswith("llama."):
            assert torch.equal(weight, own[name.removeprefix("llama.")]), name
    assert [step.step for step in steps(second)] == [4, 5, 6]
    assert len((folder / "log.csv").read_text().splitlines()) == 7
    assert TrainingConfig.read(folder / "config.json") == config


def test_a_resume_writes_no_step_twice(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    changes = {"validation": tuple(data["validation"]), "validation_questions": 1}
    folder, config = tmp_path / "run", make(data, validate_every=2, **changes)
    for event in begin(config, folder, tiny_base_folder).events():
        if isinstance(event, Step) and event.step == 5:
            break  # as a crash after the save of step 3
    assert read_curves(folder / "log.csv")["step"] == [1, 2, 3, 4, 5]
    assert read_curves(folder / "validation.csv")["step"] == [2, 4]
    steps(begin(config, folder, tiny_base_folder))
    assert read_curves(folder / "log.csv")["step"] == [1, 2, 3, 4, 5, 6]
    assert read_curves(folder / "validation.csv")["step"] == [2, 4, 6]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_save_killed_at_each_step_leaves_a_run_that_goes_on(
    data: dict[str, list[str]],
    tiny_base_folder: Path,
    tmp_path: Path,
    killed_before: Callable[[int, Callable[[], object]], bool],
    monkeypatch: pytest.MonkeyPatch,
    exchanges: bool,
) -> None:
    if not exchanges:
        monkeypatch.setattr(durable, "_renameat2", lambda *_: False)
    config = make(data, steps=4, save_every=4)
    run = begin(config, tmp_path / "run", tiny_base_folder)
    steps(run, until=2)
    for event in run.events():
        if isinstance(event, Step) and event.step == 4:
            break
    resumed = []
    for number in count(1):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "run", folder)
        run.folder = folder
        killed = killed_before(number, run.save)
        again = begin(config, folder, tiny_base_folder)
        assert read_curves(folder / "log.csv")["step"] == list(range(1, again.step + 1))
        resumed.append(again.step)
        if not killed:
            break
        again.save()
        assert sorted(path.name for path in folder.iterdir()) == ["config.json", "last", "log.csv"]
    assert resumed == sorted(resumed)
    assert set(resumed) == {2, 4}


def test_the_log_is_on_the_disk_before_the_step_that_it_tells_of(
    data: dict[str, list[str]],
    tiny_base_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced = []
    monkeypatch.setattr(durable, "sync_file", lambda file: synced.append(Path(file.name).name))
    monkeypatch.setattr("models.training.curves.sync_file", durable.sync_file)
    run = begin(make(data, steps=1), tmp_path / "run", tiny_base_folder)
    synced.clear()
    steps(run)
    assert synced[0] == "log.csv"
    assert set(synced[1:]) == {path.name for path in (tmp_path / "run" / "last").iterdir()}


def test_a_resume_keeps_the_settings_in_force_and_the_old_ones(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    folder, config = tmp_path / "run", make(data)
    steps(begin(config, folder, tiny_base_folder), until=3)
    begin(config, folder, tiny_base_folder)
    assert not list(folder.glob("config-until-*"))
    changed = make(data, clip=0.5)
    begin(changed, folder, tiny_base_folder)
    begin(make(data, clip=0.25), folder, tiny_base_folder)
    steps(begin(changed, folder, tiny_base_folder))
    assert TrainingConfig.read(folder / "config.json") == changed
    assert TrainingConfig.read(folder / "config-until-3.json") == config
    assert [path.name for path in folder.glob("config*")].count(".config.json.tmp") == 0


def test_a_resumed_run_equals_another_resumed_run(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    results = []
    for name in ("a", "b"):
        steps(begin(make(data), tmp_path / name, tiny_base_folder), until=3)
        steps(begin(make(data), tmp_path / name, tiny_base_folder))
        results.append(load_file(tmp_path / name / "last" / "weights.safetensors"))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"streams": 4}, "2 streams"),
        ({"model": {**MODEL, "update_lora_rank": 2}}, "geometry"),
        ({"model": {**MODEL, "retriever_layers": [0]}}, "geometry|other layers"),
    ],
)
def test_what_cannot_change_on_a_resume_says_so(
    data: dict[str, list[str]],
    change: dict[str, object],
    says: str,
    tiny_base_folder: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    steps(begin(make(data), folder, tiny_base_folder), until=1)
    before = (folder / "config.json").read_bytes()
    with pytest.raises(ConfigError, match=says):
        begin(make(data, **change), folder, tiny_base_folder)
    assert (folder / "config.json").read_bytes() == before


def test_damaged_weights_say_so(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="damaged"):
        begin(make(data), tmp_path / "run", tiny_base_folder, weights=[weights])


def test_a_run_starts_from_the_mean_of_several(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    parts = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        steps(begin(make(data, seed=seed, steps=2, save_every=2), folder, tiny_base_folder))
        parts.append(folder / "last" / "weights.safetensors")
    one, two = map(load_file, parts)
    run = begin(make(data), tmp_path / "run", tiny_base_folder, weights=parts)
    for name, value in trained_weights(run._trainee).items():
        torch.testing.assert_close(value, (one[name] + two[name]) / 2)
    other = make(data, model=MODEL | {"update_lora_rank": 2}, steps=2, save_every=2)
    steps(begin(other, tmp_path / "other", tiny_base_folder))
    parts.append(tmp_path / "other" / "last" / "weights.safetensors")
    with pytest.raises(ConfigError, match="cannot be averaged"):
        begin(make(data), tmp_path / "new", tiny_base_folder, weights=parts)


def test_a_run_starts_from_a_checkpoint(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    first = begin(make(data, steps=2, save_every=2), tmp_path / "first", tiny_base_folder)
    steps(first)
    folder = tmp_path / "checkpoint"
    export(first, folder, name="tiny", base=tiny_base_folder, base_reference="tiny-base")
    second = begin(make(data), tmp_path / "second", tiny_base_folder, weights=[folder])
    before, after = trained_weights(first._trainee), trained_weights(second._trainee)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value.to(torch.bfloat16).float()), name

    path = folder / "update_lora" / "adapter_config.json"
    adapter = json.loads(path.read_text())
    path.write_text(json.dumps(adapter | {"lora_alpha": 2 * adapter["lora_alpha"]}))
    third = begin(make(data), tmp_path / "third", tiny_base_folder, weights=[folder])
    for name, value in trained_weights(third._trainee).items():
        doubled = ".lora_B.update_lora." in name
        assert torch.equal(value, after[name] * (2 if doubled else 1)), name


def test_a_writer_that_does_not_learn_writes_as_it_did(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    """Its adapter is merged, at the start and after a resume, and kept."""
    steps(begin(make(data, learning_rate=5e-3), tmp_path / "before", tiny_base_folder), until=3)
    weights = [tmp_path / "before" / "last" / "weights.safetensors"]
    live = begin(make(data), tmp_path / "live", tiny_base_folder, weights=weights)
    config, folder = make(data, train_update=False, train_retriever=False), tmp_path / "merged"
    merged = begin(config, folder, tiny_base_folder, weights=weights)
    one, two = (steps(run, until=1)[0].answer for run in (live, merged))
    assert one == pytest.approx(two, rel=1e-4)
    again = begin(config, folder, tiny_base_folder)
    for run in (merged, again):
        assert run.model.update.stack is not run.model.generate.stack
    states = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(0))
    written = [run.model.update.weights(1).qkv(states) for run in (merged, again)]
    assert torch.equal(*written)
    before, kept = load_file(weights[0]), load_file(folder / "last" / "weights.safetensors")
    assert before.keys() == kept.keys()
    assert all(torch.equal(kept[n], w) == (".generate_lora." not in n) for n, w in before.items())


def test_new_text_is_gone_on_with(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    changes = {"qa": (), "facts": 1.0, "padding": 1.0, "continuations": 0, "questions": 0}
    without = steps(begin(make(data, **changes), tmp_path / "without", tiny_base_folder))
    assert all(step.continuation == 0 for step in without)
    config = make(data, new_text=True, learning_rate=1e-2, steps=30, save_every=30, **changes)
    seen = steps(begin(config, tmp_path / "with", tiny_base_folder))
    losses = [step.continuation for step in seen if step.continuation]
    assert len(losses) > 10 and losses[-1] < losses[0]


def test_continuations_weigh_what_they_should() -> None:
    losses = Losses(*(torch.tensor(value) for value in (1.0, 2.0, 4.0, 0.0)))
    config = TrainingConfig(model=MODEL, continuation_weight=0.25, retriever_weight=0.5)
    assert float(total_loss(losses, config)) == 1 + 0.25 * 2 + 0.5 * 4


def test_validation_and_saving_come_when_due(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    config = make(data, validation=tuple(data["validation"]), validation_questions=2)
    events = list(begin(config, tmp_path / "run", tiny_base_folder).events())
    validated = [event for event in events if isinstance(event, Validated)]
    assert [event.step for event in validated] == [3, 6]
    assert set(validated[0].figures) == {"alone", "among", "recall_at_1"}
    assert [event.step for event in events if isinstance(event, CheckpointSaved)] == [3, 6]


def test_the_retriever_can_learn_alone(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    changes = {"train_update": False, "train_generate": False, "recall_questions": 4}
    config = make(data, steps=60, retriever_learning_rate=1e-2, save_every=60, **changes)
    run = begin(config, tmp_path / "run", tiny_base_folder)
    before = {name: w.clone() for name, w in run.model.generate.stack.named_parameters()}
    seen = steps(run)
    for name, weight in run.model.generate.stack.named_parameters():
        assert torch.equal(weight, before[name]), name
    assert all(step.answer == step.continuation == 0 for step in seen)
    first, last = (sum(step.retriever for step in part) for part in (seen[5:15], seen[-10:]))
    assert last < 0.8 * first


def test_export_loads_as_a_checkpoint(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    run = begin(
        make(data, reread=2), tmp_path / "run", tiny_base_folder, passages=passages_by_words
    )
    steps(run, until=3)
    folder = tmp_path / "checkpoint"
    export(run, folder, name="tiny", base=tiny_base_folder, base_reference="tiny-base")
    loaded = load(folder, base=tiny_base_folder, dtype=torch.float32)
    assert loaded.name == "tiny"
    assert loaded.model.config == run.config.mplus
    assert loaded.prompt.reread == 2


def test_two_processes_match_one(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    config = make(data, steps=3)
    steps(begin(config, tmp_path / "one", tiny_base_folder))
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    script = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from models.training.config import TrainingConfig\n"
        "from models.training.processes import Processes\n"
        "from models.training.start import start\n"
        "processes = Processes.join('cpu')\n"
        "run, _ = start(TrainingConfig.read(Path(sys.argv[1])), Path(sys.argv[2]),\n"
        "               Path(sys.argv[3]), dtype=torch.float32, processes=processes)\n"
        "list(run.events())\n"
        "processes.leave()\n"
        "tasks = Path('/proc/self/task')\n"
        "names = [(task / 'comm').read_text() for task in tasks.iterdir()] if tasks.is_dir() else []\n"
        "sys.exit(any('gloo' in name for name in names))  # one that is left may abort the exit\n"
    )
    where = [str(path), str(tmp_path / "two"), str(tiny_base_folder)]
    base = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    base["WORLD_SIZE"] = "2"
    base["PYTHONPATH"] = str(Path(__file__).parents[2])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, *where],
            env=base | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in (0, 1)
    ]
    assert [child.wait(timeout=300) for child in children] == [0, 0]
    one = load_file(tmp_path / "one" / "last" / "weights.safetensors")
    two = load_file(tmp_path / "two" / "last" / "weights.safetensors")
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=2e-5, rtol=1e-4)


def test_accelerate_launches_two_processes(
    data: dict[str, list[str]], tiny_base_folder: Path, tmp_path: Path
) -> None:
    config = make(data, steps=3)
    steps(begin(config, tmp_path / "one", tiny_base_folder))
    recipe = tmp_path / "recipe.json"
    recipe.write_text(config.to_json())
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--main_process_port", str(free_port())]
    train = ["-m", "mplus_cli", "--device", "cpu", "--dtype", "float32", "train", str(recipe)]
    train += ["--base", str(tiny_base_folder), "--out", str(tmp_path / "two")]
    train += ["--export", str(tmp_path / "checkpoint")]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *train], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the run is in") == 1
    assert json.loads((tmp_path / "two" / "config.json").read_text())["steps"] == 3
    position = json.loads((tmp_path / "two" / "last" / "position.json").read_text())
    assert (position["step"], len(position["samplers"])) == (3, 2)
    one = load_file(tmp_path / "one" / "last" / "weights.safetensors")
    two = load_file(tmp_path / "two" / "last" / "weights.safetensors")
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=2e-5, rtol=1e-4)
    load(tmp_path / "checkpoint", base=tiny_base_folder)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("device", "number", "own"),
    [("cuda", "2", "cuda:2"), ("cuda:1", "2", "cuda:1"), ("cpu", "2", "cpu"), ("cuda", "", "cuda")],
)
def test_every_process_has_a_gpu_of_its_own(
    device: str, number: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", number)
    assert own_device(torch.device(device)) == torch.device(own)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 0}, "steps"),
        ({"fresh": 1.5}, "fresh"),
        ({"near_misses": -0.1}, "near_misses"),
        ({"sisters": 2.0}, "sisters"),
        ({"cue_tokens": 16}, "cue_tokens"),
        ({"model": {"chunk_tokens": 8, "new_tokens": 16}}, "new_tokens"),
        (
            {"train_update": False, "train_generate": False, "train_retriever": False},
            "nothing is trained",
        ),
    ],
)
def test_bad_configurations_say_so(
    data: dict[str, list[str]], change: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make(data, **change)


def test_unknown_fields_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"stepz": 3}')
    with pytest.raises(ConfigError, match="stepz"):
        TrainingConfig.read(path)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices: more threads only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
