"""Prefill and decode of a GGUF file, tokens/s, against llama.cpp with the same file, ids and threads; two
lines of JSON.

    npm install --prefix FOLDER node-llama-cpp
    python -m benchmarks.llama_cpp model.gguf FOLDER

llama.cpp comes as `node-llama-cpp`, whose builds choose by the processor; Node is needed. Both write the
likeliest token each time.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import Figure, parser, report, seconds, session, story_ids
from models.cache import KeyValueCache
from models.generate import prefill
from models.recall import ChunkRecall

PROGRAM = Path(__file__).with_suffix(".mjs")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("file", type=Path, help="a .gguf file")
    options.add_argument("folder", type=Path, help="where node-llama-cpp is installed")
    options.add_argument("--tokens", type=int, default=512, help="of the prompt")
    options.add_argument("--new-tokens", type=int, default=64)
    given = options.parse_args()
    given.model = str(given.file)
    opened = session(given)
    model, count = opened.model, given.new_tokens
    ids = story_ids(opened, given.tokens)
    empty = model.empty_memory()
    nothing = ChunkRecall(empty.stm.tokens)
    mine: dict[str, Any] = {}

    def read() -> None:
        # Behind what leads every prompt, which llama.cpp is given too.
        mine["read"] = prefill(model, empty, nothing, ids, spare=count)

    def write() -> None:
        logits, cache = mine["read"]
        mine["said"] = _likeliest(opened.model.step_decoder, logits, cache, count)

    command = ["node", str(PROGRAM), *map(str, (given.folder.resolve(), given.file.resolve()))]
    request = json.dumps({"ids": [*model.lead, *ids], "count": count}) + "\n"
    pairs: list[tuple[float, float, dict[str, Any]]] = []
    with subprocess.Popen(
        [*command, str(torch.get_num_threads())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as theirs:
        assert theirs.stdin is not None and theirs.stdout is not None
        processor = json.loads(theirs.stdout.readline())["processor"]
        for _ in range(given.rounds + 1):
            ours = seconds(read), seconds(write)
            theirs.stdin.write(request)
            theirs.stdin.flush()
            pairs.append((*ours, json.loads(theirs.stdout.readline())))
        theirs.stdin.close()
    del pairs[0]  # lays out weights
    said = pairs[-1][2]["said"]
    same = next((at for at, id in enumerate(said) if id != mine["said"][at]), count)
    for place, (name, tokens) in enumerate({"prefill": given.tokens, "decode": count}.items()):
        ratio = statistics.median(pair[2][name] / pair[place] for pair in pairs)
        own, other = (
            statistics.median(times)
            for times in ([pair[place] for pair in pairs], [pair[2][name] for pair in pairs])
        )
        figure = Figure(
            name, tokens / own, "tokens/s", "llama.cpp with the same file",
            tokens / other, ratio, "1.0 times it or more",
        )  # fmt: skip
        report(figure, opened, file=given.file.name, same_tokens=same, their_processor=processor)


def _likeliest(decoder: Any, logits: Any, cache: KeyValueCache, count: int) -> list[int]:
    mark, ids = cache.mark(), [int(logits[-1].argmax())]
    while len(ids) < count:
        ids.append(int(decoder.step(ids[-1], cache)[-1].argmax()))
    cache.rewind(mark)
    return ids


if __name__ == "__main__":
    main()
