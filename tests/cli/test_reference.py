"""`docs/cli.md` and the manual page are what the commands say of themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW = "python -m typer mplus_cli.app utils docs --name mplus --output docs/cli.md"


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    if f"typer=={version('typer')}" not in (ROOT / "constraints.txt").read_text().split():
        pytest.skip("another typer renders the page in another way")
    made = tmp_path / "cli.md"
    command = [sys.executable, *HOW.split()[1:-1], str(made)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs" / "cli.md").read_text() == made.read_text(), f"run: {HOW}"


def test_the_manual_page_is_up_to_date(tmp_path: Path) -> None:
    """And `man` has nothing to say against it, where it is installed."""
    made = subprocess.run(
        [sys.executable, "man/generate.py", "--print"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert (ROOT / "man" / "mplus.1").read_text() == made.stdout, "run: make man"
    if shutil.which("groff"):
        checked = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z", "man/mplus.1"], cwd=ROOT, capture_output=True
        )
        assert checked.stderr == b""
