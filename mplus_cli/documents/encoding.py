"""Decodes bytes in any encoding. Independent of documents.

Order: byte-order mark, UTF-16/32 by where its zero bytes are, what the file declares, UTF-8, a
guess among common code pages, cp1252.
"""

import codecs
import re

from mplus_cli.documents.characters import clean_characters

_SAMPLE = 1 << 16
_CODE_PAGES = [
    *("cp1252", "latin_1", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("cp932", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
]
_LATIN = frozenset({"cp1250", "cp1252", "cp1254", "latin_1"})
# What are letters in cp1250 and signs in cp1252 (as ³ and ¹), within a word.
_SIGN_IN_WORD = re.compile(rb"[a-z][\xa3\xa5\xaf\xb3\xb9\xbe\xbf][a-z]")
_MARKS = [  # the longer first: a UTF-32 mark begins like a UTF-16 one
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_BINARY_STARTS = (
    *(b"\x89PNG", b"\x7fELF", b"PK\x03\x04", b"PK\x05\x06", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b"),
    *(b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\xd0\xcf\x11\xe0", b"RIFF", b"OggS", b"ID3"),
    *(b"SQLite format 3\x00", b"\x00\x00\x01\x00", b"\xca\xfe\xba\xbe", b"GGUF", b"(\xb5/\xfd"),
)
_ALLOWED_CONTROLS = b"\t\n\x0b\x0c\r\x08\x1a\x1b"


class BinaryData(ValueError):
    """The bytes are not text in any known encoding."""


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of `data`, or BinaryData. `declared` is what the file says of itself, if it does."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _checked(_whole_units(data[len(mark) :], name).decode(name, "replace"))
    if data.startswith(_BINARY_STARTS):
        raise BinaryData
    wide = _wide_encoding(data)
    if wide:
        return _checked(_whole_units(data, wide).decode(wide, "replace"))
    if _looks_binary(data):
        raise BinaryData
    if declared and not declared.lower().startswith(("utf-16", "utf16", "utf-32", "utf32")):
        try:
            return data.decode(declared)
        except (LookupError, UnicodeError):
            pass  # a wrong declaration is common; the bytes decide
    return _utf8(data) or _guessed(data)


def _whole_units(data: bytes, name: str) -> bytes:
    """`data` without the half character that a truncated file ends with."""
    size = 4 if "32" in name else 2 if "16" in name else 1
    return data[: len(data) - len(data) % size]


def _checked(text: str) -> str:
    """`text`, unless it is so full of broken characters that it cannot have been meant."""
    sample = text[:_SAMPLE]
    bad = sample.count("\ufffd") + len(sample) - len(clean_characters(sample.replace("\r", "")))
    if bad - sample.count("\r") > max(8, 0.1 * len(sample)):
        raise BinaryData
    return text


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, recognised by which bytes of each unit are zero."""
    sample = data[: _SAMPLE - _SAMPLE % 4]
    if len(sample) < 4 or b"\0" not in sample:
        return None
    units = max(1, len(sample) // 4)
    zeros = [sample[place::4].count(0) / units for place in range(4)]
    if (min(zeros[1:]) > 0.9 and zeros[0] < 0.1) or (min(zeros[2:]) > 0.95 and zeros[0] < 0.1):
        return "utf-32-le"
    if min(zeros[:2]) > 0.95 and zeros[3] < 0.1:
        return "utf-32-be"
    even, odd = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    if odd > 0.3 and even < 0.03:
        return "utf-16-le"
    if even > 0.3 and odd < 0.03:
        return "utf-16-be"
    return None


def _looks_binary(data: bytes) -> bool:
    """More control bytes than a text with a few stray ones has."""
    sample = data[:_SAMPLE]
    controls = bytes(set(range(32)) - set(_ALLOWED_CONTROLS))
    count = len(sample) - len(sample.translate(None, controls))
    return count > max(4, len(sample) // 50) or (count > 0 and count * 4 > len(sample))


def _utf8(data: bytes) -> str | None:
    """`data` decoded as UTF-8, a few broken bytes in a long text tolerated; else None."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    good = len(data) - len(text) + broken  # continuation bytes, roughly
    return text if broken * 20 < good else None


def _guessed(data: bytes) -> str:
    """`data` in the code page that fits best. Only lines with bytes beyond ASCII can tell."""
    from charset_normalizer import from_bytes

    telling: list[bytes] = []
    size = 0
    for match in _LINE.finditer(data):
        line = match.group()
        if not line.isascii():
            telling.append(line[:_SAMPLE])
            size += len(telling[-1])
        if size >= _SAMPLE:
            break
    sample = b"".join(telling)
    matches = from_bytes(sample, cp_isolation=_CODE_PAGES)
    best = matches.best()
    if best is None:
        return data.decode("cp1252", "replace")
    likely = {match.encoding: match.coherence for match in matches}
    # Their letters differ little: the western one, unless the language says otherwise.
    western = (
        best.encoding in _LATIN
        and likely.get("cp1252", -1) >= best.coherence - 0.1
        and not _SIGN_IN_WORD.search(sample)
    )
    return data.decode("cp1252" if western else best.encoding, "replace")
