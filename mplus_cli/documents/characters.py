"""Cleaning of text character by character. Which lines belong together is decided elsewhere.

Soft hyphens survive `clean_characters`, because at a line end they say how to join the line with
the next one; `joining` removes them.
"""

import re
import unicodedata

SOFT_HYPHEN = "\u00ad"

_LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
_SPACES = [0x00A0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]
_TABLE: dict[int, str | None] = {
    **{ord(ligature): letters for ligature, letters in _LIGATURES.items()},
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys([0x0B, 0x0C, 0x85, 0x2028, 0x2029], "\n"),
}
_LINE_END = re.compile(r"\r\n?")
# Controls, zero-width and direction marks, byte-order marks, non-characters, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
# Combining marks follow a letter; these are candidates: no ASCII, no letter, no digit, no space.
_MAX_MARKS = 30  # on one letter, as in the stream-safe text of UAX #15
_MANY_MARKS = re.compile(rf"[^\w\s\x00-\u02ff]{{{_MAX_MARKS + 1},}}")
# Joiners carry meaning in Arabic, Indic scripts and emoji; after a Latin letter they are noise.
_STRAY_JOINER = re.compile("(?<![\u0600-\u1cff\u2190-\u2bff\u3000-\U0010ffff])[\u200c\u200d]")


def clean_characters(text: str) -> str:
    """Unix line ends, plain spaces, expanded ligatures, nothing invisible, NFC."""
    if text.isascii():
        text = text.replace("\x0b", "\n").replace("\x0c", "\n")
    else:
        text = text.translate(_TABLE)
    text = _LINE_END.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    if text.isascii():
        return text
    text = _MANY_MARKS.sub(_few_marks, _STRAY_JOINER.sub("", text))
    return unicodedata.normalize("NFC", text)


def _few_marks(match: re.Match[str]) -> str:
    """The match without the marks beyond the 30th in a row: sorting a run takes its square."""
    kept: list[str] = []
    run = 0
    for character in match.group():
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def is_wide(character: str) -> bool:
    """Whether it belongs to a script written without spaces between words (Chinese, Japanese)."""
    return (
        "\u3000" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef"
        or "\U00020000" <= character <= "\U0003ffff"
    )
