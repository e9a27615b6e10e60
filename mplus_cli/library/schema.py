"""Checks a memory's rows and a snapshot's header when they are read, so that nothing fails later.

A checksum shows whether a file was changed; it does not show who wrote it. Does no I/O, and handles no
tensors.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.config import Geometry, RetrieverShape
from models.schema import Integer, OneOf, Rule, Text, file_name, shown
from mplus_cli.library.values import INTERIM, SegmentRow, State, View

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SEGMENT_FILE = re.compile(rf"ltm/({INTERIM}-)?\d+\.safetensors", re.ASCII)
_STM_FILE = re.compile(rf"stm-({INTERIM}-)?\d+\.safetensors", re.ASCII)
"""File names without a path: only in the memory's folder."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256 in hexadecimal."""

    wanted: str = "64 hexadecimal digits"

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in ISO 8601, in years that exist in every time zone."""

    wanted: str = "a time in ISO 8601"
    optional: bool = False
    """Whether there may be none, as an empty text."""

    def allows(self, value: Any) -> bool:
        if value == "":
            return self.optional
        try:
            return isinstance(value, str) and 1970 <= datetime.fromisoformat(value).year < 9999
        except ValueError:
            return False


_COUNT, _SOME = Integer(0, 1 << 48), Integer(1, 1 << 48)
_PAGE = Integer(0, 1 << 48, optional=True)
_TEXT = Text(1 << 24)
_STATED = Text(1 << 12, optional=True)
NOTE = Text(2000, optional=True)
"""What a user may write down about a memory."""
_MODEL: dict[str, Rule] = {"name": _TEXT, "fingerprint": Digest()}
_TIMES: dict[str, Rule] = {"created": Moment(), "updated": Moment()}
_DOCUMENT: dict[str, Rule] = {
    "id": _SOME,
    "path": _TEXT,
    "title": _TEXT,
    "sha256": Digest(),
    "kind": _TEXT,
    "pages": _PAGE,
    "tokens": _COUNT,
    "chunks": _COUNT,
    "chunks_read": _COUNT,
    "digest": Digest(),
    "added": Moment(optional=True),
    "author": _STATED,
    "date": _STATED,
}
_SEGMENT: dict[str, Rule] = {
    "number": _COUNT,
    "tokens": _SOME,
    "skip": _COUNT,
    "bytes": _COUNT,
    "sha256": Digest(),
}
_STATE: dict[str, Rule] = {
    "commit": _COUNT,
    "clock": _COUNT,
    "chunks": _COUNT,
    "tokens": _COUNT,
    "stm_tokens": _COUNT,
    "stm_bytes": _COUNT,
    "stm_sha256": Digest(),
    "chunks_sha256": _TEXT,
}
_CHUNK: dict[str, Rule] = {
    "number": _COUNT,
    "document": _SOME,
    "position": _COUNT,
    "text": _TEXT,
    "tokens": _COUNT,
    "first_page": _PAGE,
    "last_page": _PAGE,
}
# Which texts a choice takes differs from version to version: the model of a memory says whether it fits.
_GEOMETRY: dict[str, Rule] = {
    file_name(entry): _TEXT if isinstance(rule := entry.metadata["rule"], OneOf) else rule
    for kind in (Geometry, RetrieverShape)
    for entry in dataclasses.fields(kind)
}
"""Settings that the tensors of a memory depend on."""


def check_view(view: View) -> Iterator[str]:
    """What is impossible in the rows of a memory, except for its chunks' texts."""
    identity, state = view.identity, view.state
    model = {"name": identity.name, "fingerprint": identity.fingerprint}
    yield from _check("model", model, _MODEL)
    yield from check_geometry(identity.geometry)
    yield from _check("memory", {"created": view.created, "updated": view.updated}, _TIMES)
    yield from _check("memory", {"note": view.note}, {"note": NOTE})
    for number, document in enumerate(view.documents, start=1):
        yield from _check(f"document {number}", _values(document), _DOCUMENT)
        if document.id != number:
            yield f"document {number} has the number {shown(document.id)}"
    yield from check_commit(state, view.segments)


def check_commit(state: State | None, segments: Sequence[SegmentRow]) -> Iterator[str]:
    """What is impossible in the rows of a commit."""
    for row in segments:
        yield from _check("segment", _values(row), _SEGMENT)
        if not _is_file(row.file, _SEGMENT_FILE):
            yield f"segment {shown(row.number)} is in the file {shown(row.file)}"
    if state is not None:
        yield from _check("state", _values(state), _STATE)
        if not _is_file(state.stm_file, _STM_FILE):
            yield f"short-term memory is in the file {shown(state.stm_file)}"


def check_geometry(geometry: Any) -> Iterator[str]:
    """What cannot be in the configuration of the model that wrote a memory.

    Settings of other versions are left alone: a model that has them says whether they fit.
    """
    if not isinstance(geometry, dict):
        yield f"geometry is {shown(geometry)}"
        return
    known = {name: rule for name, rule in _GEOMETRY.items() if name in geometry}
    yield from _check("geometry", {name: _hashable(geometry[name]) for name in known}, known)


def check_counts(view: View) -> Iterator[str]:
    """Contradictions between rows that are valid by themselves."""
    state, geometry = view.state, view.identity.geometry
    for row in view.segments:
        if row.skip >= row.tokens:
            yield f"segment {row.number} leaves out {row.skip} of {row.tokens} tokens"
    if state is None:
        if view.segments or view.documents:
            yield "there are documents or segments, but no commit"
        return
    if state.stm_tokens > geometry.get("stm_tokens", state.stm_tokens):
        yield f"short-term memory has {state.stm_tokens} tokens: more than its model keeps there"
    if view.ltm_tokens > (geometry.get("ltm_capacity") or view.ltm_tokens):
        yield f"long-term memory has {view.ltm_tokens} tokens: more than its model keeps"


def check_chunks(rows: Sequence[tuple[Any, ...]], view: View) -> Iterator[str]:
    """What is impossible in the rows of all chunks."""
    read = dict.fromkeys((document.id for document in view.documents), 0)
    most = view.identity.geometry.get("chunk_tokens")
    for number, row in enumerate(rows):
        wrong = next(_check(f"chunk {number}", dict(zip(_CHUNK, row, strict=True)), _CHUNK), None)
        if wrong is not None:
            yield wrong
            return
        at, document, position, _, tokens, first, last = row
        if at != number or read.get(document) != position:
            yield f"chunk {number} is not the next one of its document"
            return
        read[document] += 1
        if (first is None) != (last is None) or (first or 0) > (last or 0):
            yield f"chunk {number} has the pages {first} to {last}"
        if most is not None and tokens > most:
            yield f"chunk {number} has {tokens} tokens, more than {most}"


def same_geometry(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations agree on the settings that tensors depend on, as far as both have
    them."""
    said = _GEOMETRY.keys() & one.keys() & other.keys()
    return all(_hashable(one[name]) == _hashable(other[name]) for name in said)


def _check(what: str, values: Mapping[str, Any], rules: Mapping[str, Rule]) -> Iterator[str]:
    for name, rule in rules.items():
        if not rule.allows(values[name]):
            yield f"{what}: {name} is {shown(values[name])}, not {rule.wanted}"


def _values(row: Any) -> dict[str, Any]:
    return {entry.name: getattr(row, entry.name) for entry in dataclasses.fields(row)}


def _is_file(name: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def _hashable(value: Any) -> Any:
    """A JSON list as a tuple."""
    return tuple(value) if isinstance(value, list) else value
