"""`docs/cli.md` is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOW = "python -m typer mplus_cli.app utils docs --name mplus --output docs/cli.md"


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "cli.md"
    command = [sys.executable, *HOW.split()[1:-1], str(made)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs" / "cli.md").read_text() == made.read_text(), f"run: {HOW}"
