"""Opening a memory of 1,000,000 tokens, against opening one of 10,000."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.common import Figure, alternate, parser, report, session, story_ids
from benchmarks.synthetic import stored


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=1_000_000, help="of text in the large one")
    options.add_argument("--small", type=int, default=10_000, help="of text in the small one")
    given = options.parse_args()
    opened = session(given)
    config = opened.model.config
    ids = story_ids(opened, config.stm_tokens * config.ratio)
    with tempfile.TemporaryDirectory() as folder:
        large = stored(opened, Path(folder) / "large", given.tokens, ids)
        small = stored(opened, Path(folder) / "small", given.small, ids)
        mine, theirs, ratio = alternate(given.rounds, large.load, small.load)
        files = len(large.view().segments)
    figure = Figure(
        f"opening a memory of {given.tokens} tokens", mine * 1000, "ms", f"one of {given.small}",
        theirs * 1000, ratio, "under 50 ms",
    )  # fmt: skip
    report(figure, opened, files=files)


if __name__ == "__main__":
    main()
