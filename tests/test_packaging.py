"""What an installed copy holds: every package, the demo's story, the recipes."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_listed() -> None:
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("models", "mplus_cli")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert found | {"mplus_cli.demo"} == set(SETUPTOOLS["packages"])


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
        assert (entry / "mplus.json").is_file(), f"{entry.name} is no checkpoint"
        assert (entry / "README.md").is_file(), f"{entry.name} has no model card"
    size = sum(path.stat().st_size for path in weights.rglob("*") if path.is_file())
    assert size < 60_000_000
