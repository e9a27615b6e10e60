"""Recognises formats that are not read, and names the program that converts them.

Also tells which zips are office documents that are read. Looks at bytes and file names, and opens nothing
but the list of a zip's members.
"""

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mplus_cli.documents.model import Kind

_OFFICE = "save it as PDF, or convert it: soffice --convert-to pdf FILE"
_EBOOK = "convert it: ebook-convert FILE book.epub (Calibre)"
_PICTURE = "run OCR on it: tesseract FILE text"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A format that is not read. `advice` has FILE where the file's name belongs."""

    what: str
    advice: str
    suffixes: tuple[str, ...]


_WORD = Foreign("an old Word document", _OFFICE, (".doc", ".dot"))
_SHEET = Foreign("a spreadsheet", "save it as CSV", (".xlsx", ".xls", ".ods"))
_SLIDES = Foreign("a presentation", _OFFICE, (".ppt", ".odp"))
_ENCRYPTED = Foreign("an encrypted document", "remove the password and try again", ())
_PAGES = Foreign("a Pages document", "export it as PDF or EPUB", (".pages",))
_KINDLE = Foreign("a Kindle book", _EBOOK, (".mobi", ".azw", ".azw3", ".prc", ".kfx"))
_DJVU = Foreign("a DjVu document", "convert it: djvutxt FILE text.txt", (".djvu", ".djv"))
_RTF = Foreign("an RTF document", "convert it: pandoc FILE -o text.html", (".rtf",))
_LATEX = Foreign(
    "a LaTeX source", "give the PDF made of it, or convert it: pandoc FILE -o text.md", (".tex",)
)
_HELP = Foreign("a compiled help file", _EBOOK, (".chm", ".lit"))
_POSTSCRIPT = Foreign("a PostScript file", "convert it: ps2pdf FILE", (".ps", ".eps"))
_PICTURES = Foreign(
    "a picture", _PICTURE, (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp")
)
_ARCHIVE = Foreign(
    "an archive",
    "unpack it, and give what is in it",
    (".zip", ".gz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz", ".zst", ".cbz", ".cbr"),
)
_ALL = (
    *(_WORD, _SHEET, _SLIDES, _PAGES, _KINDLE, _DJVU, _RTF, _LATEX, _HELP),
    *(_POSTSCRIPT, _PICTURES, _ARCHIVE),
)
_BY_SUFFIX = {suffix: one for one in _ALL for suffix in one.suffixes}
_STARTS = (
    (b"{\\rtf", _RTF),
    (b"AT&TFORM", _DJVU),
    (b"ITSF", _HELP),
    (b"%!PS", _POSTSCRIPT),
    *((start, _PICTURES) for start in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")),
    *((start, _ARCHIVE) for start in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")),
)
_MEMBERS = (("xl/", _SHEET), ("Index/Document.iwa", _PAGES))
_OPEN_DOCUMENT = {
    b"application/vnd.oasis.opendocument.spreadsheet": _SHEET,
    b"application/vnd.oasis.opendocument.presentation": _SLIDES,
}
_ODT = (
    b"application/vnd.oasis.opendocument.text",
    b"application/vnd.oasis.opendocument.text-template",
)
_READ: dict[str, Kind] = {
    **dict.fromkeys((".docx", ".docm", ".dotx"), "docx"),
    **dict.fromkeys((".odt", ".ott"), "odt"),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx"), "pptx"),
}
OFFICE_SUFFIXES = frozenset({*_READ, ".fodt"})
CLAIMED = (".pdf", ".epub", ".docx", ".odt", ".pptx")
"""Suffixes that say that a file is not text."""
_MOST_SUFFIXES, _LONGEST_SUFFIX = 5, 12
"""What is named of several files."""


def office_kind(data: bytes, suffix: str) -> Kind | None:
    """Which supported kind of office document `data` is, or None."""
    if not data.startswith(b"PK\x03\x04"):
        return "odt" if b"<office:document" in data[:4096] else None
    names, mimetype = _zip(data)
    if not names:
        return _READ.get(suffix)
    if mimetype in _ODT:
        return "odt"
    kinds: tuple[tuple[str, Kind], ...] = (("word/", "docx"), ("ppt/", "pptx"))
    return next((kind for start, kind in kinds if any(n.startswith(start) for n in names)), None)


def find_foreign(data: bytes, suffix: str) -> Foreign | None:
    """What `data` is, if it is a format that is known and not read."""
    if data.startswith(b"PK\x03\x04"):
        return _zipped(data)
    if data.startswith(b"\xd0\xcf\x11\xe0"):  # the old formats of one office suite, and others
        encrypted = "EncryptedPackage".encode("utf-16-le") in data
        return _ENCRYPTED if encrypted else _BY_SUFFIX.get(suffix, _WORD)
    if data[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        return _KINDLE
    for start, one in _STARTS:
        if data.startswith(start):
            return one
    is_latex = suffix == ".tex" or data[:4096].lstrip().startswith((b"\\documentclass", b"\\input"))
    return _LATEX if is_latex else None


def not_an_epub(data: bytes) -> Foreign | None:
    """What a file is that is only called an EPUB; None if it may be a damaged one."""
    if data.startswith(b"PK\x03\x04"):
        names = [name.lower() for name in _zip(data)[0]]
        if not names or any(name.endswith((".opf", "meta-inf/container.xml")) for name in names):
            return None
    return find_foreign(data, "")


def _zipped(data: bytes) -> Foreign:
    names, mimetype = _zip(data)
    for start, one in _MEMBERS:
        if any(name.startswith(start) for name in names):
            return one
    if mimetype in _OPEN_DOCUMENT:
        return _OPEN_DOCUMENT[mimetype]
    files = [name for name in names if not name.endswith("/")]
    held = _kinds(Path(name).suffix.lower()[:_LONGEST_SUFFIX] for name in files)
    return replace(_ARCHIVE, what=f"{_ARCHIVE.what} ({held})") if held else _ARCHIVE


def _kinds(suffixes: Iterable[str]) -> str:
    """ "12 .jpg, 1 .txt": the commonest suffixes of files."""
    counted = Counter(suffix or "without suffix" for suffix in suffixes)
    kinds = [f"{number} {suffix}" for suffix, number in counted.most_common(_MOST_SUFFIXES)]
    return ", ".join([*kinds, *(["..."] if len(counted) > _MOST_SUFFIXES else [])])


def _zip(data: bytes) -> tuple[list[str], bytes]:
    """The names of a zip's members, none if it cannot be opened, and what it says that it is."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            with archive.open("mimetype") if "mimetype" in names else io.BytesIO() as member:
                return names, member.read(100).strip()
    except Exception:  # whatever a damaged archive makes it raise
        return [], b""


def refusal(one: Foreign, label: str, suffix: str) -> str:
    """The line that says what a file is, whatever its suffix says, and what to do."""
    is_other = suffix in CLAIMED and one is not _ENCRYPTED
    name = f"not the {suffix[1:].upper()} its name says but " if is_other else ""
    advice = one.advice.replace("FILE", label)
    return f"{label} is {name}{one.what}, which mplus does not read: {advice}"


def left_out(folder: str, files: Iterable[Path]) -> list[str]:
    """What to say of the files of a folder that are not read: a line a format, one for the rest."""
    known: dict[Foreign, list[Path]] = {}
    others: Counter[str] = Counter()
    for file in files:
        one = _BY_SUFFIX.get(file.suffix.lower())
        if one is None or one is _PICTURES:
            others[file.suffix.lower()] += 1
        else:
            known.setdefault(one, []).append(file)
    lines = []
    for one, found in known.items():
        if len(found) == 1:
            lines.append(f"{found[0]} was left out: it is {one.what}: {_advice(one, found[0])}")
        else:
            more = f"{found[0]} and {len(found) - 1} more were left out"
            lines.append(f"{more}: each is {one.what}: {_advice(one, found[0])}")
    if others:
        count = sum(others.values())
        some = "1 file was" if count == 1 else f"{count} files were"
        lines.append(f"{folder}: {some} left out as no document ({_kinds(others.elements())})")
    return lines


def _advice(one: Foreign, file: Path) -> str:
    return one.advice.replace("FILE", str(file))
