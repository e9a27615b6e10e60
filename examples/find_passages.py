"""Which passages of a memory fit a question? The retriever alone, without an answer.

python examples/find_passages.py MEMORY "Who sold the brooch?"
"""

from __future__ import annotations

import sys

from models.recall import look_up
from mplus_cli import settings
from mplus_cli.asking import answering
from mplus_cli.asking.sources import best_sources
from mplus_cli.library import Library
from mplus_cli.runtime.session import open_memory, open_session
from mplus_cli.wording import place


def main(name: str, question: str) -> None:
    given = settings.resolve(settings.Flags())
    stored = open_memory(Library(given.home), name)
    session = open_session(
        given, note=print, progress=lambda what, done, total: None, memory=stored
    )
    opened = answering.load_memory(session, stored)
    _, query = session.loaded.prompt.render(session.tokenizer, question)
    found = look_up(session.model, opened.memory, query)
    for source in best_sources(
        stored, found.ranked, shared=session.model.config.recall == "tokens"
    ):
        print(f"{source.score:7.2%}  {place(source.document, source.pages)}")
        print(f"         {' '.join(source.text.split())[:200]}...")


if __name__ == "__main__":
    main(*sys.argv[1:3])
