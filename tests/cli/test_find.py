"""`mplus find`, and asking about single documents."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from models.checkpoints import load
from models.decoder import Decoder
from mplus_cli.library import Library
from mplus_cli.library.seal import put_seals
from mplus_cli.runtime import session

KEY = "lit the lamp with a brass key"


@pytest.fixture
def shelf(mplus: Any, book: str, tmp_path: Path) -> str:
    """The short text and another one in the same memory."""
    other = tmp_path / "whales.txt"
    other.write_text("The whale was white. " * 6 + "Its name was Moby. It sank the ship.")
    assert mplus("ingest", other, "-m", book, "--title", "Of Whales", "-q").code == 0
    return book


def test_passages_without_an_answer(mplus: Any, book: str) -> None:
    result = mplus("find", KEY, "-m", book, "-n", "20")
    assert result.code == 0
    assert any("brass key" in line and line[0].isdigit() for line in result.out.splitlines())
    found = mplus("find", KEY, "-m", book, "-n", "20", "--json").json
    assert [source["quote"] for source in found if "brass" in source["quote"]]
    for source in found:
        start, stop = source["quote_span"]
        assert source["quote"] == source["text"][start:stop]
        assert source["answer_span"] is None
    lines = mplus("find", KEY, "-m", book, "-n", "20", "--jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == found
    assert len(mplus("find", KEY, "-m", book, "-n", "1", "--jsonl").out.splitlines()) <= 1


def test_nothing_near(mplus: Any, book: str) -> None:
    result = mplus("find", "zeppelin", "-m", book)
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[-1] == "Nothing close to this was found."
    assert mplus("find", "zeppelin", "-m", book, "--json").json == []
    assert mplus("find", "zeppelin", "-m", book, "--jsonl").out == ""
    assert "there are no words to look for" in mplus("find", " \n", "-m", book).error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-n", "0"], "-n is 0"),
        (["-n", "101"], "-n is 101: give a whole number from 1 to 100"),
        (["--json", "--jsonl"], "give one of them"),
        (["--document", "Emma"], 'there is no document "Emma"'),
    ],
)
def test_what_is_refused(mplus: Any, book: str, options: list[str], said: str) -> None:
    result = mplus("find", KEY, "-m", book, *options)
    assert result.code == 2
    assert said in result.error


def test_only_the_documents_named_are_asked(mplus: Any, shelf: str) -> None:
    for name in ("Of Whales", "of wh", "whales.txt"):
        asked = mplus("ask", "who?", "-m", shelf, "--document", name, "--json").json
        assert {source["document"] for source in asked["sources"]} == {"Of Whales"}
    found = mplus("find", KEY, "-m", shelf, "--document", "story", "-n", "50", "--json").json
    assert {source["document"] for source in found} == {"Story"}
    both = ("--document", "story", "--document", "Of Whales")
    asked = mplus("ask", "who?", "-m", shelf, *both, "--json").json
    whole = mplus("ask", "who?", "-m", shelf, "--json").json
    assert (asked["answer"], asked["sources"]) == (whole["answer"], whole["sources"])


def test_a_document_that_was_forgotten_is_not_answered_from_others(
    mplus: Any, tiny_but: Any, story: Path, tmp_path: Path
) -> None:
    """Its chunks have texts, but no tokens in memory any more."""
    tiny_but(ltm_capacity=8)
    other = tmp_path / "whales.txt"
    other.write_text("The whale was white. Its name was Moby. It sank the ship. " * 20)
    assert mplus("ingest", story, other, "-m", "book", "-q").code == 0
    for line in (["ask", "who?", "--reread", "2"], ["find", KEY]):
        result = mplus(*line, "-m", "book", "--document", "story")
        assert (result.code, result.out) == (2, "")
        assert "nothing from these documents is in memory" in result.error


def test_an_untrained_base_finds_by_the_question_s_words(
    mplus: Any, tiny_base_folder: Path, tmp_path: Path
) -> None:
    """Its own similarity tells little; here, with random weights, nothing."""
    pages = [f"Day {day}: the wind blew and the {day + 3} sheep slept. " * 9 for day in range(8)]
    pages[3] += "A zeppelin landed on the lawn. "
    book = tmp_path / "days.txt"
    book.write_text("\n\n".join(pages))
    chosen = ("--model", tiny_base_folder)
    assert mplus(*chosen, "ingest", book, "-m", "days", "-q").code == 0
    asked = ("What landed on the lawn?", "-m", "days", "--max-new-tokens", "1", "--json")
    sources = mplus(*chosen, "ask", *asked).json["sources"]
    assert "zeppelin" in sources[0]["text"]
    assert len(sources) == 3
    # A memory of the time when the fingerprint did not count what stands in front of chunks.
    memory = Library(Path(os.environ["MPLUS_HOME"])).open("days")
    (earlier,) = load(tiny_base_folder).earlier_fingerprints
    assert memory.identity.fingerprint != earlier
    with sqlite3.connect(memory.folder / "memory.db") as connection:
        connection.execute("UPDATE settings SET value = ? WHERE key = 'fingerprint'", (earlier,))
        put_seals(connection)
    assert mplus(*chosen, "ask", *asked).json["sources"] == sources
    assert mplus(*chosen, "ingest", book, "-m", "days", "-q").code == 0


def test_a_memory_of_another_model_is_refused_before_one_is_loaded(
    mplus: Any, book: str, tiny_but: Any, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is its base fetched, where the card shows already that it wrote other memories."""
    tiny_but(new_tokens=4)
    monkeypatch.setattr(session, "load_model", pytest.fail)
    lines = (("ask", "who?"), ("find", KEY), ("chat",), ("ingest", story))
    for line in (*lines, ("memory", "map", book, "--question", "who?")):
        refused = mplus(*line, *(() if line[0] == "memory" else ("-m", book)))
        assert refused.code == 3, line
        assert "was written by model tiny-checkpoint (" in refused.error
        assert "cannot be read with changed: use that model (--model)" in refused.error


def test_a_search_reads_the_retriever_s_share_of_the_model(
    mplus: Any, book: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layers below the retriever's last, under the adapter that writes; neither of the readers."""
    loaded, read, joined = [], set[tuple[str, int]](), Decoder.joined

    def load_model(*args: Any, **options: Any) -> Any:
        loaded.append(loading(*args, **options))
        return loaded[-1]

    def watched(decoder: Decoder, index: int, *args: Any) -> Any:
        model = loaded[0].model
        known = {id(model.update): "update", id(model.generate): "generate"}
        read.add((known.get(id(decoder), "text"), index))
        return joined(decoder, index, *args)

    loading = session.load_model
    monkeypatch.setattr(session, "load_model", load_model)
    monkeypatch.setattr(Decoder, "joined", watched)
    assert mplus("find", KEY, "-m", book).code == 0
    model = loaded[0].model
    assert model.retriever.layers[-1] < model.update.layers
    assert read == {("update", index) for index in range(model.retriever.layers[-1])}
    loaded.clear()
    assert mplus("ask", KEY, "-m", book, "--max-new-tokens", "2").code == 0
    assert {which for which, _ in read} == {"update", "generate"}, "what the watch can see"
