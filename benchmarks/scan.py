"""Retriever scan and gather over 1,000,000 tokens, against reading the same bytes once."""

from __future__ import annotations

import torch

from benchmarks.asking import QUESTION
from benchmarks.common import Figure, alternate, parser, report, session, story_ids
from benchmarks.synthetic import grown
from models import scan
from models.recall import recall_chunks


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=1_000_000, help="of text")
    given = options.parse_args()
    opened = session(given)
    model, config = opened.model, opened.model.config
    memory = grown(model, given.tokens, story_ids(opened, config.stm_tokens * config.ratio))
    query = opened.plain_tokenizer.encode(QUESTION)[0]
    queries = scan.question_queries(model, torch.tensor([query], device=model.device))

    def look() -> None:
        ranked = scan.rank(model, memory, queries)
        recall_chunks(memory, ranked, config.recalled_tokens)

    rows = [segment.tokens.tensors()["retriever_keys"] for segment in memory.segments]
    size = sum(part.nbytes for part in rows)

    def read() -> None:
        for part in rows:
            part.view(torch.int64).sum()

    mine, theirs, ratio = alternate(given.rounds, look, read)
    figure = Figure(
        f"scan and gather over {given.tokens} tokens", mine * 1000, "ms",
        "reading the retriever's keys once", theirs * 1000, ratio, "2 times it or less",
    )  # fmt: skip
    report(figure, opened, bytes=size, question_tokens=len(query))


if __name__ == "__main__":
    main()
