"""Torch is not loaded ahead for a command that only fails."""

from __future__ import annotations

from typing import Any

import pytest

from mplus_cli.commands import common


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that torch would have been loaded ahead."""
    begun: list[int] = []
    monkeypatch.setattr(common, "load_torch_ahead", lambda: begun.append(1))
    return begun


@pytest.mark.parametrize(
    "line",
    [
        ("ask", "Who?", "-m", "nosuch"),
        ("ask", " ", "-m", "book"),
        ("ask", "Who?", "-m", "book", "--json", "--jsonl"),
        ("ask", "Who?", "-m", "book", "--top-p", "7"),
        ("find", "lamp", "-m", "nosuch"),
        ("find", "?!", "-m", "book"),
        ("chat", "nosuch"),
        ("chat", "book", "-m", "other"),
        ("chat", "--continue", "-m", "book"),
    ],
)
def test_not_before_the_command_line_is_known_to_be_sound(
    mplus: Any, book: str, loads: list[int], line: tuple[str, ...]
) -> None:
    result = mplus(*line)
    assert result.code != 0 and result.error
    assert not loads


@pytest.mark.parametrize("line", [("ask", "Who?"), ("find", "lamp"), ("chat",)])
def test_where_there_is_a_memory(
    mplus: Any, book: str, loads: list[int], line: tuple[str, ...]
) -> None:
    mplus(*line, "-m", book)
    mplus(*line)  # the only one
    assert loads == [1, 1]
