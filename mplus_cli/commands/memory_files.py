"""`mplus memory save`, `load`, `fork`, `du` and `gc`: memories as files on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mplus_cli.commands.common import JsonOption, Name, settings_of, stored_memory
from mplus_cli.errors import UsageError
from mplus_cli.terminal import screen


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


def load(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file written by `mplus memory save`.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--as", "--memory", "-m", metavar="NAME", help="What to call the memory."),
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


def disk_usage(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show how much disk space each memory takes."""
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
        screen.note("to delete what is left over: mplus memory gc")


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
