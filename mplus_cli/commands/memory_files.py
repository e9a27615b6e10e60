"""`mplus memory fork`, `du`, `gc` and `export`: memories as files and as text."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import (
    DocumentOption,
    JsonOption,
    Name,
    OptionalName,
    resumable,
    settings_of,
    stored_memory,
)
from mplus_cli.terminal import screen


def fork(
    context: typer.Context,
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What to call the copy.")],
    as_json: JsonOption = False,
) -> None:
    """Make an independent copy. Large files are shared, so it costs little more than the text."""
    from mplus_cli.library import Library
    from mplus_cli.library.forking import fork

    stored = fork(Library(settings_of(context).home), name, new)
    if as_json:
        screen.json_out({"memory": stored.name, "forked_from": name, "path": str(stored.folder)})
    screen.note(f'memory "{new}" is a copy of "{name}": add to it with mplus ingest -m {new} ...')


def merge(
    context: typer.Context,
    name: Name,
    others: Annotated[
        list[str], typer.Argument(metavar="OTHER...", help="The memories whose documents are read.")
    ],
    as_json: JsonOption = False,
) -> int:
    """Read the documents of other memories into this one, from the text that they keep.

    It takes as long as reading the documents does. The other memories are not changed. NAME is
    created if it does not exist.
    """
    from functools import partial

    from mplus_cli.api import Mplus
    from mplus_cli.commands.preview import end
    from mplus_cli.ingest.job import Report
    from mplus_cli.ingest.merging import merge
    from mplus_cli.terminal.ingest_view import IngestView

    report = Report(name)
    with screen.meter() as meter:
        view = IngestView(meter)
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


def disk_usage(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show what each memory takes on the disk."""
    from mplus_cli.library import Library
    from mplus_cli.library.space import total_bytes, usage
    from mplus_cli.terminal.memory_view import usage_table
    from mplus_cli.wording import size

    library = Library(settings_of(context).home)
    found = [usage(library.open(name)) for name in library.names()]
    total = total_bytes(library)
    if as_json:
        screen.json_out({"memories": [one.to_json() for one in found], "total": total})
        return
    screen.show(usage_table(found, screen.width()))
    screen.note(f"{size(total)} in all, shared files counted once")
    if any(one.left_over for one in found):
        screen.note("what is left over goes with: mplus memory gc")


def collect_garbage(context: typer.Context, as_json: JsonOption = False) -> None:
    """Delete what killed processes left behind.

    Nothing that a memory needs, or that a running process is writing, is touched.
    """
    from mplus_cli.runtime.leftovers import collect
    from mplus_cli.wording import count, size

    removed = collect(settings_of(context).home)
    freed = sum(held for _, held in removed)
    if as_json:
        screen.json_out({"removed": [str(path) for path, _ in removed], "bytes": freed})
    elif removed:
        screen.note(f"{count(len(removed), 'leftover')} removed, {size(freed)} freed")
    else:
        screen.note("nothing was left over")


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
    known = stored.documents()
    wanted = [find_document(known, one) for one in document or ()] or known
    texts = document_texts(stored, wanted)
    if as_json:
        told = [{"title": row.title, "path": row.path, "text": text} for row, text in texts]
        screen.json_out({"memory": stored.name, "documents": told})
    else:
        show_texts(texts, named=len(wanted) > 1)
