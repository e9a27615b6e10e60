"""Which passages of a memory fit a question? Without an answer.

python examples/find_passages.py MEMORY "Who sold the brooch?"
"""

from __future__ import annotations

import sys

from mplus_cli import Mplus
from mplus_cli.wording import place


def main(name: str, question: str) -> None:
    for source in Mplus().memory(name).find(question):
        print(f"{source.score:7.2%}  {place(source.document, source.pages, source.place)}")
        print(f"         {source.quote}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
