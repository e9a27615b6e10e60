"""A question that names a page or a chapter is answered from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.asking.whole import PART_NOT_TOLD

SHORT = ("--max-new-tokens", "4")
NAMES = ("Orla", "Pim", "Tibb")


@pytest.fixture
def paged(mplus: Any, tiny: Path, make_pdf: Callable[..., Path]) -> str:
    pages = [
        ". ".join(f"{name} fed the goat at the lamp {n} times" for n in range(12)) for name in NAMES
    ]
    assert mplus("ingest", make_pdf("log.pdf", *pages), "-m", "log", "-q").code == 0
    return "log"


def test_a_page_is_asked_alone(mplus: Any, paged: str) -> None:
    answer = mplus("ask", "Who fed the goat on page 2?", "-m", paged, "--json", *SHORT).json
    assert answer["sources"] and answer["note"] is None
    assert all(first <= 2 <= last for first, last in (s["pages"] for s in answer["sources"]))
    found = mplus("find", "the goat at the lamp on page 3", "-m", paged, "--json").json
    assert found and all(first <= 3 <= last for first, last in (s["pages"] for s in found))


def test_a_page_as_a_whole_is_shown_from_its_beginning(mplus: Any, paged: str) -> None:
    result = mplus("ask", "What is on page 2?", "-m", paged)
    assert (result.code, result.out) == (0, f"{PART_NOT_TOLD}\n")
    heading, passage = result.err.splitlines()[:2]
    assert heading == "  It begins:"
    assert passage.startswith("  Pim fed the goat at the lamp 0 times")
    answer = mplus("ask", "What is on page 2?", "-m", paged, "--json").json
    assert (answer["reason"], answer["refused"]) == ("part", True)
    assert answer["sources"][0]["quote_pages"] == [2, 2]
    (first, *_) = mplus("find", "page 2", "-m", paged, "--json").json
    assert first["quote"] == answer["sources"][0]["quote"]


def test_a_page_that_is_not_there_is_said_to_be_missing(mplus: Any, paged: str) -> None:
    line = ("ask", "Who fed the goat on page 900?", "-m", paged, *SHORT)
    answer = mplus(*line, "--json").json
    assert answer["note"] == "No page 900 was found, so the search was not limited to it."
    assert answer["note"] in mplus(*line).err
    found = mplus("find", "the goat at the lamp, page 900", "-m", paged, "--json")
    assert found.json[0]["note"] == answer["note"] and answer["note"] in found.err
