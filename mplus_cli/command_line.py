"""Command lines before they are parsed, and the help that ends with examples.

Independent of the commands themselves.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from mplus_cli.errors import EXIT_CODES, UsageError

EPILOG = "The global options (mplus --help) work here too."


def examples(*lines: str) -> str:
    """The end of a command's help."""
    shown = "".join(f"  {line}\n" for line in lines)
    return f"\b\nExamples:\n{shown}\n{EPILOG}"


START = """\
Start here:

\b
  mplus ingest book.pdf
  mplus ask "Who is the captain of the ship?"
  mplus chat

\b
Exit codes:
""" + "".join(f"  {code:<5}{what.replace('`', '')}\n" for code, what in EXIT_CODES.items())
GROUPS = (["memory"], ["model"], ["eval"], ["config"])
"""Command lines that only begin a command, and show its help."""
WITH_VALUE = ("--model", "--device", "--dtype", "--home")
WITHOUT_MEMORY = ("list", "load", "du", "gc")
"""Commands below `memory` that take no memory's name as an argument."""
SWITCHES = ("--offline", "--quiet", "-q", "--verbose", "-v", "--debug")


def unwrapped(text: str) -> str:
    """Help text with each paragraph on one line, to be wrapped at the terminal's width; indented
    paragraphs keep their lines."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        f"\b\n{paragraph}" if paragraph.startswith("    ") else " ".join(paragraph.split())
        for paragraph in paragraphs
    )


def with_full_sources(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--sources full` and `--sources none` as one option: `--sources` is a switch too,
    and the parser has no options whose value is optional."""
    full: list[str] = []
    switches = {"full": "--full-sources", "none": "--no-sources"}
    for number, argument in enumerate(arguments):
        if argument == "--":
            return [*full, *arguments[number:]]
        option, _, value = argument.partition("=")
        if option == "--sources" and value in switches:
            full.append(switches[value])
        elif argument in switches and full[-1:] == ["--sources"]:
            full[-1] = switches[argument]
        else:
            full.append(argument)
    return full


def with_memory_first(arguments: Sequence[str]) -> list[str]:
    """`memory map -m NAME` as `memory map NAME`: where a command below `memory` begins with the name of one,
    it may be given as everywhere else.

    Raises:
        UsageError: one has no name, or one that begins with "-".
    """
    if len(arguments) < 2 or arguments[0] != "memory" or arguments[1] in WITHOUT_MEMORY:
        return list(arguments)
    group, command, *given = arguments
    names: list[str] = []
    rest: list[str] = []
    left = iter(given)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
            break
        option, name = _memory_option(argument)
        if not option:
            rest.append(argument)
            continue
        name = next(left, "-") if name is None else name
        if name.startswith("-"):
            raise UsageError(f"{option} needs a value (see mplus memory {command} --help)")
        names.append(name)
    return [group, command, *names, *rest]


def _memory_option(argument: str) -> tuple[str, str | None]:
    """The option that names a memory, as it is written, and the name that is joined to it; "" for others."""
    option, joined, name = argument.partition("=")
    if option == "--memory":
        return option, name if joined else None
    if argument.startswith("-m"):
        return "-m", argument[2:] or None
    return "", None


def hoist(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The global options from anywhere before `--`, and the rest of the arguments.

    Raises:
        UsageError: the last one has no value.
    """
    first: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
        elif argument in WITH_VALUE:
            value = next(left, None)
            if value is None:
                raise UsageError(f"{argument} needs a value (see mplus --help)")
            first += [argument, value]
        elif argument in SWITCHES or argument.startswith(tuple(f"{o}=" for o in WITH_VALUE)):
            first.append(argument)
        else:
            rest.append(argument)
    return first, rest


def typed_files(typed: str) -> tuple[str, ...]:
    """Files as they are typed: the name of one that exists, or several, quoted if they have spaces.

    Raises:
        UsageError: a quotation has no end, or a name is too long.
    """
    whole = Path(typed).expanduser()
    try:
        names = [typed] if typed and whole.exists() else shlex.split(typed)
    except (ValueError, OSError) as error:
        raise UsageError(f"the file names cannot be read: {error}") from error
    return tuple(str(Path(name).expanduser()) for name in names)
