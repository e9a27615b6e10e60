"""A question that names one of several documents by its title is answered from that one."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import settings
from mplus_cli.asking.narrowing import scope_of
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question
from mplus_cli.library import chunk_rows
from mplus_cli.runtime.session import open_session

SHORT = ("--max-new-tokens", "4")
WALDEN = "The Woods of Walden"
NOTE = f'Only "{WALDEN}" was searched, as the question names it.'


@pytest.fixture
def shelf(mplus: Any, tiny: Path, tmp_path: Path) -> str:
    """Two books in which the same things happen, each with its title and author, in two chapters: one in
    Markdown, and plain text that has them in its first lines."""
    paths = [tmp_path / "one.md", tmp_path / "pg158.txt"]
    for path, name, front, chapter in (
        (paths[0], "Pim", f"---\ntitle: {WALDEN}\nauthor: H. Thoreau\n---", "## Chapter"),
        (paths[1], "Emma", "EMMA\n\nby J. Austen\n\nPreface\n\nOnce.", "Chapter"),
    ):
        told = f"{name} fed the goat at the lamp. “Well,” said {name}, and fed the goat.\n\n" * 9
        path.write_text(f"{front}\n\n{chapter} 1\n\n{told}{chapter} 2\n\n{told}")
    assert mplus("ingest", *paths, "-m", "shelf", "-q").code == 0
    return "shelf"


def test_a_title_names_a_document(mplus: Any, shelf: str, tmp_path: Path) -> None:
    line = ("ask", "In The Woods of Walden, who fed the goat at the lamp?", "-m", shelf, *SHORT)
    answer = mplus(*line, "--json").json
    assert {source["document"] for source in answer["sources"]} == {WALDEN}
    assert answer["note"] == NOTE
    assert NOTE in mplus(*line).err
    for form in ("--json", "--jsonl"):
        result = mplus("find", "In The Woods of Walden, who fed the goat?", "-m", shelf, form)
        found = result.json if form == "--json" else map(json.loads, result.out.splitlines())
        assert {(source["document"], source["note"]) for source in found} == {(WALDEN, NOTE)}
        assert NOTE in result.err
    page = mplus(
        "ask",
        "Who fed the goat in chapter 9 of The Woods of Walden?",
        "-m",
        shelf,
        *SHORT,
        "--json",
    )
    assert (
        page.json["note"] == f"{NOTE} No chapter 9 was found, so the search was not limited to it."
    )
    asked = ("ask", "Who fed the goat in the last chapter of The Woods of Walden?", "-m", shelf)
    last = mplus(*asked, *SHORT, "--json").json
    sections = {tuple(source["quote_place"]["section"]) for source in last["sources"]}
    assert (last["note"], sections) == (NOTE, {("Chapter 2",)})
    page_file = tmp_path / "map.html"
    asked = ("--question", "In The Woods of Walden, who fed the goat?", "--html", page_file)
    heat = mplus("memory", "map", shelf, *asked, "--json")
    assert f'<p class="dim">{escape(NOTE)}</p>' in page_file.read_text(encoding="utf-8")
    assert (heat.json["note"], NOTE in heat.err) == (NOTE, True)
    consulted = set(heat.json["consulted"])
    walden, emma = (document["chunks"] for document in heat.json["documents"])
    assert consulted <= {c["chunk"] for c in walden}
    assert max(c["fit"] for c in walden) == 1 and not any(c["fit"] for c in emma)
    asked = ("--question", "Who fed the goat in the last chapter of The Woods of Walden?")
    heat = mplus("memory", "map", shelf, *asked, "--json")
    warm = [c for document in heat.json["documents"] for c in document["chunks"] if c["fit"]]
    assert heat.json["consulted"][0] in [c["chunk"] for c in warm]
    assert all("Chapter 2" in str(c["place"]) for c in warm)


def test_texts_are_read_once_for_all_titles(
    mplus: Any, shelf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many documents the memory has, and however many of them a question names."""
    for title in ("The Woods of Ulm", "Ilium"):
        path = tmp_path / f"{title}.txt"
        path.write_text(f"{title} has a lamp. " * 20)
        assert mplus("ingest", path, "-m", shelf, "--title", title, "-q").code == 0
    session = open_session(
        settings.resolve(settings.Flags()), note=lambda _: None, progress=lambda *_: None
    )
    opened = load_memory(session, session.library.open(shelf))
    reads = []
    read_below = chunk_rows._read_below
    monkeypatch.setattr(
        chunk_rows, "_read_below", lambda *given: reads.append(1) or read_below(*given)
    )
    asked = Question("Who fed the goat at The Woods of Walden, The Woods of Ulm, or in Ilium?")
    scope = scope_of(session, opened, asked)
    assert [row.title for row in scope.documents] == [WALDEN, "The Woods of Ulm", "Ilium"]
    assert len(scope.question.documents) == 3 and len(reads) == 1


def test_a_person_is_no_title(mplus: Any, shelf: str) -> None:
    for question in ("In Emma, who fed the goat?", "Who fed the goat?"):
        assert mplus("ask", question, "-m", shelf, "--json", *SHORT).json["note"] is None
    quoted = mplus("ask", "Who fed the goat in “Emma”?", "-m", shelf, "--json", *SHORT).json
    assert {source["document"] for source in quoted["sources"]} == {"Emma"}
    named = ("--document", WALDEN, "--json", *SHORT)
    asked = mplus("ask", "Who fed the goat in “Emma”?", "-m", shelf, *named).json
    assert {source["document"] for source in asked["sources"]} == {WALDEN}
    assert asked["note"] is None


def test_what_a_document_that_is_named_says_of_itself(
    mplus: Any, shelf: str, tmp_path: Path
) -> None:
    answers = {
        "Who wrote The Woods of Walden?": "H. Thoreau",
        "Who is the author of “Emma”?": "J. Austen",
        "How many chapters does Emma have?": "2 chapters (by the headings)",
        "How many chapters are there?": f"{WALDEN}: 2 chapters; Emma: 2 chapters (by the headings)",
        "What is the title?": f"{WALDEN}; Emma",
    }
    for question, answer in answers.items():
        told = mplus("ask", question, "-m", shelf, "--json").json
        assert (told["answer"], told["reason"], told["note"]) == (answer, "about", None)
    files = (tmp_path / "one.md", tmp_path / "pg158.txt")
    previews = mplus("ingest", "--dry-run", *files, "--json").json["documents"]
    assert [one["chapters"] for one in previews] == [2, 2], "the preface is no chapter here either"
    assert mplus("memory", "map", shelf).out.count("2 chapters") == 2
    told = mplus("ask", "How does The Woods of Walden end?", "-m", shelf, "--json").json
    assert told["reason"] == "whole"
    assert {source["document"] for source in told["sources"]} == {WALDEN}
