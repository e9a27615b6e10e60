"""Text that is safe to show: without characters that control a terminal, reorder a line or hide text.

Titles, file names, passages, answers and the messages that quote them were written by others. The screen
passes everything it writes through `visible`; JSON keeps every character, as an escape. Prints nothing
itself.
"""

from __future__ import annotations

import re

# Ranges of code points. Private use and unassigned ones are left alone: they show as a glyph or box.
_CONTROLS = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff"
_BREAKS = "\x0b-\x0d\x1c-\x1f\x85\u2028\u2029"
_HIDDEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Bidirectional controls, zero-width spaces, invisible letters, tags (Unicode's
Default_Ignorable_Code_Point, except for the joiners)."""
_JOINERS = "\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f"
"""Joiners and variation selectors, which shape the characters around them."""
_JOINED = (
    "\u0600-\u180a\u1810-\u1cff\u20e3\u2190-\u2bff\u3030\u303d\u3297\u3299\ua840-\uabff"
    "\ufb50-\ufdff\ufe0f\ufe70-\ufefc\U00010a00-\U00011fff\U0001f000-\U0001faff"
)
"""What they may shape: Arabic, the Indic scripts and their neighbours, Mongolian, emoji."""

_CONTROL = re.compile(f"[{_CONTROLS}]")
_BREAK = re.compile(f"[{_BREAKS}]")
_INVISIBLE = re.compile(f"[{_HIDDEN}]")
_KEYCAP = "(?<=[#*0-9])\ufe0f\u20e3"
_STRAY = re.compile(
    f"(?<![{_JOINED}])(?!{_KEYCAP})[{_JOINERS}]+|(?<=[{_JOINERS}]{{2}})[{_JOINERS}]+"
)
_ESCAPED = re.compile(f"[{_CONTROLS}{_BREAKS}{_HIDDEN}{_JOINERS}]")
_SPACE = re.compile(r"\s+")


def visible(text: str) -> str:
    """Text as it may go to a terminal or a file that is read as text.

    Control characters become question marks, line ends other than "\\n" become spaces, and characters
    without width are dropped, unless they join letters or emoji that need them (as in Persian).
    """
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROL.sub("?", _BREAK.sub(" ", _INVISIBLE.sub("", text)))
    return _STRAY.sub("", text)


def one_line(text: str) -> str:
    """Visible text without line ends, and with single spaces."""
    return _SPACE.sub(" ", visible(text)).strip()


def escaped(dumped: str) -> str:
    """JSON text with the same meaning, in which everything that `visible` would change is escaped."""
    if dumped.isascii() and "\x7f" not in dumped:
        return dumped
    return _ESCAPED.sub(_escape, dumped)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
