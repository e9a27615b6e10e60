"""From the bookmarks of a PDF to the places in its text where they lead.

Independent of the PDF library.
"""

import re
from collections.abc import Sequence

from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.model import Heading, Page

_MAX_LOOK = 20_000  # characters of a page in which a title is looked for


def outline_headings(
    outline: Sequence[Sequence[object]], pages: Sequence[Page]
) -> tuple[Heading, ...]:
    """The bookmarks, each (level, title, page), as headings of the text of `pages`.

    A bookmark begins where its title stands on its page, else at the top; those of pages that were
    not read are left out, except the last ones before: they say what the first page is part of.
    """
    starts: dict[int, int] = {}
    length = 0
    for page in pages:
        if page.number is not None:
            starts[page.number] = length
        length += len(page.text)
    texts = {page.number: page.text[:_MAX_LOOK] for page in pages}
    first = min(starts, default=1)
    found: list[Heading] = []
    for level, title, number in outline:
        if not (isinstance(level, int) and isinstance(title, str) and isinstance(number, int)):
            continue
        title = " ".join(clean_characters(title).split())
        if not title or (number not in starts and number > first):
            continue
        start = starts.get(number, 0) + _find(title, texts.get(number, ""))
        found.append(Heading(start, level, title))
    return tuple(sorted(found, key=lambda heading: heading.start))


def _find(title: str, text: str) -> int:
    """Where a title stands in a text, whatever its case and the spaces in it; 0 if nowhere."""
    words = re.findall(r"\w+", title)[:12]
    if not words:
        return 0
    match = re.search(r"\b" + r"\W{1,8}".join(map(re.escape, words)) + r"\b", text, re.IGNORECASE)
    return match.start() if match else 0
