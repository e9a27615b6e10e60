"""What headings call the parts of a document: "Chapter 3", "Part Two", "3. The Ferry", "Author's Preface"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mplus_cli.english.numbers import CARDINAL, ORDINAL, ROMAN
from mplus_cli.english.part_names import KIND_BEFORE, in_figures, kind_of, title_key
from mplus_cli.library.outline import Titles

_HEADING = re.compile(
    rf"(?:{KIND_BEFORE})?(?P<first>{ORDINAL}|\d{{1,5}}(?:\.\d{{1,3}})+|{CARDINAL}|{ROMAN})\b(?!\.?\d)"
)
_AROUND_THE_TEXT = frozenset(
    "preface foreword introduction prologue epilogue afterword postscript conclusion dedication contents "
    "copyright cover title acknowledgements acknowledgments bibliography references glossary index notes "
    "footnotes endnotes appendix appendices illustrations epigraph frontispiece colophon errata license "
    "licence imprint transcriber".split()
)
"""Words of what stands around the chapters of a book."""
_LARGER = ("part", "book", "volume", "act")


def called(title: str, kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a heading is called for sure, and what it may be called.

    Args:
        kind: as of a `PartName`, whose `keys` these are.
    """
    title = title.lower()
    match = _HEADING.match(title)
    behind = title[match.end() :] if match else title
    if kind == "title":
        return frozenset((title_key(title), title_key(behind))), frozenset()
    if kind == "alone":
        words = title_key(behind).split()
        return frozenset((*words[:1], *words[-1:])), frozenset()
    number = in_figures(match["first"]) if match else ""
    # "Section 2" has all that is headed "2.1" and "2.2".
    numbers = frozenset(number[: dot.start()] for dot in re.finditer(r"\.|$", number)) - {""}
    if match and match["first"] != match[0]:
        return (numbers if kind_of(match) == kind else frozenset()), frozenset()
    is_number = match and (match["first"][0].isdigit() or not re.match(r"\s*\w", behind))
    return frozenset(), numbers if is_number and kind in ("chapter", "section") else frozenset()


def of_kind(kind: str, sections: Sequence[Titles]) -> list[Titles]:
    """The sections of a document that are its chapters, parts, and so on, in the order of the text.

    Those whose headings say so. Else the chapters (or sections) are those with a number; else what is left of
    the outermost level that has several without what stands around them, as a preface.
    """
    named = [titles for titles in sections if titles and called(titles[-1], kind)[0]]
    if named or kind not in ("chapter", "section"):
        return named
    for is_one in (_has_number, _is_text):
        for depth in sorted({len(titles) for titles in sections} - {0}):
            level = [titles for titles in sections if len(titles) == depth and is_one(titles[-1])]
            if len(level) > 1 and not any(called(level[0][-1], part)[0] for part in _LARGER):
                return level
    return []


def _has_number(title: str) -> bool:
    return bool(called(title, "chapter")[1])


def _is_text(title: str) -> bool:
    return not _AROUND_THE_TEXT & set(title_key(title).split()[:3])
