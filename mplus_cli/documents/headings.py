"""Finds where parts and chapters begin, from headings in plain text or Markdown.

A format's own table of contents, where there is one, is used instead.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from mplus_cli.documents.list_labels import roman
from mplus_cli.documents.model import Heading

_NUMBER = (
    r"(?:\d{1,3}|[IVXLC]{1,8}|[ivxlc]{1,8}|(?:the\s+)?(?:one|two|three|four|five|six|seven|eight|nine|"
    r"ten|eleven|twelve|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last))"
)
_LEVELS = {
    **dict.fromkeys(("volume", "vol."), 1),
    **dict.fromkeys(("book", "part", "act"), 2),
    **dict.fromkeys(("chapter", "canto", "stave", "letter", "appendix"), 3),
    **dict.fromkeys(("section", "scene"), 4),
}
_ALONE = {
    **dict.fromkeys(("preface", "foreword", "introduction", "prologue", "epilogue"), 3),
    **dict.fromkeys(("conclusion", "afterword", "appendix", "postscript"), 3),
}
_CHAPTERS = ("chapter", "canto", "stave", "section", "scene")
# ASCII: else "i" in any case is also the dotless one of Turkish, and "s" the long one.
_NUMBERED = re.compile(
    r"(?a:(?P<word>volume|vol\.|book|part|act|chapter|canto|stave|letter|appendix|section|scene))"
    rf"\s+(?P<number>{_NUMBER})\b(?P<mark>[.:]?)\s*[—–-]*\s*(?P<title>.*)",
    re.IGNORECASE,
)
_UNNUMBERED = re.compile(
    rf"(?a:(?P<word>{'|'.join(_ALONE)}))\b[.:]?(?:\s+(?P<title>.*))?", re.IGNORECASE
)
# "Appendix A. Tables" and "Preface: Why" are parts; "Introduction to Algorithms" may be a whole book.
_UNNUMBERED_PART = re.compile(
    rf"(?a:{'|'.join(_ALONE)})(?:\s*[.:—–-].*|\s+(?-i:[A-Z])\b.*|\s+by\b.*|\s+to\b.*\bedition\W*)?",
    re.IGNORECASE,
)
_MAX_LINE = 200
_MAX_TITLE = 80
_CLOSE = 160  # characters between headings that have no text between them
_LISTED = 4  # headings so close that they are a table of contents
_NUMBER_ALONE = re.compile(r"(?:\A|(?<=\n\n))(?P<number>\d{1,3}|[IVXLC]{1,8})\.?(?=\n\n)")
_NUMBER_LINE = re.compile(r"[\[(]?(?:\d{1,3}|[IVXLC]{1,8})[\])]?\.?")
_QUOTED = re.compile('["\'“‘«„][^"“”«»„]*[^"“”«»„\\s.,;]["\'”’»“]')
_END = re.compile(r"[^\w\s,;-]\s*\Z")
_ROMAN = {roman(number).upper(): number for number in range(1, 110)}
_FEWEST = 3  # numbers of chapters, so that they count up
_CHAPTER = 400  # characters, at least, of half of the chapters: notes are shorter
_ATX = re.compile(r"(#{1,6})[ \t]+(\S.*)")
_UNDERLINE = re.compile(r"=+|-+")
_FENCE = re.compile(r"\s*(```|~~~)")
_MARKUP = re.compile(r"[*_`]+")
_Line = tuple[int, int, int]
"""A number alone on a line: its value, and where it starts and stops."""


def find_headings(text: str) -> tuple[Heading, ...]:
    """The headings of clean text: "CHAPTER IV. TITLE", "Part Two" with a title below, "PREFACE"."""
    found: list[Heading] = []
    lines = list(_lines(text))
    for index, (start, line) in enumerate(lines):
        if len(line) > _MAX_LINE or not line[:1].isalpha():
            continue
        following = [after for _, after in lines[index + 1 : index + 3]]
        heading = _heading(start, line.strip(), following)
        if heading:
            found.append(heading)
    return _with_quoted_titles(text, _without_contents(found))


def numbered_headings(text: str) -> tuple[Heading, ...]:
    """The headings of plain text whose chapters have a number alone on a line: "I", "II", "III", or "1.",
    "2.", "3.".

    Such a run counts up from one, and has as much text between its numbers as chapters have, which are not
    page numbers in the middle of sentences. A lone "I" in a dialogue counts for nothing. Where one of the
    numbers is missing, as OCR read "1V", there are none: the chapter before it would hold all that follows.
    """
    found: dict[bool, list[_Line]] = {True: [], False: []}
    for line in _NUMBER_ALONE.finditer(text):
        word = line["number"]
        value = int(word) if word.isdecimal() else _ROMAN.get(word, 0)
        found[word.isdecimal()].append((value, line.start("number"), line.end()))
    roman, figures = (_chapters(text, lines) for lines in (found[False], found[True]))
    chosen = figures if len(figures) > len(roman) else roman
    return _with_quoted_titles(text, [_numbered(text, start, stop) for _, start, stop in chosen])


def _chapters(text: str, lines: Sequence[_Line]) -> list[_Line]:
    runs = [(run, gap) for run, gap in _runs(lines) if _is_chapters(text, run)]
    return [] if any(gap for _, gap in runs) else [line for run, _ in runs for line in run]


def _runs(lines: Sequence[_Line]) -> Iterator[tuple[list[_Line], bool]]:
    """The lines that count up from one, and whether others go on counting behind a gap; what fits in no run
    is left out."""
    run: list[_Line] = []
    gap = False
    for at, line in enumerate(lines):
        following = lines[at + 1][0] if at + 1 < len(lines) else 0
        if line[0] == len(run) + 1:
            run.append(line)
            gap = False
        elif line[0] == 1 and following == 2:  # the next part begins
            yield run, gap
            run, gap = [line], False
        elif line[0] == len(run) + 2 or len(run) + 1 != following == line[0] + 1:
            gap = True
    yield run, gap


def _is_chapters(text: str, run: Sequence[_Line]) -> bool:
    if len(run) < _FEWEST:
        return False
    sizes = sorted(after[1] - before[2] for before, after in pairwise(run))
    apart = sum(
        bool(_END.search(text, max(0, start - 8), start))
        and not text[stop : stop + 8].lstrip()[:1].islower()
        for _, start, stop in run[1:]
    )
    return sizes[len(sizes) // 2] >= _CHAPTER and apart * 4 >= (len(run) - 1) * 3


def _numbered(text: str, start: int, stop: int) -> Heading:
    """The heading of a number, with the title below it if there is one."""
    number, below = (
        text[start:stop].rstrip("."),
        text[stop : stop + _MAX_LINE].lstrip("\n").partition("\n")[0],
    )
    return Heading(start, 3, f"{number}. {below.strip()}" if _is_name(below) else number)


def is_numbered(line: str) -> bool:
    """Whether a line is the heading of a part, whatever its title: "Chapter 4. The Ferry", "Preface"; not
    "Introduction to Algorithms", which may be the title of a book."""
    return bool(_NUMBERED.fullmatch(line) or _UNNUMBERED_PART.fullmatch(line))


def looks_like_heading(line: str) -> bool:
    """Whether a line that stands alone above others is but a heading or a number: "CHAPTER IV. TITLE", "THE
    FERRY", "II". Speech and sentences in capitals are none, nor is "# Notes", a comment in a script."""
    line = line.strip()
    if not line or len(line) > _MAX_TITLE:
        return False
    in_capitals = line.isupper() and line[-1].isalnum() and line[0].isalnum()
    return in_capitals or bool(_NUMBER_LINE.fullmatch(line) or _heading(0, line, ()))


def plain_headings(text: str) -> tuple[Heading, ...]:
    """The headings of clean plain text: as `find_headings`, and where it finds no chapters, numbers alone on
    a line."""
    found = find_headings(text)
    if any(
        (match := _NUMBERED.match(one.title)) and match["word"].lower() in _CHAPTERS
        for one in found
    ):
        return found
    numbers = numbered_headings(text)
    return tuple(sorted((*found, *numbers), key=lambda heading: heading.start))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that have text, with the offset of each."""
    start = 0
    for line in text.split("\n"):
        if line:
            yield start, line
        start += len(line) + 1


def _heading(start: int, line: str, following: Sequence[str]) -> Heading | None:
    match = _NUMBERED.fullmatch(line)
    if match:
        level = _LEVELS[match["word"].lower()]
    else:
        match = _UNNUMBERED.fullmatch(line)
        if not match:
            return None
        level = _ALONE[match["word"].lower()]
    word, title = match["word"], (match["title"] or "").strip()
    if not word[0].isupper() or (title and not _is_title(line, title)):
        return None
    if title or not following or not _is_name(following[0]):
        return Heading(start, level, line.rstrip(" .:"))
    return Heading(start, level, f"{line.rstrip(' .:')}. {following[0].strip()}")


def _is_title(line: str, title: str) -> bool:
    """Whether what stands behind "Chapter 4" is its title and not the rest of a sentence."""
    if line.isupper():
        return True
    marked = re.match(r"\S+\s+(?:the\s+)?\S+?[.:]\s|\S+[.:]\s|.*?\s[—–-]+\s", line, re.IGNORECASE)
    return len(line) <= _MAX_TITLE and bool(marked or title.istitle()) and title[-1] not in ".,;"


def _is_name(line: str) -> bool:
    """Whether a line under "CHAPTER IV" is its title: short, and in capitals or without an end."""
    line = line.strip()
    if not line or len(line) > _MAX_TITLE or _NUMBERED.fullmatch(line):
        return False
    if line.rstrip(".") in _ROMAN:  # the first chapter of a part
        return False
    if line[-1] in ".,;" and not line.isupper():
        return False
    words = [word for word in re.findall(r"[^\W\d_]+", line) if len(word) > 3]
    return line.isupper() or (bool(words) and all(word[0].isupper() for word in words))


def _with_quoted_titles(text: str, found: Sequence[Heading]) -> tuple[Heading, ...]:
    """Headings with the lines in quotation marks below them as their titles, whatever their words begin with,
    where that is the habit of the book: a chapter or two may begin with what somebody says."""
    below: dict[int, str] = {}
    for heading in found:
        near = text[heading.start : heading.start + 3 * _MAX_LINE]
        lines = [line for line in near.split("\n") if line]
        if len(lines) > 1 and _is_bare(lines[0].strip()):
            below[heading.start] = lines[1].strip()
    quoted = {start: line for start, line in below.items() if _is_quoted(line)}
    if len(quoted) < _FEWEST or len(quoted) * 4 < len(below) * 3:
        return tuple(found)
    return tuple(
        replace(heading, title=f"{_line_of(text, heading).rstrip(' .:')}. {quoted[heading.start]}")
        if heading.start in quoted
        else heading
        for heading in found
    )


def _is_bare(line: str) -> bool:
    """Whether the line of a heading is but its number."""
    match = _NUMBERED.fullmatch(line)
    return not match["title"] if match else bool(_NUMBER_LINE.fullmatch(line))


def _is_quoted(line: str) -> bool:
    return len(line) <= _MAX_TITLE and bool(_QUOTED.fullmatch(line))


def _line_of(text: str, heading: Heading) -> str:
    return text[heading.start : heading.start + _MAX_LINE].partition("\n")[0]


def _without_contents(found: Sequence[Heading]) -> list[Heading]:
    """Headings without those of a table of contents: many, with nothing between them."""
    kept: list[Heading] = []
    run: list[Heading] = []
    keys: set[str] = set()
    for heading in found:
        apart = run and heading.start - run[-1].start > _CLOSE + len(run[-1].title)
        if apart or _key(heading) in keys:
            kept += run if len(run) < _LISTED else []
            run, keys = [], set()
        run.append(heading)
        keys.add(_key(heading))
    return kept + (run if len(run) < _LISTED else [])


def _key(heading: Heading) -> str:
    return " ".join(re.findall(r"\w+", heading.title.lower())[:2])


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """The headings of clean Markdown: "# Title", and a line underlined with = or -."""
    found: list[Heading] = []
    fence = ""
    before = (0, "")
    for start, line in _lines(text):
        mark = _FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        elif not fence:
            atx = _ATX.fullmatch(line)
            if atx:
                found.append(Heading(start, len(atx[1]), _plain(atx[2].rstrip("# "))))
            elif _is_underline(line, *before, start):
                found.append(Heading(before[0], 1 if line[0] == "=" else 2, _plain(before[1])))
        before = (start, line)
    return tuple(found)


def _is_underline(line: str, start: int, above: str, here: int) -> bool:
    touching = start + len(above) + 1 == here and len(above) <= _MAX_LINE
    return touching and len(line) > 1 and bool(_UNDERLINE.fullmatch(line)) and above[:1].isalnum()


def _plain(title: str) -> str:
    return _MARKUP.sub("", title).strip()
