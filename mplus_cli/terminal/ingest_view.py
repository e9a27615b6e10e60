"""Shows the reading of documents: a meter, a line per document, a summary. Prints through the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cache

from mplus_cli.ingest.changed import Replacement
from mplus_cli.ingest.events import (
    ChunkRead,
    Committed,
    DocumentFailed,
    DocumentFinished,
    DocumentStarted,
    Event,
    MergeStarted,
    Rebuilt,
    Reread,
    event_to_json,
)
from mplus_cli.ingest.job import Report
from mplus_cli.ingest.shelf import BookEvent, BookFinished, BookProgress
from mplus_cli.terminal import capabilities, screen
from mplus_cli.terminal.meter import Meter
from mplus_cli.wording import count, reading_cost


def summary_line(report: Report) -> str:
    """A line about what was read and what the memory holds now."""
    read = sum(1 for document in report.documents if document["status"] == "read")
    failed = len(report.failed)
    parts = [
        f"{count(read, 'document')} read" if read else "nothing new",
        *([f"{count(failed, 'document')} not read"] if failed else []),
    ]
    return (
        f'memory "{report.memory}": {", ".join(parts)}; it holds {count(report.tokens, "token")} of '
        f"text as {report.stm_tokens:,} short-term and {report.ltm_tokens:,} long-term "
        f"memory tokens ({report.seconds:,.0f} s)"
    )


def show_event(event: Event) -> None:
    """An event of a reading as a line of JSON."""
    screen.json_line(event_to_json(event))
    screen.flush()


def show_report(report: Report) -> None:
    """The last line of JSON: the outcome for every document."""
    screen.json_line({"event": "report", **report.to_json()})


class IngestView:
    """Shows events as they come.

    Args:
        title: what the documents are to be called.
        pace: gives the seconds that reading a token takes, None if that is not known. It takes a moment:
            it is asked once, and only where the answer is shown.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        title: str | None = None,
        pace: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._meter = meter
        self._pace = cache(pace)
        self._title = title
        self._document: DocumentStarted | None = None
        self._label = ""
        self._started = 0.0
        self._first_tokens: int | None = None
        self._kept = 0
        self._rebuilding = False

    def show(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, DocumentStarted):
            self._begin(event)
        elif isinstance(event, ChunkRead):
            self._advance(event)
        elif isinstance(event, DocumentFinished):
            self._finish(event)
        elif isinstance(event, DocumentFailed):
            if event.total > 1:
                self.fail(event.error)
        elif isinstance(event, Reread):
            self._reread(event)
        elif isinstance(event, Rebuilt):
            self._rebuilding = False
        elif isinstance(event, MergeStarted):
            self._merge(event)
        elif isinstance(event, Committed):
            self._kept = event.chunks_done
            if screen.is_verbose():
                self._meter.close()
                screen.detail(f"{event.chunks_done:,} of {event.chunks_total:,} chunks are kept")

    def note(self, text: str) -> None:
        """A line, unless quiet."""
        self._meter.close()
        screen.note(text)

    def asks_to_replace(self, found: Replacement) -> bool:
        """Ask whether to remove other versions of documents; no if nobody is there to answer."""
        self._meter.close()
        if screen.is_quiet() or not capabilities.is_interactive():
            return self.keeps_both(found)
        told, them = str(found), "it" if len(found.titles) == 1 else "them"
        others = count(found.others, "other document")
        cost = ""
        if found.others:
            cost = f" and read {others} again ({self._cost(found.chunks, found.tokens)})"
        wanted = screen.confirm(f"{told[:1].upper()}{told[1:]}. Replace {them}{cost}?")
        return wanted or self.keeps_both(found)

    def keeps_both(self, found: Replacement) -> bool:
        """Say that both versions are kept; returns that none is replaced."""
        self.note(found.kept)
        return False

    def summary(self, report: Report) -> None:
        """The last line."""
        self.note(summary_line(report))

    def kept(self) -> str:
        """How much is kept of work that is interrupted now; empty if nothing was begun."""
        if self._rebuilding:
            return "the memory is unchanged"
        if self._document is None:
            return ""
        of = count(self._document.chunks, "chunk")
        kept = f"{self._kept:,} of {of} {'is' if self._document.chunks == 1 else 'are'} kept"
        return f"{self._document.title}: {kept}; run the same command again to continue"

    def _reread(self, event: Reread) -> None:
        self._rebuilding = True
        if not event.chunks_total:
            return
        what = f"reading {count(event.documents, 'other document')} again"
        if not event.chunks_done and not screen.is_quiet():
            self.note(f"{what} ({self._cost(event.chunks_total, event.tokens)})")
        detail = f"{event.chunks_done}/{event.chunks_total}"
        self._meter.report(what, event.chunks_done, event.chunks_total, detail)

    def _merge(self, event: MergeStarted) -> None:
        if event.copied is not None:
            self.note(f'memory "{event.memory}" begins as a copy of "{event.copied}"')
        if event.documents and not screen.is_quiet():
            documents = count(event.documents, "document")
            self.note(f"reading {documents} again ({self._cost(event.chunks, event.tokens)})")

    def _cost(self, chunks: int, tokens: int) -> str:
        return reading_cost(chunks, tokens, self._pace())

    def _begin(self, event: DocumentStarted) -> None:
        self._document, self._kept = event, event.chunks_done
        self._started, self._first_tokens = time.monotonic(), None
        number = f" {event.index + 1}/{event.total}" if event.total > 1 else ""
        self._label = f"reading{number}"
        self.warn(event.warnings)
        size = [count(event.pages, "page")] if event.pages is not None else []
        size += [count(event.tokens, "token"), count(event.chunks, "chunk")]
        again = f"; resuming at chunk {event.chunks_done + 1}" if event.chunks_done else ""
        self.note(f"{self._label}: {event.title} ({', '.join(size)}){again}")
        self._meter.report(self._label, event.chunks_done, event.chunks)

    def _advance(self, event: ChunkRead) -> None:
        seconds = time.monotonic() - self._started
        if self._first_tokens is None:
            # The first chunk includes warm-up: speed is counted from its end.
            self._first_tokens, self._started = event.tokens_done, time.monotonic()
            speed = []
        else:
            rate = (event.tokens_done - self._first_tokens) / max(seconds, 1e-6)
            speed = [f"{rate:,.0f} tok/s"]
        page = [f"p. {event.page}"] if event.page is not None else []
        detail = [f"{event.chunks_done}/{event.chunks_total}", *page, *speed]
        self._meter.report(self._label, event.chunks_done, event.chunks_total, "  ".join(detail))

    def _finish(self, event: DocumentFinished) -> None:
        self._document = None
        if event.status == "already-read":
            kept = self._title not in (None, event.title)
            why = "; its title stays as it is" if kept else ""
            self.note(f"{event.title}: already read{why}")

    def fail(self, error: str) -> None:
        """A line about a document that could not be read, beside others."""
        self._meter.close()
        screen.failed(f"not read: {error}")

    def warn(self, warnings: Iterable[str]) -> None:
        """Warnings about what was not read, unless quiet."""
        for text in warnings:
            self._meter.close()
            screen.warning(text)


class ShelfView:
    """Shows several books that are read at once: one meter for all, and a line for each when it is
    done."""

    def __init__(self, meter: Meter, books: int) -> None:
        self._meter = meter
        self._books = books
        self._finished = 0
        self._under_way: dict[str, BookProgress] = {}

    def show(self, event: BookEvent) -> None:
        """Show an event."""
        if isinstance(event, BookFinished):
            self._finished += 1
            self._under_way.pop(event.name, None)
            self._meter.close()
            self._finish(event)
        else:
            self._under_way[event.name] = event
        if self._under_way:
            self._meter.report(
                f"reading {count(self._books, 'book')}",
                self._finished,
                self._books,
                "  ".join(_share(book) for book in self._under_way.values()),
            )

    def kept(self) -> str:
        """What is kept of work that is interrupted now; empty if nothing was begun."""
        if not (self._finished or self._under_way):
            return ""
        return "what was read is kept; run the same command again to continue"

    def _finish(self, event: BookFinished) -> None:
        for text in event.warnings:
            screen.warning(f"{event.name}: {text}")
        if event.error is not None:
            screen.failed(f'memory "{event.name}": {event.error}')
            return
        for document in event.report.failed:
            screen.failed(f"not read: {document['error']}")
        if not event.report.is_hopeless:
            screen.note(summary_line(event.report))


def _share(book: BookProgress) -> str:
    """ "emma 40 %"."""
    if not book.chunks_total:
        return f"{book.name} ..."
    return f"{book.name} {book.chunks_done * 100 // book.chunks_total} %"
