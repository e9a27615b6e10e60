"""Bytes of long-term memory on disk per token of text, against the model's own type."""

from __future__ import annotations

import typing

import torch

from benchmarks.common import Figure, parser, report, session, story_ids
from models.config import LtmFormat
from models.packing import pack
from models.update import read_chunk


def main() -> None:
    given = parser(__doc__).parse_args()
    opened = session(given)
    model = opened.model
    chunk = model.config.chunk_tokens
    memory = read_chunk(model, model.empty_memory(), story_ids(opened, chunk))
    exact = memory.stm.tokens.to("cpu")
    sizes, errors = {}, {}
    for form in typing.get_args(LtmFormat):
        packed = pack(exact, form)
        born = 8 * len(exact)
        sizes[form] = (sum(part.nbytes for part in packed.tensors().values()) + born) / chunk
        found = packed.unpack()
        errors[form] = {
            "keys": _error(found.keys, exact.keys), "values": _error(found.values, exact.values)
        }  # fmt: skip
    form = model.config.ltm_format
    figure = Figure(
        "LTM bytes on disk per token of text", sizes[form], "bytes", "exact", sizes["exact"],
        sizes[form] / sizes["exact"], "under 4,096",
    )  # fmt: skip
    report(figure, opened, sizes={name: round(size) for name, size in sizes.items()}, errors=errors)


def _error(found: torch.Tensor, exact: torch.Tensor) -> dict[str, float]:
    """Relative errors of layers and heads: their mean and their largest."""
    off = (found.double() - exact.double()).norm(dim=(1, 3)) / exact.double().norm(dim=(1, 3))
    return {"mean": round(float(off.mean()), 5), "largest": round(float(off.max()), 5)}


if __name__ == "__main__":
    main()
