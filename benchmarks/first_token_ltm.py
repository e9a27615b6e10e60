"""Time to first token with a large long-term memory, against the same with a small one."""

from __future__ import annotations

from benchmarks.asking import first_token
from benchmarks.common import Figure, alternate, parser, report, session, story_ids
from benchmarks.synthetic import grown


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=1_000_000, help="of text, in the large one")
    options.add_argument("--small", type=int, default=10_000, help="of text, in the small one")
    given = options.parse_args()
    opened = session(given)
    config = opened.model.config
    ids = story_ids(opened, config.stm_tokens * config.ratio)
    asks = [
        first_token(opened, grown(opened.model, tokens, ids))
        for tokens in (given.tokens, given.small)
    ]
    mine, theirs, ratio = alternate(given.rounds, asks[0], asks[1])
    figure = Figure(
        f"time to first token, {given.tokens} tokens in LTM", mine, "s",
        f"the same with {given.small}", theirs, ratio, "1.3 times it or less",
    )  # fmt: skip
    report(figure, opened)


if __name__ == "__main__":
    main()
