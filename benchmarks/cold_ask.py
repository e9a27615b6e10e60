"""Cold `mplus ask` to its first token, against a process that imports torch and reads the weights."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.asking import QUESTION
from benchmarks.common import Figure, alternate, parser, report, session, settings, story_ids
from benchmarks.synthetic import stored

_BASE = """
import sys, torch
from pathlib import Path
for path in Path(sys.argv[1]).glob("*.safetensors"):
    path.read_bytes()
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=1_000_000, help="of text in memory")
    given = options.parse_args()
    opened = session(given)
    config, own = opened.model.config, settings(given)
    ids = story_ids(opened, config.stm_tokens * config.ratio)
    base = str(opened.choice.base or opened.choice.reference)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("base", "models"):  # the models of the user's own home
            if (own.home / name).exists():
                (home / name).symlink_to(own.home / name)
        stored(opened, home, given.tokens, ids)
        flags = ["--home", folder, "--offline", "--model", own.model, "--device", own.device]
        asked = ["ask", QUESTION, "-m", "big", "--max-new-tokens", "1", "--no-sources"]

        def ask() -> None:
            _run([sys.executable, "-m", "mplus_cli", *flags, *asked])

        def load() -> None:
            _run([sys.executable, "-c", _BASE, base])

        mine, theirs, ratio = alternate(given.rounds, ask, load)
    figure = Figure(
        "cold ask to first token", mine, "s", "importing torch and reading the weights", theirs, ratio,
        "1.3 times it or less",
    )  # fmt: skip
    report(figure, opened, tokens=given.tokens)


def _run(command: list[str]) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)


if __name__ == "__main__":
    main()
