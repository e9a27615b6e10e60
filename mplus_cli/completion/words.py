"""What the word under the cursor may become: commands, options, memories, documents, models, settings.

Reads the tree of commands by what all versions of its library have; independent of the shell. Names and
titles come from the library, and may be anything: the shells' scripts never evaluate them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mplus_cli.errors import MplusError
from mplus_cli.library import Library
from mplus_cli.runtime import catalog
from mplus_cli.settings import DTYPES, KEYS, Flags, resolve
from mplus_cli.visible import one_line

_PATHS = ("FILE", "FOLDER", "SOURCE...", "PATH", "BOOK")
"""What a value is called that is a file: the shell knows those."""


_NAMES = ("name", "old", "others")
"""Arguments that name a memory, or below `model` a model."""


@dataclass(frozen=True, slots=True)
class Word:
    """What may stand there, and what it means."""

    text: str
    about: str = ""
    once_typed: bool = False
    """Offered only where its beginning is typed: the same is offered under a better name."""


@dataclass(frozen=True, slots=True)
class Completions:
    """Words, or that a file is meant."""

    words: tuple[Word, ...] = ()
    files: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    """What the words before the cursor mean."""

    command: Any
    path: tuple[str, ...]
    """The commands that were named."""
    placed: tuple[str, ...]
    """The command's arguments so far."""
    wanting: Any
    """The option that still wants its value, or None."""


def complete(root: Any, words: Sequence[str], global_options: Sequence[str]) -> Completions:
    """What the last of the words after `mplus` may become.

    Args:
        root: the command of the program.
        global_options: those that may stand behind every command.
    """
    *before, typed = words or [""]
    line = _read(root, before)
    option, equals, _ = typed.partition("=")
    if equals and option.startswith("--") and line.wanting is None:
        parameter = _option(root, line.command, option)
        values = [
            replace(one, text=f"{option}={one.text}") for one in _values(parameter, line, before)
        ]
        return _fitting(values, typed, parameter)
    if line.wanting is not None:
        return _fitting(_values(line.wanting, line, before), typed, line.wanting)
    if typed.startswith("-"):
        return _fitting(_options(root, line.command, global_options), typed)
    if commands := getattr(line.command, "commands", None):
        shown = (Word(name, _first_line(one.help)) for name, one in commands.items())
        return _fitting(shown, typed)
    arguments = [one for one in line.command.params if one.param_type_name == "argument"]
    rest = arguments[-1:] if arguments and arguments[-1].nargs == -1 else []
    argument = ([*arguments[len(line.placed) :], *rest, None])[0]
    return _fitting(_values(argument, line, before), typed, argument)


def command_path(root: Any, words: Sequence[str]) -> tuple[str, ...]:
    """The commands that a line names, the outer one first."""
    return _read(root, words).path


def _fitting(words: Iterable[Word], typed: str, parameter: Any = None) -> Completions:
    is_file = parameter is not None and parameter.metavar in _PATHS
    begun = typed.partition("=")[2] if typed.startswith("--") else typed
    fitting = (word for word in words if word.text.startswith(typed))
    return Completions(tuple(word for word in fitting if begun or not word.once_typed), is_file)


def _read(root: Any, words: Sequence[str]) -> _Line:
    command, wanting = root, None
    path: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    for word in words:
        if wanting is not None:
            wanting = None
        elif word.startswith("-") and len(word) > 1:
            option = None if "=" in word else _option(root, command, word)
            wanting = option if option is not None and not option.is_flag else None
        elif word in getattr(command, "commands", {}):
            command, path = command.commands[word], (*path, word)
        else:
            placed = (*placed, word)
    return _Line(command, path, placed, wanting)


def _option(root: Any, command: Any, name: str) -> Any:
    """The option of a name, of a command or of the program."""
    for parameter in (*command.params, *root.params):
        if name in parameter.opts:
            return parameter
    return None


def _options(root: Any, command: Any, global_options: Sequence[str]) -> Iterator[Word]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            for name in (*parameter.opts, *parameter.secondary_opts):
                if name.startswith("--"):
                    yield Word(name, _first_line(parameter.help))
    if command is not root:
        for parameter in root.params:
            for name in parameter.opts:
                if name in global_options and name.startswith("--"):
                    yield Word(name, _first_line(parameter.help))
    yield Word("--help", "Show this message and exit.")


def _values(parameter: Any, line: _Line, before: Sequence[str]) -> Iterator[Word]:
    """What a parameter's value may be."""
    if parameter is None:
        return
    is_name = parameter.param_type_name == "argument" and parameter.name in _NAMES
    if parameter.name == "model" or (is_name and line.path[:1] == ("model",)):
        yield from (Word(one.name, one.kind) for one in catalog.every(_home(before)))
    elif parameter.name == "memory" or is_name:
        yield from map(Word, Library(_home(before)).names())
    elif parameter.name == "document":
        named = line.placed[:1] if line.path[:1] == ("memory",) else ()
        yield from _documents(before, *named)
    elif parameter.name == "key":
        yield from (Word(name, key.about) for name, key in KEYS.items())
    elif parameter.name == "dtype":
        yield from map(Word, DTYPES)
    elif parameter.name in ("device", "shell"):
        yield from map(Word, parameter.metavar.split("|"))


def _documents(before: Sequence[str], named: str | None = None) -> Iterator[Word]:
    """The titles and numbers in the memory that the line names, or in the one that is meant where none is
    named."""
    library = Library(_home(before))
    names = library.names()
    name = named or _given(before, "-m", "--memory") or resolve(Flags()).memory_among(names)
    if name in names:
        for document in library.open(name).documents():
            title = one_line(document.title)
            yield Word(title, one_line(document.path))
            yield Word(str(document.id), title, once_typed=True)


def _home(before: Sequence[str]) -> Path:
    given = _given(before, "--home")
    return resolve(Flags(home=Path(given) if given else None)).home


def _given(before: Sequence[str], *names: str) -> str | None:
    """The value of an option on the line so far."""
    for place, word in enumerate(before):
        if word in names and place + 1 < len(before):
            return before[place + 1]
        for name in names:
            if name.startswith("--") and word.startswith(f"{name}="):
                return word.partition("=")[2]
    return None


def _first_line(text: str | None) -> str:
    return one_line((text or "").partition("\n")[0])


def safely(root: Any, words: Sequence[str], global_options: Sequence[str]) -> Completions:
    """`complete`, or nothing where the library or the settings cannot be read: a key was pressed, and
    no message is wanted."""
    try:
        return complete(root, words, global_options)
    except (MplusError, OSError):
        return Completions()
