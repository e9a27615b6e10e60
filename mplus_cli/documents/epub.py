"""EPUB to text: a zip of XHTML files, read in the order of its spine.

Nothing is unpacked to disk, no entity is resolved, nothing is fetched, and no member is read beyond
a bound, whatever the file says of its sizes.
"""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.encoding import BinaryData
from mplus_cli.documents.markup import markup_text
from mplus_cli.documents.model import DocumentError, Page
from mplus_cli.documents.parts import Parts

MAX_MEMBER_BYTES = 32 << 20
MAX_TOTAL_BYTES = 256 << 20
_MAX_MEMBERS = 20_000
_MAX_FALLBACKS = 8
_TEXT_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "image/svg+xml")
_TEXT_SUFFIXES = (".xhtml", ".html", ".htm", ".xml", ".svg")
_FONT_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, RuntimeError),
    *(NotImplementedError, OverflowError),
)


class _Unreadable(Exception):
    """A member that is missing, damaged or too large."""


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry of the manifest: the member's name, its media type, the id of its stand-in."""

    name: str
    media_type: str
    fallback: str


class _Archive:
    """A zip that is read within bounds."""

    def __init__(self, data: bytes) -> None:
        self.zip = zipfile.ZipFile(io.BytesIO(data))
        if len(self.zip.infolist()) > _MAX_MEMBERS:
            raise zipfile.BadZipFile("too many members")
        self.names = {name.lower(): name for name in self.zip.namelist()}
        self.left = MAX_TOTAL_BYTES

    def read(self, name: str) -> bytes:
        try:
            with self.zip.open(self.names[name.lower()]) as member:
                data = member.read(min(MAX_MEMBER_BYTES, self.left) + 1)
        except _ZIP_ERRORS as error:
            raise _Unreadable from error
        if len(data) > min(MAX_MEMBER_BYTES, self.left):
            raise _Unreadable
        self.left -= len(data)
        return data

    def xml(self, name: str) -> Any:
        """The root element of an XML member: no entities, no network, broken markup mended."""
        from lxml import etree  # type: ignore[import-untyped]

        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False
        )
        try:
            root = etree.fromstring(self.read(name), parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise _Unreadable from error
        if root is None:
            raise _Unreadable
        return root


def is_epub(data: bytes) -> bool:
    """Whether `data` is a zip that says it is an EPUB."""
    if not data.startswith(b"PK\x03\x04"):
        return False
    if b"application/epub+zip" in data[:200]:
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "META-INF/container.xml" in archive.namelist()
    except _ZIP_ERRORS:
        return False


def read_epub(data: bytes, label: str, progress: Callable[[int, int], None] | None = None) -> Parts:
    """The text of an EPUB, a page (without number) for each item of the spine."""
    try:
        archive = _Archive(data)
        package = _package_name(archive)
        root = archive.xml(package)
    except (*_ZIP_ERRORS, _Unreadable) as error:
        message = f"{label} is not a readable EPUB (damaged or truncated): get a fresh copy"
        raise DocumentError(message) from error
    items = _spine(root, posixpath.dirname(package))
    _refuse_drm(archive, items, label)
    texts, warnings = _texts(archive, items, progress)
    if not texts:
        raise DocumentError(f"{label} has no text (only pictures, or damaged): nothing to read")
    pages = [Page(None, text + "\n\n") for text in texts[:-1]]
    title = " ".join(clean_characters(_first_text(root, "title")).split())
    return Parts("epub", title, (*pages, Page(None, texts[-1])), None, tuple(warnings))


def _texts(
    archive: _Archive, items: list[_Item], progress: Callable[[int, int], None] | None
) -> tuple[list[str], list[str]]:
    texts: list[str] = []
    broken: list[str] = []
    for number, item in enumerate(items, 1):
        try:
            if not _is_text(item):
                raise _Unreadable
            _, text = markup_text(archive.read(item.name))
            if text:
                texts.append(text)
        except (_Unreadable, BinaryData, RecursionError, ValueError):
            broken.append(item.name)
        if progress:
            progress(number, len(items))
    warnings = [f"{name} could not be read and was left out" for name in broken[:10]]
    if len(broken) > 10:
        warnings.append(f"{len(broken) - 10} more parts could not be read and were left out")
    return texts, warnings


def _package_name(archive: _Archive) -> str:
    """The package file that container.xml names or, without it, the first there is."""
    try:
        for element in _named(archive.xml("META-INF/container.xml"), "rootfile"):
            name = _resolve("", element.get("full-path") or "")
            if name.lower() in archive.names:
                return name
    except _Unreadable:
        pass
    for name in sorted(archive.names.values()):
        if name.lower().endswith(".opf"):
            return name
    raise _Unreadable


def _spine(root: Any, folder: str) -> list[_Item]:
    """The linear items of the spine, each once; all of them if none is linear."""
    manifest = {
        element.get("id") or "": _Item(
            _resolve(folder, element.get("href") or ""),
            (element.get("media-type") or "").strip().lower(),
            element.get("fallback") or "",
        )
        for element in _named(root, "item")
    }
    references = _named(root, "itemref")
    linear = [one for one in references if (one.get("linear") or "yes").strip().lower() != "no"]
    chosen: dict[str, _Item] = {}
    for reference in linear or references:
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


def _refuse_drm(archive: _Archive, items: list[_Item], label: str) -> None:
    """DocumentError if what is to be read is encrypted; fonts may be obfuscated."""
    try:
        entries = _named(archive.xml("META-INF/encryption.xml"), "EncryptedData")
    except _Unreadable:
        return
    wanted = {item.name for item in items}
    for entry in entries:
        methods = {method.get("Algorithm") for method in _named(entry, "EncryptionMethod")}
        covered = {_resolve("", one.get("URI") or "") for one in _named(entry, "CipherReference")}
        if covered & wanted and not methods & set(_FONT_OBFUSCATION):
            raise DocumentError(f"{label} is protected by DRM: give a copy without it")


def _resolve(folder: str, reference: str) -> str:
    """The member a reference means; it is looked up in the zip and nowhere else."""
    path = unquote(reference.split("#")[0].split("?")[0])
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _named(root: Any, name: str) -> list[Any]:
    """All elements below `root` of that local name, whatever their namespace."""
    return list(root.iter("{*}" + name))


def _first_text(root: Any, name: str) -> str:
    for element in _named(root, name):
        text = "".join(element.itertext()).strip()
        if text:
            return text
    return ""
