"""Update pass, tokens/s, against the base's decoder stack alone over the same chunk (no logits)."""

from __future__ import annotations

import torch

from benchmarks.common import Figure, alternate, as_loaded, parser, report, session, story_ids
from models.update import read_chunk


def main() -> None:
    given = parser(__doc__).parse_args()
    opened = session(given)
    model = opened.model
    chunk = model.config.chunk_tokens
    ids = story_ids(opened, 2 * chunk + model.config.stm_tokens * model.config.ratio)
    memory = model.empty_memory()
    for start in range(0, len(ids) - chunk, chunk):
        memory = read_chunk(model, memory, ids[start : start + chunk])
    batch = torch.tensor([ids[-chunk:]], device=model.device)
    stack = as_loaded(opened, model.update).model

    @torch.no_grad()
    def base() -> None:
        stack(batch, use_cache=False)
        _wait(model.device)

    def update() -> None:
        read_chunk(model, memory, ids[-chunk:])
        _wait(model.device)

    mine, theirs, ratio = alternate(given.rounds, update, base)
    figure = Figure(
        "update pass", chunk / mine, "tokens/s", "the base's decoder stack over the same chunk",
        chunk / theirs, 1 / ratio, "0.90 of it or more",
    )  # fmt: skip
    report(figure, opened)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
