"""Ask a memory every line of a file; an answer, its chance to be right and its place, a JSON line each.

python examples/questions_of_a_file.py MEMORY questions.txt
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mplus_cli import Mplus, Question


def main(name: str, path: str) -> None:
    loaded = Mplus().memory(name).load()  # once, for all questions
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        print(json.dumps(loaded.ask(Question(line)).to_json()))  # as `mplus ask --json` gives it


if __name__ == "__main__":
    main(*sys.argv[1:3])
