"""What commands share: settings of a context, and the options that several have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mplus_cli.errors import UsageError
from mplus_cli.runtime.ahead import load_torch_ahead
from mplus_cli.settings import Flags, Settings, resolve
from mplus_cli.terminal import capabilities, screen

if TYPE_CHECKING:
    from mplus_cli.library import StoredMemory
    from mplus_cli.terminal.meter import Meter

Name = Annotated[str, typer.Argument(metavar="NAME", help="The memory; -m NAME means the same.")]
OptionalName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="The memory; -m NAME means the same. Default: the one called default, or the only one.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        "-m",
        metavar="NAME",
        help="Which memory. Default: the one called default, or the only one.",
    ),
]
DocumentOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Only this document: its number in `mplus memory show`, its title, path or file name, or the "
        "beginning of one of these. May be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonArrayOption = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


def flags_of(context: typer.Context) -> Flags:
    """The global options that were given."""
    return context.obj if isinstance(context.obj, Flags) else Flags()


def settings_of(context: typer.Context) -> Settings:
    """The settings in force; UsageError if one is not valid."""
    found = resolve(flags_of(context))
    screen.detail(
        f"home {found.home}, model {found.model}, device {found.device}, config file "
        f"{found.config_file or 'none'}"
    )
    return found


def stored_memory(context: typer.Context, name: str | None) -> StoredMemory:
    """The memory of a name, or the one that is meant where none is given."""
    from mplus_cli.library import Library

    settings = settings_of(context)
    return Library(settings.home).open(memory_to_ask(settings, name))


def memory_to_ask(settings: Settings, name: str | None) -> str:
    """The name of the memory to ask: the one that was given, or else the one that is meant."""
    from mplus_cli.library.listing import folder_of_memories, names_in

    if name is not None:
        return name
    return settings.memory_among(names_in(folder_of_memories(settings.home)))


def tell_memory(settings: Settings, name: str | None, asked: str) -> None:
    """A line on which memory is asked, where neither the user nor the settings named it.

    Args:
        name: the one that the user named.
    """
    if name is None and asked != settings.memory and not screen.is_quiet():
        screen.dim(f'memory "{asked}", the only one')


def begin_to_load(settings: Settings, name: str) -> None:
    """Load torch's library ahead, in a thread, if there is a memory of this name; if not, the command only
    says so."""
    from mplus_cli.library.listing import folder_of_memories, names_in

    if name in names_in(folder_of_memories(settings.home)):
        load_torch_ahead()


def agreed(question: str, unless: str, *, yes: bool) -> bool:
    """Whether the user agrees to what cannot be undone.

    Args:
        question: what a terminal asks.
        unless: what is not done without an answer, such as 'memory "notes" is not removed'.
        yes: whether `--yes` was given, so that nothing is asked.

    Raises:
        UsageError: there is no terminal to ask on.
    """
    if yes:
        return True
    if not capabilities.is_interactive():
        raise UsageError(f"{unless}: there is no terminal to ask on, so give --yes")
    return screen.confirm(question)


@contextmanager
def resumable(meter: Meter, kept: Callable[[], str]) -> Iterator[None]:
    """Say what is kept of the work in the block if Ctrl-C interrupts it.

    Args:
        kept: says so; an empty text where nothing was begun.
    """
    try:
        yield
    except KeyboardInterrupt:
        meter.close()
        if told := kept():
            screen.note(told)
        raise


def one_of(**given: bool) -> None:
    """Check that at most one of several options that exclude each other is given; UsageError if not."""
    names = [f"--{name}" for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise UsageError(f"{names[0]} and {names[1]} exclude each other: give one of them")
