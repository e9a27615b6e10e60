"""Which passages of a memory fit a question? The retriever alone, without an answer.

python examples/find_passages.py MEMORY "Who sold the brooch?"
"""

from __future__ import annotations

import sys

from models.recall import look_up
from mplus_cli import settings
from mplus_cli.asking import answering
from mplus_cli.asking.events import Question
from mplus_cli.asking.prompting import query_ids
from mplus_cli.asking.sources import gather_evidence
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
    found = look_up(session.model, opened.memory, query_ids(session, Question(question)))
    for source in gather_evidence(session, opened, question, found).sources():
        print(f"{source.score:7.2%}  {place(source.document, source.pages)}")
        print(f"         {source.quote}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
