"""Merging: what reading the same documents in this order gives, byte for byte, also when broken off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import settings
from mplus_cli.api import Mplus
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.ingest import merging, pipeline
from mplus_cli.ingest.events import (
    ChunkRead,
    Committed,
    DocumentFinished,
    DocumentStarted,
    MergeStarted,
)
from mplus_cli.ingest.job import Report, plan
from mplus_cli.library import ModelIdentity, StoredMemory

TEXTS = {
    "alpha": "The keeper of the lighthouse was called Orla Finch. She kept a goat. " * 12,
    "beta": "The whale was white. Its name was Moby, and it sank the ship. " * 14,
}


@pytest.fixture
def mplus(tiny_checkpoint_folder: Path, tmp_path: Path) -> Mplus:
    """Two memories of one document each, and one that has read both."""
    made = Mplus(tmp_path / "home", model=str(tiny_checkpoint_folder), device="cpu", offline=True)
    for name, text in TEXTS.items():
        path = tmp_path / f"{name}.txt"
        path.write_text(text)
        made.memory(name).read(path)
        made.memory("both").read(path)
    return made


def merge(mplus: Mplus, name: str, *others: str) -> tuple[Report, Iterator[Any]]:
    report = Report(name)
    return report, merging.merge(mplus.library, mplus.loader.session, others, report)


def files_of(mplus: Mplus, name: str) -> dict[str, bytes]:
    folder = mplus.library.open(name).folder
    return {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


def test_a_report_is_completed_by_the_memory_that_was_read_into(mplus: Mplus) -> None:
    report = Report("both", seconds=1.0)
    held = mplus.library.open("both").summary()
    report.complete(held, 0.25)
    assert (report.tokens, report.stm_tokens) == (held.tokens, held.stm_tokens)
    assert (report.ltm_tokens, report.seconds) == (held.ltm_tokens, 1.25)


def test_a_merged_memory_is_that_of_reading_both(mplus: Mplus) -> None:
    report, events = merge(mplus, "merged", "alpha", "beta")
    first, *rest = events
    beta = mplus.library.open("beta").documents()[0]
    assert first == MergeStarted("merged", "alpha", 1, beta.chunks, beta.tokens)
    read = [event for event in rest if isinstance(event, DocumentFinished)]
    assert [(event.status, event.index, event.total) for event in read] == [("read", 1, 2)]
    assert [document["status"] for document in report.documents] == ["already-read", "read"]
    assert report.exit_code == 0
    assert files_of(mplus, "merged") == files_of(mplus, "both")
    rows = [
        [(row.title, row.sha256, row.chunks) for row in mplus.library.open(name).documents()]
        for name in ("merged", "both")
    ]
    assert rows[0] == rows[1]
    texts = [mplus.library.open(name).texts(4) for name in ("merged", "both")]
    assert texts[0] == texts[1]
    again, events = merge(mplus, "merged", "beta", "alpha")
    assert next(events) == MergeStarted("merged", None, 0, 0, 0)
    assert {event.status for event in events} == {"already-read"} and again.exit_code == 0


def test_a_merged_memory_begins_as_no_copy_of_another_model_or_order(
    mplus: Mplus, monkeypatch: pytest.MonkeyPatch
) -> None:
    mplus.library.open("alpha").put_note("mine")
    started, *_ = merge(mplus, "noted", "alpha", "beta")[1]
    assert started.copied == "alpha" and mplus.library.open("noted").view().note is None
    monkeypatch.setattr(ModelIdentity, "wrote", lambda self, memory: False)
    started = next(merge(mplus, "other", "alpha", "beta")[1])
    assert (started.copied, started.documents) == (None, 2)


@pytest.mark.parametrize("others", [("alpha", "beta"), ("alpha", "both")])
def test_what_the_first_has_read_meanwhile_takes_no_other_s_place(
    mplus: Mplus, tmp_path: Path, others: tuple[str, str]
) -> None:
    """Another process finishes a document between the list and the copy."""
    late = tmp_path / "gamma.txt"
    late.write_text("The ferry leaves at noon. " * 9)

    def session_for(stored: Any) -> Any:
        mplus.memory("alpha").read(late)
        return mplus.loader.session(stored)

    report = Report("merged")
    events = list(merging.merge(mplus.library, session_for, others, report))
    titles = [row.title for row in mplus.library.open("merged").documents()]
    assert titles == ["Alpha", "Gamma", "Beta"]
    told = [(document["title"], document["status"]) for document in report.documents]
    assert told == [("Alpha", "already-read"), ("Gamma", "already-read"), ("Beta", "read")]
    assert (events[0].documents, events[-1].index, events[-1].total) == (1, 2, 3)


def test_a_copy_of_a_document_that_is_being_read_is_none(
    mplus: Mplus, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = merging._is_in_order, []

    def is_in_order(stored: StoredMemory) -> bool:
        asked.append(stored.name)
        return stored.name != "merged" and real(stored)

    monkeypatch.setattr(merging, "_is_in_order", is_in_order)
    report, events = merge(mplus, "merged", "alpha", "beta")
    assert next(events).copied is None and asked == ["alpha", "merged"]
    list(events)
    assert [document["status"] for document in report.documents] == ["read", "read"]
    assert files_of(mplus, "merged") == files_of(mplus, "both")


def test_a_merge_that_was_broken_off_goes_on(mplus: Mplus) -> None:
    _, events = merge(mplus, "merged", "alpha", "beta")
    read = 0
    for event in events:
        read += isinstance(event, ChunkRead)
        if read == 3:
            events.close()  # type: ignore[attr-defined]
    list(merge(mplus, "merged", "alpha", "beta")[1])
    assert files_of(mplus, "merged") == files_of(mplus, "both")


def test_a_half_that_was_cut_otherwise_is_named(
    mplus: Mplus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = pipeline.split_chunks
    with monkeypatch.context() as earlier:
        earlier.setattr(pipeline, "COMMIT_CHUNKS", 2)
        earlier.setattr(pipeline, "split_chunks", lambda *given: cut(*given)[1:])
        events = mplus.memory("half").reading(plan([str(tmp_path / "beta.txt")], progress=print))
        while not isinstance(next(events), Committed):
            pass
        events.close()  # type: ignore[attr-defined]
    _, events = merge(mplus, "half", "beta")
    (started,) = [event for event in events if isinstance(event, DocumentStarted)]
    (warning,) = started.warnings
    assert warning.endswith("remove it with mplus memory rm-document half 1")
    assert [row.complete for row in mplus.library.open("half").documents()] == [False, True]


def test_what_is_left_out_is_reported(mplus: Mplus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is cut into other tokens now; the other document is read all the same."""
    real = merging.pieces_again

    def refuse(document: Any, *rest: Any) -> Any:
        if document.title == "Beta":
            raise MplusError("Beta cannot be read again as it was")
        return real(document, *rest)

    monkeypatch.setattr(merging, "pieces_again", refuse)
    report, events = merge(mplus, "merged", "alpha", "beta")
    list(events)
    assert report.exit_code == 4
    assert [row.title for row in mplus.library.open("merged").documents()] == ["Alpha"]


def test_what_cannot_be_merged(mplus: Mplus) -> None:
    mplus.library.create("empty", mplus.library.open("alpha").identity)
    for others, said in (
        (("merged",), "merged into itself"),
        (("gone",), "there is no memory"),
        (("empty",), "is empty"),
    ):
        with pytest.raises((UsageError, MplusError), match=said):
            list(merge(mplus, "merged", *others)[1])
    assert "merged" not in mplus.library.names()
    assert settings.DEFAULT_MEMORY not in mplus.library.names()
