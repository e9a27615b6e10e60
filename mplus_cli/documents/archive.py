"""A zip of XML files (EPUB, DOCX, ODT, PPTX), read within bounds.

Nothing is unpacked to disk, no entity is resolved, nothing is fetched, and no member is read beyond a
bound, whatever sizes the file claims. Independent of the formats inside.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

MAX_MEMBER_BYTES = 32 << 20
MAX_TOTAL_BYTES = 256 << 20
_MAX_MEMBERS = 20_000
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, RuntimeError),
    *(NotImplementedError, OverflowError),
)
"""The errors that a damaged archive may raise."""
_PARSER = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "recover": True,
    "huge_tree": False,
}


class Unreadable(Exception):
    """A member that is missing, damaged or too large."""


class Archive:
    """The members of a zip, by name, whatever the case of its letters.

    Raises `ZIP_ERRORS` if the bytes are not a zip.
    """

    def __init__(self, data: bytes) -> None:
        self.zip = zipfile.ZipFile(io.BytesIO(data))
        if len(self.zip.infolist()) > _MAX_MEMBERS:
            raise zipfile.BadZipFile("too many members")
        self.names = {name.lower(): name for name in self.zip.namelist()}
        self.left = MAX_TOTAL_BYTES

    def read(self, name: str) -> bytes:
        """The bytes of a member. Raises Unreadable, as the methods below."""
        try:
            with self.zip.open(self.names[name.lower()]) as member:
                data = member.read(min(MAX_MEMBER_BYTES, self.left) + 1)
        except ZIP_ERRORS as error:
            raise Unreadable from error
        if len(data) > min(MAX_MEMBER_BYTES, self.left):
            raise Unreadable
        self.left -= len(data)
        return data

    def xml(self, name: str) -> Any:
        """The root element of an XML member: no entities, no network, broken markup mended."""
        return xml_root(self.read(name))

    def feed(self, name: str, target: Any) -> None:
        """Give the events of an XML member to `target` (start, end and data): without a tree."""
        feed_xml(self.read(name), target)


class XmlReader:
    """A target of `feed_xml` that knows which elements are open and can skip whole ones.

    Subclasses say what to do where an element begins or ends, and with text.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        """The local names of the open elements, outermost first."""
        self._skip_from = 0
        """The depth of the outermost skipped element; 0: none is open."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._open.append(name)
        if not self._skip_from:
            self._begin(name, tag, attributes)

    def end(self, tag: str) -> None:
        name = self._open.pop()
        if not self._skip_from:
            self._finish(name)
        elif len(self._open) < self._skip_from:
            self._skip_from = 0

    def data(self, text: str) -> None:
        if not self._skip_from:
            self._take(text)

    def close(self) -> None:
        pass

    def _skip(self) -> None:
        """Skip the innermost open element, with all that is in it."""
        self._skip_from = len(self._open)

    def _begin(self, name: str, tag: str, attributes: Mapping[str, str]) -> None:
        raise NotImplementedError

    def _finish(self, name: str) -> None:
        raise NotImplementedError

    def _take(self, text: str) -> None:
        raise NotImplementedError


def xml_root(data: bytes) -> Any:
    """The root element of XML. Raises Unreadable."""
    from lxml import etree  # type: ignore[import-untyped]

    try:
        root = etree.fromstring(data, etree.XMLParser(**_PARSER))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable from error
    if root is None:
        raise Unreadable
    return root


def feed_xml(data: bytes, target: Any) -> None:
    """Give the events of XML to `target`. Raises Unreadable."""
    from lxml import etree

    parser = etree.XMLParser(target=target, **_PARSER)
    try:
        parser.feed(data)
        parser.close()
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable from error
