"""EPUB to text: XHTML files in a zip (see `archive`), read in the order of the spine."""

import io
import posixpath
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mplus_cli.documents.archive import ZIP_ERRORS, Archive, Unreadable
from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.encoding import BinaryData
from mplus_cli.documents.epub_contents import Entry, contents, named, resolve
from mplus_cli.documents.epub_metadata import creators, publication_date
from mplus_cli.documents.markup import Markup, read_markup
from mplus_cli.documents.metadata import author_of, date_of
from mplus_cli.documents.model import DocumentError, Heading, Page
from mplus_cli.documents.parts import Parts

_MAX_FALLBACKS = 8
_TEXT_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "image/svg+xml")
_TEXT_SUFFIXES = (".xhtml", ".html", ".htm", ".xml", ".svg")
_FONT_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry of the manifest: the member's name, its media type, the id of its stand-in."""

    name: str
    media_type: str
    fallback: str


def is_epub(data: bytes) -> bool:
    """Whether `data` is a zip that says it is an EPUB."""
    if not data.startswith(b"PK\x03\x04"):
        return False
    if b"application/epub+zip" in data[:200]:
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "META-INF/container.xml" in archive.namelist()
    except ZIP_ERRORS:
        return False


def read_epub(data: bytes, label: str, progress: Callable[[int, int], None] | None = None) -> Parts:
    """The text of an EPUB, a page (without number) for each item of the spine."""
    try:
        archive = Archive(data)
        package = _package_name(archive)
        root = archive.xml(package)
    except (*ZIP_ERRORS, Unreadable) as error:
        message = f"{label} is not a readable EPUB (damaged or truncated): get a fresh copy"
        raise DocumentError(message) from error
    folder = posixpath.dirname(package)
    items = _spine(root, folder)
    _refuse_drm(archive, items, label)
    files, warnings = _files(archive, items, progress)
    if not files:
        raise DocumentError(f"{label} has no text (only pictures, or damaged): nothing to read")
    texts = [markup.text for markup in files.values()]
    pages = [Page(None, text + "\n\n") for text in texts[:-1]]
    title = " ".join(clean_characters(_first_text(root, "title")).split())
    return Parts(
        "epub",
        title,
        (*pages, Page(None, texts[-1])),
        warnings=tuple(warnings),
        headings=_headings(files, contents(archive.xml, root, folder)),
        author=author_of(creators(root)),
        date=date_of(publication_date(root)),
    )


def _files(
    archive: Archive, items: list[_Item], progress: Callable[[int, int], None] | None
) -> tuple[dict[str, Markup], list[str]]:
    """The files that have text, by the names of their members, and warnings of those unread."""
    files: dict[str, Markup] = {}
    broken: list[str] = []
    for number, item in enumerate(items, 1):
        try:
            if not _is_text(item):
                raise Unreadable
            markup = read_markup(archive.read(item.name))
            if markup.text:
                files[item.name] = markup
        except (Unreadable, BinaryData, RecursionError, ValueError):
            broken.append(item.name)
        if progress:
            progress(number, len(items))
    warnings = [f"{name} could not be read and was left out" for name in broken[:10]]
    if len(broken) > 10:
        warnings.append(f"{len(broken) - 10} more parts could not be read and were left out")
    return files, warnings


def _headings(files: Mapping[str, Markup], entries: list[Entry]) -> tuple[Heading, ...]:
    """Where the entries of the table of contents lead or, without one, the files' own headings."""
    starts: dict[str, int] = {}
    length = 0
    for name, markup in files.items():
        starts[name] = length
        length += len(markup.text) + 2  # and the blank line behind it
    found: list[Heading] = []
    for entry in entries:
        if entry.member in files:
            inside = files[entry.member].anchors.get(entry.anchor, 0)
            found.append(Heading(starts[entry.member] + inside, entry.level, entry.title))
    if found:
        return tuple(sorted(found, key=lambda one: one.start))
    return tuple(
        replace(one, start=starts[name] + one.start)
        for name, markup in files.items()
        for one in markup.headings
    )


def _package_name(archive: Archive) -> str:
    """The package file that container.xml names or, without it, the first there is."""
    try:
        for element in named(archive.xml("META-INF/container.xml"), "rootfile"):
            name = resolve("", element.get("full-path") or "")
            if name.lower() in archive.names:
                return name
    except Unreadable:
        pass
    for name in sorted(archive.names.values()):
        if name.lower().endswith(".opf"):
            return name
    raise Unreadable


def _spine(root: Any, folder: str) -> list[_Item]:
    """The items of the spine, each once: those that are not linear last, as an appendix."""
    manifest = {
        element.get("id") or "": _Item(
            resolve(folder, element.get("href") or ""),
            (element.get("media-type") or "").strip().lower(),
            element.get("fallback") or "",
        )
        for element in named(root, "item")
    }
    references = named(root, "itemref")
    contents = {
        one.get("id") for one in named(root, "item") if "nav" in (one.get("properties") or "")
    }
    linear, aside = [], []
    for reference in references:
        if (reference.get("linear") or "yes").strip().lower() != "no":
            linear.append(reference)
        elif reference.get("idref") not in contents:
            aside.append(reference)
    chosen: dict[str, _Item] = {}
    for reference in linear + aside:
        item = manifest.get(reference.get("idref") or "")
        for _ in range(_MAX_FALLBACKS):
            if item is None or _is_text(item) or item.fallback not in manifest:
                break
            item = manifest[item.fallback]
        if item is not None:
            chosen.setdefault(item.name, item)
    return list(chosen.values())


def _is_text(item: _Item) -> bool:
    if item.media_type:
        return item.media_type in _TEXT_TYPES
    return item.name.lower().endswith(_TEXT_SUFFIXES)


def _refuse_drm(archive: Archive, items: list[_Item], label: str) -> None:
    """DocumentError if what is to be read is encrypted; fonts may be obfuscated."""
    try:
        entries = named(archive.xml("META-INF/encryption.xml"), "EncryptedData")
    except Unreadable:
        return
    wanted = {item.name for item in items}
    for entry in entries:
        methods = {method.get("Algorithm") for method in named(entry, "EncryptionMethod")}
        covered = {resolve("", one.get("URI") or "") for one in named(entry, "CipherReference")}
        if covered & wanted and not methods & set(_FONT_OBFUSCATION):
            raise DocumentError(f"{label} is protected by DRM: give a copy without it")


def _first_text(root: Any, name: str) -> str:
    for element in named(root, name):
        text = "".join(element.itertext()).strip()
        if text:
            return text
    return ""
