"""The title and author that plain text and Markdown give in their first lines, as a title page does. Does no
I/O.

A wrong title is worse than the name of the file. So in plain text one counts only where an author's "by"
stands below it; where the name of the file says the same; or where a name that a book hardly mentions stands
below it, before a preface, a table of contents or the first chapter.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from mplus_cli.documents.headings import is_numbered
from mplus_cli.documents.metadata import author_of, sane_title
from mplus_cli.documents.model import Heading

_FIRST = 2000
"""Characters in which a title page stands."""
_BLOCKS = 5
"""Blocks of lines down to the author's name, at most."""
_WIDEST = 80
_BOOK = 20_000
"""Characters from which a text is long enough to show which of its words are names."""
_BY = re.compile(r"(?:written\s+)?by:?(?:\s+(\S.*))?", re.IGNORECASE)
_CREDIT = re.compile(
    r"\W*(?:(?:e-?text )?(?:produced|transcribed|scanned|digiti[sz]ed|prepared) (?:by|from)\b"
    r"|transcriber['’]s note).*|\[(?:illustration|frontispiece|cover)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_SUBTITLE = re.compile(
    r"\W*(?:an?|or|being|with|in|vol|volume|book|part|complete|illustrated|translated|edited)\b.*"
    r"|\W.*|\d.*|[IVXLCDM]+\.?",
    re.IGNORECASE,
)
_NO_TITLE = re.compile(
    r"(?:copyright|published|printed|edited|translated|illustrated|dedicated|dedication|dear"
    r"|in memory|(?:to|for) (?:my|our|the memory))\b",
    re.IGNORECASE,
)
_NAMES = 4
"""Words of an author's name, at most, where no "by" says that it is one."""
_MENTIONS = 10
"""So often a book may name its author."""
_BEGIN = re.compile(r"[\"'“‘«¡¿(]?([^\W_])")
_LETTERS = re.compile(r"[^\W\d_]+")
_ROMAN = re.compile(r"[IVX]{2,}")
_INITIAL = re.compile(r"\b[^\W\d_]\.")
_ABBREVIATION = re.compile(r"(?:[^\W\d_]{1,2}\.){2,}|(?:[^\W\d_]|jr|sr|esq|bart)\.", re.IGNORECASE)
_NAME_WORD = re.compile(r"\(?[^\W\d_](?:[^\W\d_]|[.'’-])*[,)]*")
_BETWEEN_NAMES = frozenset(
    "and & de da di du del della la le van von der den ter y al bin ibn".split()
)
_NO_NAMES = frozenset(
    "the a an our my your his her its this that no one dramatis personae personæ persons characters".split()
)
_SMALL = frozenset("a an the of and or but nor in on at to for from with by as into upon".split())


@dataclass(frozen=True, slots=True)
class TitlePage:
    """What a text calls itself, and its author if it names one."""

    title: str
    author: str | None


def find_title_page(text: str, name: str) -> TitlePage | None:
    """The title page of a text from a file called `name` (without its ending); None if it has none that is
    sure to be one.

    Args:
        text: with its own lines, before they are joined into paragraphs.
    """
    blocks = list(_blocks(text[:_FIRST]))
    while blocks and _CREDIT.fullmatch("\n".join(blocks[0])):
        del blocks[0]
    if not blocks:
        return None
    return (
        _signed(blocks[:_BLOCKS], name, text)
        or _named(blocks[0], name, text)
        or _with_name_below(blocks, text)
    )


def markdown_title(text: str, headings: Sequence[Heading]) -> tuple[str, str | None]:
    """The title of Markdown, its only heading of the first level if the text begins with it ("" if not), and
    the author named after "by" in the line below."""
    first = [heading for heading in headings if heading.level == 1]
    if len(first) != 1 or is_numbered(first[0].title) or "<" in first[0].title:
        return "", None
    start = first[0].start
    if text[:start].strip():
        return "", None
    lines = (line.strip("*_# \t") for line in text[start : start + _FIRST].split("\n")[1:])
    by = _BY.fullmatch(next((line for line in lines if line.strip("=")), ""))
    author = by and by[1] and _is_name(by[1]) and by[1]
    return sane_title(first[0].title), author_of([author]) if author else None


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of a text between blank ones."""
    for block in re.split(r"\n\s*\n", text):
        if lines := [" ".join(line.split()) for line in block.split("\n") if line.strip()]:
            yield lines


def _signed(blocks: Sequence[Sequence[str]], name: str, text: str) -> TitlePage | None:
    """A title with "by" and an author below it: nothing but a subtitle stands between them, or the name of
    the file confirms the title."""
    lines = [(at, line) for at, block in enumerate(blocks) for line in block]
    for number, (_, line) in enumerate(lines):
        if match := _BY.fullmatch(line):
            author = match[1] or next((after for _, after in lines[number + 1 :][:1]), "")
            first = [above for at, above in lines[:number] if at == 0 and above != author]
            title = first[:1] + list(takewhile(lambda one: not _SUBTITLE.match(one), first[1:]))
            between = [above for at, above in lines[:number] if at]
            sure = all(map(_SUBTITLE.fullmatch, between)) or _confirms(name, " ".join(title))
            return _page(title, author, text) if sure and _are_title(title) else None
    return None


def _named(block: Sequence[str], name: str, text: str) -> TitlePage | None:
    """A title that the name of the file confirms, alone or with its author's name in the next line."""
    if len(block) > 2 or not _is_title(block[0]) or not _confirms(name, block[0]):
        return None
    if len(block) == 1:
        return _page(block, None, text)
    sure = _INITIAL.search(block[1]) or _is_never_a_word(block[1], text)
    return _page(block[:1], block[1], text) if sure else None


def _with_name_below(blocks: Sequence[Sequence[str]], text: str) -> TitlePage | None:
    """A title above a line that is but a name, where a book begins in the lines behind it."""
    title, author, *behind = [line for block in blocks for line in block] + ["", ""]
    apart = len(blocks[0]) == 2 or [len(block) for block in blocks[:2]] == [1, 1]
    if not apart or any(map(_BY.fullmatch, behind)) or not any(map(_opens, behind)):
        return None
    is_title = (
        _is_title(title)
        and _is_capitalised(title)
        and title.split()[-1].lower() not in _SMALL
        and not (_opens(title) or _NO_TITLE.match(title))
    )
    is_author = (
        _is_name(author)
        and sum(word.lower() not in _BETWEEN_NAMES for word in author.split()) <= _NAMES
        and _is_never_a_word(author, text)
        and _hardly_mentions(text, author)
    )
    return _page([title], author, text) if is_title and is_author else None


def _opens(line: str) -> bool:
    """Whether a line begins what stands behind a title page."""
    return is_numbered(line) or line.lower().rstrip(" .:") in ("contents", "table of contents")


def _hardly_mentions(text: str, author: str) -> bool:
    """Whether a name is that of an author, and not of one whom a book is about, or of a place."""
    surname = author.split()[-1].rstrip(",.)")
    found = re.findall(rf"\b{re.escape(surname)}\b", text, re.IGNORECASE)
    return len(found) <= _MENTIONS


def _page(lines: Sequence[str], author: str | None, text: str) -> TitlePage | None:
    """None where an author is given that is no name or ends a sentence, or the title is none."""
    title = sane_title(_cased(" ".join(lines), text).rstrip(" .,:;"))
    if not title or (author is not None and not _is_name(author)):
        return None
    if author and author[-1] == "." and not _ABBREVIATION.fullmatch(author.split()[-1]):
        if not author.isupper():
            return None
        author = author[:-1]
    return TitlePage(title, author_of([_cased(author.rstrip(" ,"), text)]) if author else None)


def _are_title(lines: Sequence[str]) -> bool:
    """Whether lines may be a title: one that begins with a capital and has no end, or several in capitals or
    with words that all begin with one."""
    return bool(lines) and all(
        _is_title(line) and (len(lines) == 1 or _is_capitalised(line)) for line in lines
    )


def _is_title(line: str) -> bool:
    if len(line) > _WIDEST or is_numbered(line) or not (begin := _BEGIN.match(line)):
        return False
    return line.isupper() or (line[-1] not in ".,:;" and not begin[1].islower())


def _is_capitalised(line: str) -> bool:
    words = [word for word in line.split() if word not in _SMALL]
    return line.isupper() or not any(word[0].islower() for word in words)


def _is_name(line: str) -> bool:
    """Whether a line is the name of a person, or several: two words or more, each with a capital."""
    words = line.split()
    names = [word for word in words if word.lower() not in _BETWEEN_NAMES]
    return (
        len(line) <= _WIDEST
        and 2 <= len(names) <= len(words) <= 10
        and names[-1] == words[-1]
        and all(_NAME_WORD.fullmatch(word) and word.strip("(")[0].isupper() for word in names)
        and not any(word.lower() in _NO_NAMES for word in words)
    )


def _confirms(name: str, title: str) -> bool:
    """Whether a file's name is the title, or its first words: "american-notes" confirms "American Notes for
    General Circulation"."""
    given, words = (
        re.findall(r"[^\W_]+", re.sub(r"['’]", "", one).lower()) for one in (name, title)
    )
    for article in ("the", "a", "an"):
        given, words = (one[one[:1] == [article] :] for one in (given, words))
    begins = len(given) > 1 and words[: len(given)] == given and not re.search(r"[.,:;]", title)
    return bool(given) and ("".join(given) == "".join(words) or begins)


def _is_never_a_word(name: str, text: str) -> bool:
    """Whether the words of a name stand nowhere in a long text without their capitals: "New York" is no name
    of a person where something is "new"."""
    words = [word.lower() for word in _LETTERS.findall(name) if len(word) > 1]
    words = [word for word in words if word not in _BETWEEN_NAMES]
    return len(text) >= _BOOK and not any(re.search(rf"\b{word}\b", text) for word in words)


def _cased(line: str, text: str) -> str:
    """A line in capitals as it is written elsewhere: "H. RIDER HAGGARD" as "H. Rider Haggard"; "MCDONALD"
    as "McDonald" where the text does so."""
    if not line.isupper() or "_" in line:
        return line

    def cased(match: re.Match[str]) -> str:
        word = match[0]
        before = line[: match.start()]
        if _ROMAN.fullmatch(word):
            return word
        if before[-1:] in ("'", "’") and before[-2:-1].isalpha() and len(word) < 3:
            return word.lower()  # SOLOMON'S, WE'LL
        if form := _own_form(word, text):
            return form
        is_small = word.lower() in _SMALL and before.strip() and before.rstrip()[-1] not in ":;.—"
        return word.lower() if is_small and before[-1].isspace() else word.capitalize()

    return _LETTERS.sub(cased, line)


def _own_form(word: str, text: str) -> str | None:
    """How a text writes a word outside of lines in capitals, if mostly with capitals of its own: "USA",
    "McDonald"."""
    if len(word) < 2:
        return None
    forms: Counter[str] = Counter()
    for found in re.finditer(rf"(?<![^\W\d_]){word}(?![^\W\d_])", text, re.IGNORECASE):
        start = text.rfind("\n", 0, found.start()) + 1
        if not text[start : text.find("\n", found.end())].isupper():
            forms[found[0]] += 1
    plain = forms.pop(word.lower(), 0) + forms.pop(word.capitalize(), 0)
    form = max(forms, key=forms.__getitem__, default=None)
    return form if form and forms[form] > plain else None
