"""`mplus memory`: the memories of the library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mplus_cli.commands import memory_files
from mplus_cli.commands.checking import check, repair_memory
from mplus_cli.commands.common import (
    JsonArrayOption,
    JsonOption,
    Name,
    OptionalName,
    agreed,
    resumable,
    settings_of,
    stored_memory,
)
from mplus_cli.commands.map import draw_map
from mplus_cli.errors import ExitCode, MplusError, UsageError
from mplus_cli.terminal import screen

if TYPE_CHECKING:
    from mplus_cli.library import DocumentRow, StoredMemory

app = typer.Typer(
    help="List, show, check, rename, delete, save and load memories.",
    epilog="""\
\b
Examples:
  mplus memory show
  mplus memory save emma emma.safetensors
  mplus memory load emma.safetensors --as emma2
""",
)


@app.command("list")
def list_memories(context: typer.Context, as_json: JsonArrayOption = False) -> None:
    """List the memories."""
    from dataclasses import asdict

    from mplus_cli.library import Library
    from mplus_cli.terminal.memory_view import summaries_table

    summaries = Library(settings_of(context).home).summaries()
    if as_json:
        screen.json_out([asdict(summary) for summary in summaries])
    elif summaries:
        screen.show(summaries_table(summaries, screen.width()))
        for summary in summaries:
            if summary.error:
                screen.failed(summary.error)
    else:
        screen.note("no memory yet: read something first, for example: mplus ingest book.pdf")


@app.command("show")
def show(context: typer.Context, name: OptionalName = None, as_json: JsonOption = False) -> None:
    """Show a memory and its documents."""
    from mplus_cli.runtime.model_info import describe
    from mplus_cli.terminal.memory_view import description

    described = describe(stored_memory(context, name))
    if as_json:
        screen.json_out(described)
    else:
        screen.show(description(described, screen.width()))


app.command("map")(draw_map)
app.command("verify")(check)
app.command("repair")(repair_memory)


@app.command("rename")
def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The current name.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    as_json: JsonOption = False,
) -> None:
    """Give a memory another name."""
    from mplus_cli.library import Library

    Library(settings_of(context).home).rename(old, new)
    if as_json:
        screen.json_out({"memory": new, "renamed_from": old})
    screen.note(f'memory "{old}" is now "{new}"')


@app.command("note")
def note(
    context: typer.Context,
    name: Name,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="What to write down; an empty text removes the note."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write down a note about a memory, or print the one it has."""
    stored = stored_memory(context, name)
    if text is not None:
        stored.put_note(text.strip() or None)
    kept = stored.view().note
    if as_json:
        screen.json_out({"memory": name, "note": kept})
    elif text is None and kept is not None:
        screen.piece(f"{kept}\n")
    else:
        screen.note(f'memory "{name}" {"has no note" if kept is None else "has this note now"}')


@app.command("rm")
def remove(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Delete a memory."""
    from mplus_cli.library import Library
    from mplus_cli.wording import count, size

    library = Library(settings_of(context).home)
    stored = library.open(name)
    try:
        summary = stored.summary()
        held = f"{count(summary.documents, 'document')}, {size(summary.bytes)}"
    except (MplusError, OSError):
        held = "damaged"
    asked = f'Delete memory "{name}" ({held})?'
    if not agreed(asked, f'memory "{name}" is not removed', yes=yes):
        if as_json:
            screen.json_out({"memory": name, "removed": False})
        screen.note(f'memory "{name}" is kept')
        return ExitCode.FAILED
    library.remove(name)
    if as_json:
        screen.json_out({"memory": name, "removed": True})
    screen.note(f'memory "{name}" is removed')
    return ExitCode.DONE


@app.command("rm-document")
def remove_document(
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
    """Take a document out of a memory. The others are read again, from the text in the memory."""
    from mplus_cli.asking.scope import find_document
    from mplus_cli.ingest.rebuilding import remove
    from mplus_cli.terminal.ingest_view import IngestView
    from mplus_cli.wording import count

    settings = settings_of(context)
    stored = stored_memory(context, name)
    documents = stored.documents()
    row = find_document(documents, document)
    others = [other for other in documents if other is not row]
    chunks = sum(other.chunks_read for other in others)
    cost = f", and read {count(len(others), 'other document')} again ({count(chunks, 'chunk')})"
    asked = f'Remove "{row.title}"{cost if others else ""}?'
    if not agreed(asked, f'"{row.title}" is not removed', yes=yes):
        if as_json:
            screen.json_out(_left(stored, None))
        screen.note(f'"{row.title}" is kept')
        return ExitCode.FAILED
    with screen.meter() as meter:
        view = IngestView(meter)
        events = remove(settings, stored, row, note=view.note, progress=meter.report)
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


@app.command("path")
def path(context: typer.Context, name: OptionalName = None, as_json: JsonOption = False) -> None:
    """Print the folder of a memory."""
    stored = stored_memory(context, name)
    if as_json:
        screen.json_out({"memory": stored.name, "path": str(stored.folder)})
    else:
        screen.out(str(stored.folder))


@app.command("save")
def save(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a memory to one portable file."""
    from mplus_cli.library import snapshot
    from mplus_cli.wording import size

    stored = stored_memory(context, name)
    with screen.meter() as meter:
        snapshot.save(
            stored, file, lambda done, total: meter.report("saving", done, total), overwrite=force
        )
    written = file.stat().st_size
    if as_json:
        screen.json_out({"memory": name, "file": str(file), "bytes": written})
    screen.note(f'memory "{name}" is saved in {file} ({size(written)})')


@app.command("load")
def load(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file written by `mplus memory save`.")
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What to call the memory.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a memory from a saved file."""
    from mplus_cli.library import Library, snapshot

    if not file.is_file():
        raise UsageError(f"there is no file {file}: name one that `mplus memory save` wrote")
    library = Library(settings_of(context).home)
    with screen.meter() as meter:
        stored = snapshot.load(
            library, file, name, lambda done, total: meter.report("checking", done, total)
        )
    if as_json:
        screen.json_out({"memory": stored.name, "file": str(file)})
    screen.note(f'memory "{stored.name}" is loaded: mplus ask -m {stored.name} "..."')


app.command("fork")(memory_files.fork)
app.command("merge")(memory_files.merge)
app.command("du")(memory_files.disk_usage)
app.command("gc")(memory_files.collect_garbage)
app.command("export")(memory_files.export)
