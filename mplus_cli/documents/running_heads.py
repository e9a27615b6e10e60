"""Finds running headers, running footers and page numbers.

Takes a page as a list of texts, from top to bottom; independent of coordinates and of PDF.
"""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

Section = tuple[int, str, int]
"""The level of a part of the document, its title, and the index of the page on which it begins."""
_DEPTH = 3  # lines from the edge that can be heads or feet
_MAX_GAP = 4  # pages between two sights of the same head: facing pages, a plate, a chapter's start
_MIN_SIGHTS = 3
_MAX_LENGTH = 120
# ASCII: else "i" in any case is also the dotless one of Turkish, which is no numeral.
_ROMAN = (
    r"(?a:(?=[ivxlcdm])m{0,3}(?:c[md]|d?c{0,3})(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})(?<=[ivxlcdm]))"
)
_EDGE_NUMBER = re.compile(rf"^(?:\d+|{_ROMAN})\b|\b(?:\d+|{_ROMAN})$")
_BARE = re.compile(
    rf"\W*(?:(?:page|p\.|pg\.|seite|page:)\s*)?(\d{{1,4}}|{_ROMAN})(?:\s*(?:of|/|von)\s*\d+)?\W*",
    re.IGNORECASE,
)
_CONTINUED = re.compile(
    r"[(\[]?(?:"
    r"continue[sd]? (?:on|from|overleaf)(?: the)?(?: (?:next|previous|following|preceding|last))?"
    r"(?: page| p\.)?(?: \d{1,4})?"
    r"|fortsetzung (?:auf der nächsten|der vorherigen|von der vorherigen) seite"
    r"|suite (?:sur la page suivante|de la page précédente)"
    r"|(?:continúa en la próxima|proviene de la) página(?: anterior)?"
    r")\.{0,3}[)\]]?",
    re.IGNORECASE,
)
"""What Sphinx, LaTeX and others write where a listing or a table is broken."""
_PARTS = frozenset({"chapter", "part", "section", "appendix", "kapitel", "chapitre"})
_NUMERALS = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}


def running_lines(
    pages: Sequence[Sequence[str]], sections: Sequence[Section] = ()
) -> list[set[int]]:
    """For each page, the indices of the lines that are heads, feet or bare page numbers.

    `sections` are the parts of the document, in order: a line at the edge that says in which the page is
    is a head, wherever it stands but where the part begins.
    """
    tops = [_edge(page, from_top=True) for page in pages]
    bottoms = [_edge(page, from_top=False) for page in pages]
    dropped: list[set[int]] = [set() for _ in pages]
    for edges in (tops, bottoms):
        heads = _recurring(pages, edges)
        heads |= _page_numbers(pages, edges) | _counting(pages, edges)
        heads |= _titles(pages, edges, sections) | _continued(pages, edges)
        for page, edge in enumerate(edges):
            for index in edge:
                if (page, index) not in heads:
                    break
                dropped[page].add(index)
    return dropped


def _edge(page: Sequence[str], *, from_top: bool) -> list[int]:
    """The outermost lines of a page, the outer first. Half of a short page is not an edge."""
    filled = [index for index, text in enumerate(page) if text.strip()]
    depth = min(_DEPTH, (len(filled) + 1) // 2)
    return filled[:depth] if from_top else filled[::-1][:depth]


def _key(text: str) -> str:
    """A head without its page number, in one case and spacing; empty for a bare number."""
    text = " ".join(text.casefold().split()).strip(" -–—|·•.[]")
    return _EDGE_NUMBER.sub("", text).strip(" -–—|·•.[]")


def _recurring(pages: Sequence[Sequence[str]], edges: Sequence[list[int]]) -> set[tuple[int, int]]:
    """(page, line) of every head that is seen on three pages or more, none far from the next."""
    sights: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for page, edge in enumerate(edges):
        for index in edge:
            text = pages[page][index]
            key = _key(text) if len(text) <= _MAX_LENGTH else ""
            if key:
                sights[key].append((page, index))
                generic = re.sub(r"\d+", "#", key)
                if generic != key:
                    sights[generic].append((page, index))
    heads: set[tuple[int, int]] = set()
    for found in sights.values():
        for run in _runs(found):
            if len({page for page, _ in run}) >= _MIN_SIGHTS:
                heads.update(run)
    return {(page, index) for page, index in heads if page or not _is_title(pages[page][index])}


def _is_title(text: str) -> bool:
    """Whether what the pages' heads say, here on the first page, is the title: it has no number."""
    return not _EDGE_NUMBER.search(" ".join(text.casefold().split()).strip(" -–—|·•.[]"))


def _runs(sights: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """`sights`, in page order, cut where more than `_MAX_GAP` pages lie between two."""
    runs: list[list[tuple[int, int]]] = []
    for sight in sights:
        if runs and sight[0] - runs[-1][-1][0] <= _MAX_GAP:
            runs[-1].append(sight)
        else:
            runs.append([sight])
    return runs


def _page_numbers(
    pages: Sequence[Sequence[str]], edges: Sequence[list[int]]
) -> set[tuple[int, int]]:
    """(page, line) of bare numbers that count along with the pages.

    A number counts along if another page has one at the same distance from its position, or if it
    is the position itself.
    """
    offsets: dict[tuple[int, int], int] = {}
    for page, edge in enumerate(edges):
        for index in edge:
            value = _number(pages[page][index])
            if value is not None:
                offsets[page, index] = value - page
    common = Counter(offsets.values())
    return {sight for sight, offset in offsets.items() if common[offset] > 1 or offset == 1}


def _counting(pages: Sequence[Sequence[str]], edges: Sequence[list[int]]) -> set[tuple[int, int]]:
    """(page, line) of outermost lines whose number counts along, whatever else they say.

    So are heads and feet that change with the section: "The Harbour 17", "The Quay 18". The number
    stands at the end or at the start, in the same place on four pages or more, none far from the next.
    """
    sights: dict[tuple[int, bool], list[tuple[int, int]]] = defaultdict(list)
    for page, edge in enumerate(edges):
        for index in edge[:1]:
            words = pages[page][index].split()
            if len(words) < 2 or len(pages[page][index]) > _MAX_LENGTH:
                continue
            for last in (False, True):
                value = _number(words[-1 if last else 0].strip(".:|"))
                if value is not None:
                    sights[value - page, last].append((page, index))
    runs = [run for found in sights.values() for run in _runs(found)]
    return {sight for run in runs if len(run) > _MIN_SIGHTS for sight in run}


def _titles(
    pages: Sequence[Sequence[str]], edges: Sequence[list[int]], sections: Sequence[Section]
) -> set[tuple[int, int]]:
    """(page, line) of lines that are titles of sections which began on a page before, or which stand on
    the page a second time, where they begin."""
    found: set[tuple[int, int]] = set()
    waiting = deque(sections)
    open_: list[tuple[int, str]] = []
    for page, edge in enumerate(edges):
        here = [key for _, key in open_]
        fresh: list[str] = []
        while waiting and waiting[0][2] <= page:
            level, title, start = waiting.popleft()
            open_ = [(above, key) for above, key in open_ if above < level]
            open_.append((level, _title_key(title)))
            (fresh if start == page else here).append(open_[-1][1])
        if not here and not fresh:
            continue
        keys = [_title_key(line) if len(line) <= _MAX_LENGTH else "" for line in pages[page]]
        for index in edge:
            key = keys[index]
            # As many lines as sections of that title begin here are their own titles.
            if key and key in (*here, *fresh) and keys.count(key) > fresh.count(key):
                found.add((page, index))
    return found


def _title_key(text: str) -> str:
    """The words of a title or a head, without the numbers around them; empty if they are not words."""
    words = re.findall(r"\w+", text.casefold())
    while words and (words[0].isdecimal() or words[0] in _PARTS):
        words.pop(0)
    while words and words[-1].isdecimal():
        words.pop()
    return " ".join(words) if any(len(word) > 2 for word in words) else ""


def _continued(pages: Sequence[Sequence[str]], edges: Sequence[list[int]]) -> set[tuple[int, int]]:
    """(page, line) of lines that say no more than that something goes on over the page's end."""
    return {
        (page, index)
        for page, edge in enumerate(edges)
        for index in edge
        if _CONTINUED.fullmatch(pages[page][index].strip()[:_MAX_LENGTH])
    }


def _number(text: str) -> int | None:
    """The page number that `text` is, if it is nothing else."""
    match = _BARE.fullmatch(text.strip()) if len(text) <= 24 else None
    if not match:
        return None
    digits = match.group(1)
    if digits.isdecimal():
        return int(digits)
    values = [_NUMERALS[letter] for letter in digits.lower()]
    return sum(
        -value if value < after else value
        for value, after in zip(values, [*values[1:], 0], strict=True)
    )
