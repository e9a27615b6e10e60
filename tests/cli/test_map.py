"""`mplus memory map`: the strip of chapters, what the last question rested on, and the page."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from models.scan import ChunkScore
from mplus_cli.api import Mplus
from mplus_cli.asking.heat import as_ranked
from mplus_cli.library import Library, MemoryMap, StoredMemory
from mplus_cli.library.mapping import draw_map
from mplus_cli.runtime.model_info import map_json
from mplus_cli.terminal.map_page import QuestionHeat, map_page
from mplus_cli.terminal.map_view import map_picture

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e & <b>'
CHAPTERS = (
    "# The Lamp\n\nOrla Finch kept the lighthouse. She lit the lamp with a brass key every night.\n\n"
    "# The Storm\n\nIn March the storm took the boat, and a sailor named Pim swam to the rocks.\n"
)


def memory(name: str) -> StoredMemory:
    return Library(Path(os.environ["MPLUS_HOME"])).open(name)


class Page(HTMLParser):
    """The elements of a page, and the text of its passages."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def chapters(mplus: Any, tiny: Path, tmp_path: Path) -> str:
    """A memory of a document in chapters, called something that no page should believe."""
    path = tmp_path / "chapters.md"
    path.write_text(CHAPTERS * 3)
    assert mplus("ingest", path, "-m", "log", "-q", "--title", HOSTILE).code == 0
    return "log"


def test_what_the_last_question_rested_on(mplus: Any, chapters: str) -> None:
    assert "swam" not in mplus("memory", "map", chapters).out
    assert mplus("memory", "map", chapters, "--json").json["question"] is None
    asked = mplus("ask", "Who swam to the rocks?", "-m", chapters, "--json").json
    rested = [source["chunk"] for source in asked["sources"]]
    drawn = mplus("memory", "map", chapters, "--json").json
    assert (drawn["question"], drawn["consulted"]) == ("Who swam to the rocks?", rested)
    out = mplus("memory", "map", chapters).out
    assert "Who swam to the rocks?" in out
    heading, strip = out.splitlines()[:2]
    assert "6 chapters" in heading and "│" in strip
    assert "│ chapter break" in out and "1 2 3 best passages for the question" in out
    assert re.search(r"^ *[1-3] *[1-3]? *[1-3]?$", out, re.MULTILINE)
    (line,) = (line for line in out.splitlines() if line.startswith("1  "))
    assert "The " in line
    mplus("chat", "-m", chapters, stdin="Who kept the lighthouse?\n")
    assert mplus("memory", "map", chapters, "--json").json["question"] == "Who kept the lighthouse?"


def test_what_is_not_known(mplus: Any, chapters: str) -> None:
    """Of a question that was not kept, and of one before a document left, whose chunks had other numbers."""

    def question() -> Any:
        return mplus("memory", "map", chapters, "--json").json["question"]

    assert mplus("config", "set", "history", "false").code == 0
    mplus("ask", "Who swam?", "-m", chapters, "--json")
    assert question() is None
    assert mplus("config", "set", "history", "true").code == 0
    mplus("ask", "Who swam?", "-m", chapters, "--json")
    assert question() == "Who swam?"
    assert mplus("ingest", "-", "-m", chapters, "-q", stdin="A goat.").code == 0
    assert question() == "Who swam?"
    assert mplus("memory", "rm-document", chapters, "2", "-y").code == 0
    assert question() is None


def test_the_last_question_of_another_memory_is_not_shown(
    mplus: Any, chapters: str, tmp_path: Path
) -> None:
    """Names change hands; a memory of the same document, by its texts, is as good as the one asked."""
    (tmp_path / "ships.md").write_text(
        "# The Ship\n\nThe whale was white, and sank the ship.\n" * 9
    )
    options = ("-m", "ships", "-q", "--title", HOSTILE)
    assert mplus("ingest", tmp_path / "ships.md", *options).code == 0
    mplus("ask", "Who swam?", "-m", chapters, "--json")
    assert mplus("memory", "rename", chapters, "old").code == 0
    assert mplus("memory", "rename", "ships", chapters).code == 0
    drawn = mplus("memory", "map", chapters, "--json").json
    assert (drawn["question"], drawn["consulted"]) == (None, [])


def test_a_commit_while_a_question_is_measured(
    mplus: Any, chapters: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mplus_cli.asking import heat

    measure = heat.measure_heat
    (tmp_path / "more.txt").write_text("A goat ate the rope of the boat. " * 20)
    home, model = Path(os.environ["MPLUS_HOME"]), os.environ["MPLUS_MODEL"]
    before = memory(chapters).view().chunks

    def slow(*arguments: Any) -> Any:
        Mplus(home, model=model).memory(chapters).read(tmp_path / "more.txt")
        return measure(*arguments)

    monkeypatch.setattr(heat, "measure_heat", slow)
    asked = ("memory", "map", chapters, "--question", "Who swam to the rocks?")
    result = mplus(*asked, "--json", "--html", tmp_path / "map.html")
    assert result.code == 0
    assert sum(len(document["chunks"]) for document in result.json["documents"]) == before
    assert memory(chapters).view().chunks > before


def test_the_heat_of_a_question(mplus: Any, chapters: str) -> None:
    drawn = mplus("memory", "map", chapters, "--json", "--question", "Who swam to the rocks?").json
    fits = {c["chunk"]: c["fit"] for d in drawn["documents"] for c in d["chunks"]}
    assert sorted(fits) == list(range(len(fits)))
    assert (min(fits.values()), max(fits.values())) == (0, 1)
    assert fits[drawn["consulted"][0]] == 1
    found = mplus("find", "Who swam to the rocks?", "-m", chapters, "-n", "1", "--json")
    assert found.code == 1 or found.json[0]["chunk"] == drawn["consulted"][0]
    assert mplus("memory", "map", chapters, "--question", " ").code == 2


def test_the_colours_follow_the_order_of_the_passages() -> None:
    """The best chunks are ranked again, and the search passes over some: -inf is in memory no more."""
    scores = torch.tensor([5.0, 4.0, 3.0, -torch.inf, 2.0, 4.5])
    ranked = (ChunkScore(1, 3.75), ChunkScore(0, 3.5), ChunkScore(2, 1.0))
    assert as_ranked(scores, ranked).tolist() == [3.5, 3.75, 1.0, -torch.inf, 0.0, 1.0]
    assert as_ranked(scores, ()) is scores


@pytest.mark.parametrize("question", [None, HOSTILE])
def test_the_page(mplus: Any, chapters: str, tmp_path: Path, question: str | None) -> None:
    file = tmp_path / "map.html"
    asked = ["--question", question] if question else []
    assert mplus("memory", "map", chapters, "--html", file, *asked).code == 0
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    cells = page.all("button")
    assert len(cells) == memory(chapters).view().chunks
    assert ("fit" in str(cells[0].get("style"))) == bool(question)
    assert len(page.all("section")) == 6
    assert "Orla Finch kept the lighthouse." in " ".join(page.text)
    # Nothing of it is believed, and nothing is fetched.
    assert [name for name, _ in page.elements if name in ("img", "link", "iframe", "a")] == []
    assert len(page.all("script")) == 1
    names = {key for _, attributes in page.elements for key in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href")}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "\u202e" not in text
    again = mplus("memory", "map", chapters, "--html", file)
    assert (again.code, "--force" in again.error) == (2, True)
    assert mplus("memory", "map", chapters, "--html", file, "--force").code == 0


def legend(drawn: MemoryMap, *, unicode: bool, consulted: tuple[int, ...] = ()) -> tuple[str, str]:
    """What is drawn, and what the line below it explains."""
    screen = Console(width=200, record=True, file=io.StringIO())
    question = "Who?" if consulted else None
    screen.print(map_picture(drawn, 120, unicode=unicode, question=question, consulted=consulted))
    lines = screen.export_text().splitlines()
    last = lines.index("question: Who?") - 2 if consulted else len(lines) - 1
    return "".join(lines[1 : last - 1]), lines[last].rstrip()


@pytest.mark.parametrize("unicode", [True, False])
def test_the_legend_explains_what_is_drawn_and_nothing_else(
    mplus: Any, chapters: str, unicode: bool
) -> None:
    """Whatever shares of a chunk's memory tokens are short-term."""
    drawn = draw_map(memory(chapters))
    meanings = {
        " ."[not unicode]: "forgotten",
        "░-"[not unicode]: "long-term memory",
        "▒="[not unicode]: "partly short-term",
        "▓*"[not unicode]: "partly short-term",
        "█#"[not unicode]: "short-term memory",
        "│|"[not unicode]: "chapter break",
    }
    tokens = ((0, 0), (0, 8), (1, 7), (4, 4), (8, 0))
    for few in product(tokens, repeat=2):
        shares = cycle(few)
        chunks = tuple(
            replace(chunk, stm_tokens=short, ltm_tokens=long)
            for chunk, (short, long) in zip(drawn.chunks, shares, strict=False)
        )
        strip, told = legend(replace(drawn, chunks=chunks), unicode=unicode)
        for mark, meaning in meanings.items():
            named = mark in told.split()
            assert (meaning in told) if mark in strip else not named, (strip, told)
    assert "passage" not in told
    first = legend(drawn, unicode=unicode, consulted=(0,))[1]
    assert first.endswith("   1 best passage for the question")
    last = len(drawn.chunks) - 1
    assert "1 2 best passages" in legend(drawn, unicode=unicode, consulted=(0, last))[1]


def test_the_legend_of_the_page(mplus: Any, chapters: str) -> None:
    drawn = draw_map(memory(chapters))
    bare = replace(drawn, chunks=tuple(replace(one, place=None) for one in drawn.chunks))
    long = replace(bare, chunks=tuple(replace(one, stm_tokens=0) for one in bare.chunks))
    for shown, lit, told in (
        (drawn, None, ("Blue:", "a chapter")),
        (bare, None, ("Blue:",)),
        (long, None, ()),
        (drawn, QuestionHeat("Who?", (0,)), ("Framed:", "a chapter")),
        (drawn, QuestionHeat("Who?", (), (0.0,) * len(drawn.chunks)), ("redder", "a chapter")),
    ):
        page = map_page("log", shown, [""] * len(shown.chunks), lit)
        (line,) = re.findall(r'<p class="dim">memory log: (.*)</p>', page)
        for words in ("Blue:", "Framed:", "redder", "a chapter"):
            assert (words in line) == (words in told), line


def test_floats_are_rounded(mplus: Any, chapters: str) -> None:
    drawn = draw_map(memory(chapters))
    torn = [replace(chunk, stm_tokens=1 / 3, ltm_tokens=20 / 3) for chunk in drawn.chunks]
    told = map_json("log", replace(drawn, chunks=tuple(torn)), fits=[2 / 3] * len(torn))
    first = told["documents"][0]["chunks"][0]
    assert (first["stm_tokens"], first["ltm_tokens"], first["fit"]) == (0.33, 6.67, 0.6667)
