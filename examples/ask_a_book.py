"""Read a document into a memory and ask it a question.

    python examples/ask_a_book.py examples/story/story.pdf "What is the name of the ferry?"

The memory is called `example`; `mplus ask -m example` asks the same one.
"""

from __future__ import annotations

import sys

from mplus_cli import Answer, Mplus, TextDelta


def main(path: str, question: str) -> None:
    book = Mplus().memory("example")
    report = book.read(path)
    print(f"{report.tokens} tokens are in memory")
    for event in book.stream(question):
        if isinstance(event, TextDelta):
            print(event.text, end="", flush=True)
        elif isinstance(event, Answer):
            print()
            if event.is_unsure:
                print(f"not sure ({event.reason}): {event.answer}")
            for source in event.sources:
                print(f"  {source.document}, pages {source.pages}, {source.score:.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
