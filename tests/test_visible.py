"""Text from elsewhere on its way to a terminal: what is left of it, and what must be."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from mplus_cli.terminal.consoles import VisibleConsole
from mplus_cli.visible import escaped, one_line, visible

ANYTHING = st.text(st.characters(exclude_categories=()))
JOINERS = "\u200c\u200d\ufe0e\ufe0f"
INKED = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")
"""Scripts whose formatting characters are signs of their own."""


def unseen(text: str) -> list[str]:
    """The characters of a text that steer, reorder or hide."""
    return [
        f"U+{ord(character):04X}"
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and character not in "\n\t" + JOINERS
        and (not unicodedata.name(character, "").startswith(INKED) or character == "\u061c")
    ]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain text\n\twith lines", "plain text\n\twith lines"),
        ("\x1b]52;c;aGFjaw==\x07", "?]52;c;aGFjaw==?"),
        ("\x9b31mred\x9d0;title\x9c", "?31mred?0;title?"),
        ("over\rwritten\x0bdown\x0cpage\x1c\x1d\x1e\x1f\x85\u2028\u2029.", "over written down page       ."),
        ("invoice\u202efdp.exe\u202c \u2066x\u2069", "invoicefdp.exe x"),
        ("pay\u200bpal\u200d\u200c \ufeffand\u2060 so\u00adon", "paypal and soon"),
        ("half \ud83d of a character", "half ? of a character"),
        ("hidden\U000e0041\U000e0042 tags\U000e0100", "hidden tags"),
        ("blank \u3164letter\uffa0", "blank letter"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("family 👩\u200d👩\u200d👧, heart ❤\ufe0f, flag 🏳\ufe0f\u200d🌈", None),
        ("keycap 1\ufe0f\u20e3 but 1\ufe0f2", "keycap 1\ufe0f\u20e3 but 12"),
        ("👩" + "\ufe0f" * 40, "👩\ufe0f\ufe0f"),
        ("naïve, ½, 漢字, עברית, \u00a0 wide", None),
    ],
)  # fmt: skip
def test_what_is_left(text: str, seen: str | None) -> None:
    assert visible(text) == (text if seen is None else seen)


@given(ANYTHING)
def test_nothing_unseen_is_left(text: str) -> None:
    once = visible(text)
    assert unseen(once) == []
    assert visible(once) == once
    assert not {"\n", "\t"} & set(one_line(text))


@given(st.recursive(ANYTHING, lambda inner: st.dictionaries(ANYTHING, inner, max_size=3)))
def test_json_keeps_every_character(value: object) -> None:
    dumped = escaped(json.dumps(value, indent=2, ensure_ascii=False))
    assert unseen(dumped) == []
    assert not set(JOINERS) & set(dumped)
    assert json.loads(dumped) == value


def test_a_console_draws_in_our_styles_only() -> None:
    from rich.markdown import Markdown
    from rich.text import Text

    table = Table("\x1b]0;title\x07", caption="\x9b2J")
    table.add_row(Text("\x1b[8;77mcell\u202e"), "&#x202e;")
    console = VisibleConsole(file=io.StringIO(), force_terminal=True, width=60)
    console.print(table, "\x1b]52;c;x\x07", style="bold")
    console.print(Markdown("a [link](https://example.org/\x07) &#x202e;&#x200b; `\x1b[8;77m`"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1m" in shown
    assert not any(bad in shown for bad in ("\x1b]", "\x07", "\x9b", "\x1b[8", "\u202e", "\u200b"))
