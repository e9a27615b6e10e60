"""Read a document into a memory and ask it a question, with the library that `mplus` is made of.

    python examples/ask_a_book.py examples/story/story.pdf "What is the name of the ferry?"

The memory is called `example`; `mplus ask -m example` asks the same one.
"""

from __future__ import annotations

import sys

from mplus_cli import settings
from mplus_cli.asking import answering
from mplus_cli.asking.events import Answer, Question, TextDelta
from mplus_cli.ingest import job
from mplus_cli.ingest.pipeline import ChunkRead
from mplus_cli.runtime.session import open_session


def main(path: str, question: str) -> None:
    session = open_session(
        settings.resolve(settings.Flags()),
        note=print,
        progress=lambda what, done, total: None,
    )
    stored = session.library.open_or_create("example", session.identity)
    plan = job.plan([path], progress=lambda what, done, total: None)
    for event in job.ingest(session, stored, plan.given, job.Report("example")):
        if isinstance(event, ChunkRead):
            print(f"\rread {event.chunks_done} of {event.chunks_total} chunks", end="", flush=True)
    print()
    memory = answering.load_memory(session, stored)
    for part in answering.answer(session, memory, Question(question, max_new_tokens=80)):
        if isinstance(part, TextDelta):
            print(part.text, end="", flush=True)
        elif isinstance(part, Answer):
            print()
            for source in part.sources:
                print(f"  {source.document}, pages {source.pages}, {source.score:.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
