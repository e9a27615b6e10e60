"""What an installed copy holds: every package, the weights, the demo's story, the recipes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import platformdirs
import pytest

from mplus_cli import __version__

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_listed() -> None:
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("models", "mplus_cli")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert found | {"mplus_cli.demo"} == set(SETUPTOOLS["packages"])


def test_the_lock_names_what_is_installed_by_version_and_hash() -> None:
    """`make lock` makes it anew, whenever a dependency or constraints.txt has changed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    locked = {}
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        first, *hashes = entry.splitlines()
        name, version = re.split("==| ", first)[:2]
        locked[_name(name)] = version
        assert hashes, entry
        assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    needed = {_name(re.split(r"[<>=]", line)[0]) for line in project["dependencies"]}
    assert needed <= locked.keys()
    constraints = (ROOT / "constraints.txt").read_text()
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", constraints, re.M):
        assert locked.get(_name(name), version) == version


def test_the_list_of_parts_is_compared_with_the_lock(tmp_path: Path) -> None:
    """What `make sbom` ends with; on the generator's own output where that is installed."""
    file, lock = tmp_path / "mplus.cdx.json", (ROOT / "requirements.lock").read_text()
    if shutil.which("cyclonedx-py"):
        inputs = ["requirements.lock", "--pyproject", "pyproject.toml"]
        command = ["cyclonedx-py", "requirements", *inputs, "--output-file", str(file)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        bom = json.loads(file.read_text())
    else:
        entries = [entry.splitlines() for entry in re.split(r"\n(?=\S)", lock.strip())]
        bom = {"metadata": {"component": {"name": "mplus"}}, "components": []}
        for first, *hashes in entries:
            name, version = re.split("==| ", first)[:2]
            found = [
                {"content": one} for line in hashes for one in re.findall("[0-9a-f]{64}", line)
            ]
            about = {"name": name, "version": version, "externalReferences": [{"hashes": found}]}
            bom["components"].append(about)
        file.write_text(json.dumps(bom))

    def checked() -> str:
        command = [sys.executable, str(ROOT / ".github" / "sbom.py"), str(file)]
        return subprocess.run(command, capture_output=True, text=True).stderr

    assert checked() == ""
    assert json.loads(file.read_text())["metadata"]["component"]["version"] == __version__
    first, second, *others = bom["components"]
    hashes = second["externalReferences"][0]["hashes"]
    for parts, named in (
        ([second, *others], first["name"]),
        ([first | {"version": "0"}, second, *others], first["name"]),
        ([*bom["components"], {"name": "stowaway", "version": "1"}], "stowaway 1"),
        (
            [first, second | {"externalReferences": [{"hashes": hashes[1:]}]}, *others],
            second["name"],
        ),
    ):
        file.write_text(json.dumps(bom | {"components": parts}))
        assert named in checked()


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_data_files_are_there() -> None:
    where = {"models": ROOT / "models", "mplus_cli": ROOT / "mplus_cli"}
    where["mplus_cli.demo"] = ROOT / SETUPTOOLS["package-dir"]["mplus_cli.demo"]
    for package, patterns in SETUPTOOLS["package-data"].items():
        for pattern in patterns:
            if not pattern.startswith("weights/"):
                assert list(where[package].glob(pattern)), f"{package}: {pattern}"


def test_weights_are_whole_checkpoints_and_no_more_than_is_installed_gladly() -> None:
    weights = ROOT / "models" / "weights"
    for entry in weights.iterdir():
        assert (entry / "mplus.json").is_file(), f"{entry.name} is not a checkpoint"
        assert (entry / "README.md").is_file(), f"{entry.name} has no model card"
    size = sum(path.stat().st_size for path in weights.rglob("*") if path.is_file())
    assert size < 60_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, built with the setuptools that are installed."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "sources"
    wanted = ("models", "mplus_cli", "examples", "man", "pyproject.toml", "README.md", "LICENSE")
    for name in wanted:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, copy / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "models", "mplus_cli"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    assert set(tracked) <= held  # weights, recipes and py.typed among them
    assert {"mplus_cli/demo/story.pdf", "mplus_cli/demo/questions.json"} <= held
    assert any(name.endswith("share/man/man1/mplus.1") for name in held)
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.default_model
def test_the_installed_wheel_reads_and_answers(wheel: Path, own_home: Path, tmp_path: Path) -> None:
    """In an environment of its own, with its script and its manual page: that copy answers, not these
    sources. The libraries are those that are here."""
    fetched = platformdirs.user_data_path("mplus") / "base"
    if not fetched.is_dir():
        pytest.skip("fetch the base once: mplus model pull")
    home = own_home / "mplus"
    home.mkdir(exist_ok=True)
    (home / "base").symlink_to(fetched)
    own = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(own)], check=True)
    paths = {
        name: sysconfig.get_path(name, "venv", {"base": str(own)})
        for name in ("purelib", "scripts")
    }
    pip = [sys.executable, "-m", "pip", "--python", str(own), "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", "-q", str(wheel)], check=True)
    libraries = Path(paths["purelib"]) / "libraries.pth"
    libraries.write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    assert (own / "share" / "man" / "man1" / "mplus.1").is_file()
    python = [str(Path(paths["scripts"]) / "python"), "-I", "-c"]
    shown = [*python, "import mplus_cli, models; print(mplus_cli.__file__, models.__file__)"]
    found = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert all(Path(file).is_relative_to(own) for file in found.split()), found
    book = tmp_path / "book.txt"
    book.write_text("The keeper of the Sallow lighthouse is called Orla Finch. " * 3)

    def mplus(*words: str) -> str:
        done = subprocess.run(
            [str(Path(paths["scripts"]) / "mplus"), "--home", str(home), "--offline", *words],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert mplus("--version") == f"mplus {__version__}\n"
    mplus("ingest", str(book), "-q")
    answer = json.loads(mplus("ask", "Who is the keeper of the Sallow lighthouse?", "--json"))
    assert "Orla Finch" in answer["answer"]
