"""The config file, changed as its user would: comments and order stay, and it is whole at every moment.

Deals with which settings there are, not with which are in force.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.durable import make_folder, new_file
from mplus_cli.errors import UsageError, disk_errors
from mplus_cli.settings import KEYS, Value, check_key, check_value, parse, read_file

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_SWITCH = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
_PRIVATE = 0o600
_ABOVE = "# Settings of mplus. An option beats the environment, which beats this file.\n"


def put(path: Path, name: str, text: str) -> Value:
    """Set one key; the file is made if there is none.

    Args:
        text: the value as it is typed: for a switch `true` or `false` (on, off, yes, no).

    Returns:
        The value.

    Raises:
        UsageError: there is no such key, it may not have this value, or the file is not valid.
        MplusError: the file cannot be written.
    """
    value = read_value(name, text)
    with _changed(path) as document:
        document[name] = value
    return value


def remove(path: Path, name: str) -> bool:
    """Take a key out, so that its default counts; whether it was there. Raises as `put` does."""
    check_key(name)
    if not path.exists() or name not in read_file(path):
        return False
    with _changed(path) as document:
        del document[name]
    return True


def read_value(name: str, text: str) -> Value:
    """A key's value from what was typed; UsageError if there is no such key, or it is not allowed."""
    check_key(name)
    if isinstance(KEYS[name].default, bool):
        if text.lower() not in _SWITCH:
            raise UsageError(f"{name} is {text!r}: give true or false")
        return _SWITCH[text.lower()]
    check_value(name, text, name)
    return text


def make(path: Path) -> None:
    """Write a file that sets nothing and says what can be set, unless there is one."""
    if path.exists():
        return
    with disk_errors():
        make_folder(path.parent, mode=0o700)
        with new_file(path, mode=_PRIVATE, replace=False) as file:
            file.write(template().encode())


def template() -> str:
    """A config file with every key as a comment."""
    lines = [_ABOVE]
    for name, key in KEYS.items():
        default = str(key.default).lower() if isinstance(key.default, bool) else f'"{key.default}"'
        lines.append(f"# {name} = {default}  # {key.about}\n")
    return "".join(lines)


def check(path: Path) -> None:
    """Check a config file; UsageError that says what is wrong with it."""
    for name, value in read_file(path).items():
        check_value(name, value, f"{path}: {name}")


@contextmanager
def _changed(path: Path) -> Iterator[TOMLDocument]:
    """The file's document, to be changed in the block; it is read and written under one lock."""
    import tomlkit

    path = path.resolve()  # a link stays a link: dotfiles are often linked
    with disk_errors():
        make_folder(path.parent, mode=0o700)
        there = path.exists()
        mode = stat.S_IMODE(path.stat().st_mode) if there else _PRIVATE
        with new_file(path, mode=mode) as file:
            if there:
                read_file(path)  # its errors are ours
            text = path.read_text(encoding="utf-8") if there else ""
            document = tomlkit.parse(text)
            yield document
            changed = tomlkit.dumps(document)
            _check_same(parse(changed, str(path)), document.unwrap)
            file.write(changed.encode())


def _check_same(read: dict[str, Any], meant: Callable[[], dict[str, Any]]) -> None:
    """Check that what is about to be written means what is meant."""
    if read != meant():
        raise ValueError("the config file would not mean what was set")
