"""What reads and answers does so without `transformers` and PEFT, which take longer to import than all
the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import io, sys
from mplus_cli import process
from mplus_cli.app import run
from mplus_cli.runtime.postponed import PART, Postponed

process.postpone()

def command(*arguments, stdin=""):
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    assert run(list(arguments)) == 0, arguments

command("ingest", sys.argv[1], "-m", "book")
command("ask", "Who kept the lighthouse?", "-m", "book")
command("find", "lighthouse", "-m", "book")
command("chat", "-m", "book", stdin="Who kept the lighthouse?\\n")
command("memory", "list")
command("memory", "verify", "book")
heavy = ("transformers", "peft", "huggingface_hub", "matplotlib", "torch._dynamo", "gguf")
print("heavy:", [name for name in heavy if name in sys.modules])

import torch
before = isinstance(sys.modules[PART], Postponed)
command("ask", "Who kept the lighthouse?", "-m", "book", "--temperature", "1")  # needs random numbers
getattr(torch, "_meta_registrations").activate_meta  # touched, as torch itself does where it is needed
shape = torch.fft.fft(torch.empty(4, device="meta")).shape
print("postponed:", before, isinstance(sys.modules[PART], Postponed), shape)
"""


def test_no_heavy_import_on_the_way_to_an_answer(tiny: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The keeper of the lighthouse was called Orla Finch.\n\n" * 20)
    done: Any = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(book)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "heavy: []" in lines
    assert lines[-1] == "postponed: True False torch.Size([4])"
