"""`mplus memory rm-document`, `merge` and `export`: the documents of a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mplus_cli.commands.common import (
    DocumentOption,
    JsonOption,
    Name,
    OptionalName,
    agreed,
    resumable,
    settings_of,
    stored_memory,
    tell_memory,
)
from mplus_cli.errors import ExitCode
from mplus_cli.terminal import screen

if TYPE_CHECKING:
    from mplus_cli.library import DocumentRow, StoredMemory


def remove(
    context: typer.Context,
    name: Name,
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT", help="Its number in `mplus memory show`, its title, or its path."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Remove a document from a memory.

    The others are read again, from the text in the memory, unless it is the newest.
    """
    from functools import cache, partial

    from mplus_cli.asking.scope import find_document
    from mplus_cli.ingest import rebuilding
    from mplus_cli.library.rewinding import can_rewind
    from mplus_cli.runtime.tokenizing import reading_pace
    from mplus_cli.terminal.ingest_view import IngestView
    from mplus_cli.wording import count, reading_cost

    settings = settings_of(context)
    stored = stored_memory(context, name)
    documents = stored.documents()
    row = find_document(documents, document)
    others = [other for other in documents if other is not row]
    pace, cost = cache(partial(reading_pace, settings)), ""
    if others and not yes and not can_rewind(stored, [row.id]):
        chunks = sum(other.chunks_read for other in others)
        takes = reading_cost(chunks, sum(other.tokens_read for other in others), pace())
        cost = f", and read {count(len(others), 'other document')} again ({takes})"
    asked = f'Remove "{row.title}"{cost}?'
    if not agreed(asked, f'"{row.title}" is not removed', yes=yes):
        if as_json:
            screen.json_out(_left(stored, None))
        screen.note(f'"{row.title}" is kept')
        return ExitCode.FAILED
    with screen.meter() as meter:
        view = IngestView(meter, pace=pace)
        events = rebuilding.remove(settings, stored, row, note=view.note, progress=meter.report)
        with resumable(meter, view.kept):
            for event in events:
                view.show(event)
    if as_json:
        screen.json_out(_left(stored, row))
    view.note(f'"{row.title}" is removed from memory "{name}"')
    return ExitCode.DONE


def _left(stored: StoredMemory, removed: DocumentRow | None) -> dict[str, Any]:
    left = stored.summary()
    gone = removed and {"number": removed.id, "title": removed.title, "path": removed.path}
    return {
        "memory": stored.name,
        "removed": gone,
        "documents": left.documents,
        "tokens": left.tokens,
    }


def merge(
    context: typer.Context,
    name: Name,
    others: Annotated[
        list[str], typer.Argument(metavar="OTHER...", help="The memories whose documents are read.")
    ],
    as_json: JsonOption = False,
) -> int:
    """Read the documents of other memories into this one, from the text that they keep.

    It takes as long as reading the documents does. The other memories are not changed. If NAME does not
    exist, it begins as a copy of the first.
    """
    from functools import partial

    from mplus_cli.api import Mplus
    from mplus_cli.commands.preview import end
    from mplus_cli.ingest.job import Report
    from mplus_cli.ingest.merging import merge
    from mplus_cli.runtime.tokenizing import reading_pace
    from mplus_cli.terminal.ingest_view import IngestView

    report = Report(name)
    with screen.meter() as meter:
        view = IngestView(meter, pace=partial(reading_pace, settings_of(context)))
        mplus = Mplus.with_settings(settings_of(context), note=view.note)
        session_for = partial(mplus.loader.session, progress=meter.report)
        with resumable(meter, view.kept):
            for event in merge(mplus.library, session_for, others, report):
                view.show(event)
    if as_json:
        screen.json_out(report.to_json())
    elif not report.is_hopeless:
        view.summary(report)
    return end([document["error"] for document in report.documents])


def export(
    context: typer.Context,
    name: OptionalName = None,
    document: DocumentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the text of a memory's documents, as it was read."""
    from mplus_cli.asking.scope import find_document
    from mplus_cli.library.texts import document_texts
    from mplus_cli.terminal.memory_view import show_texts

    stored = stored_memory(context, name)
    if not as_json:
        tell_memory(settings_of(context), name, stored.name)
    known = stored.documents()
    wanted = [find_document(known, one) for one in document or ()] or known
    texts = document_texts(stored, wanted)
    if as_json:
        told = [{"title": row.title, "path": row.path, "text": text} for row, text in texts]
        screen.json_out({"memory": stored.name, "documents": told})
    else:
        show_texts(texts, named=len(wanted) > 1)
