"""Removes the underscores that mark emphasis in plain text: "_Kill!_" was in italics. Does no I/O.

Identifiers keep theirs, and so does a text in which more underscores stand inside of words than around them.
"""

import re
from collections.abc import Sequence

_MOST = 2000
"""Characters of an emphasis."""
_EMPHASIS = re.compile(
    rf"(?<!\w)_(?=[^\W_]|[\"'“‘«»„(\[¡¿—–…£$*-])((?:[^_\n]|\n(?!\n)){{1,{_MOST}}}+)(?<!\s)_(?!\w)"
)
_INSIDE = re.compile(r"(?<=[^\W_])_+(?=[^\W_])")


def without_emphasis(pages: Sequence[str]) -> list[str]:
    """The pages of a clean text without the underscores around what is emphasised. No emphasis runs over the
    end of a paragraph."""
    marked = sum(len(_EMPHASIS.findall(page)) for page in pages)
    inside = sum(len(_INSIDE.findall(page)) for page in pages)
    return [_EMPHASIS.sub(r"\1", page) if marked > inside else page for page in pages]
