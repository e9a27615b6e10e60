"""`mplus memory`: the memories of the library, and the table of its subcommands.

What concerns a memory's documents is in `memory_documents`, memories as files in `memory_files`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from mplus_cli.commands import memory_documents, memory_files
from mplus_cli.commands.checking import check, repair_memory
from mplus_cli.commands.common import (
    JsonArrayOption,
    JsonOption,
    Name,
    OptionalName,
    agreed,
    settings_of,
    stored_memory,
)
from mplus_cli.commands.map import draw_map
from mplus_cli.errors import ExitCode, MplusError
from mplus_cli.terminal import screen

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


def show(context: typer.Context, name: OptionalName = None, as_json: JsonOption = False) -> None:
    """Show a memory and its documents."""
    from mplus_cli.runtime.model_info import describe
    from mplus_cli.terminal.memory_view import description

    described = describe(stored_memory(context, name))
    if as_json:
        screen.json_out(described)
    else:
        screen.show(description(described, screen.width()))


def rename(
    context: typer.Context,
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The current name; -m OLD means the same.")
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    as_json: JsonOption = False,
) -> None:
    """Rename a memory."""
    from mplus_cli.library import Library

    Library(settings_of(context).home).rename(old, new)
    if as_json:
        screen.json_out({"memory": new, "renamed_from": old})
    screen.note(f'memory "{old}" is now "{new}"')


def note(
    context: typer.Context,
    name: Name,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The note; an empty text removes it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Attach a note to a memory, or print the one it has."""
    stored = stored_memory(context, name)
    if text is not None:
        stored.put_note(text.strip() or None)
    kept = stored.view().note
    if as_json:
        screen.json_out({"memory": name, "note": kept})
    elif text is None and kept is not None:
        screen.piece(f"{kept}\n")
    else:
        screen.note(f'memory "{name}" {"has no note" if kept is None else "now has this note"}')


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


def path(context: typer.Context, name: OptionalName = None, as_json: JsonOption = False) -> None:
    """Print the folder of a memory."""
    stored = stored_memory(context, name)
    if as_json:
        screen.json_out({"memory": stored.name, "path": str(stored.folder)})
    else:
        screen.out(str(stored.folder))


_COMMANDS: dict[str, Callable[..., object]] = {
    "list": list_memories,
    "show": show,
    "map": draw_map,
    "verify": check,
    "repair": repair_memory,
    "rename": rename,
    "note": note,
    "rm": remove,
    "rm-document": memory_documents.remove,
    "path": path,
    "save": memory_files.save,
    "load": memory_files.load,
    "fork": memory_files.fork,
    "merge": memory_documents.merge,
    "du": memory_files.disk_usage,
    "gc": memory_files.collect_garbage,
    "export": memory_documents.export,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
