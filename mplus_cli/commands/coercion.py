"""Values of the command line, taken here where they are plainly right: `typer` leaves that to `pydantic`,
whose import takes longer than all of our own. What is not plain goes to `typer`, which has the messages."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

_NUMBERS = {
    int: re.compile(r"-?[0-9]{1,18}"),
    float: re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?"),
}


class _NotPlain(Exception):
    """A value for `typer`."""


def take_plain_values(command: Any) -> None:
    """Let the parameters of a command, and of those below it, take plain values themselves."""
    of_typer = command.get_params

    def get_params(context: Any) -> list[Any]:
        found: list[Any] = of_typer(context)  # with the option for help, which is made late
        for parameter in found:
            # `typer` before 0.29 has no such descriptor, and needs no `pydantic`.
            descriptor = getattr(parameter, "type_descriptor", None)
            if descriptor is not None and "process_value" not in vars(parameter):
                parameter.process_value = _taking(parameter, descriptor, parameter.process_value)
        return found

    command.get_params = get_params
    for inner in getattr(command, "commands", {}).values():
        take_plain_values(inner)


def _taking(parameter: Any, descriptor: Any, by_typer: Callable[..., Any]) -> Callable[..., Any]:
    several = parameter.multiple or parameter.nargs == -1

    def process_value(context: Any, value: Any) -> Any:
        try:
            taken = _taken(value, descriptor, several=several)
        except _NotPlain:
            return by_typer(context, value)
        if parameter.required and taken in (None, (), []):
            return by_typer(context, value)
        return (
            taken if parameter.callback is None else parameter.callback(context, parameter, taken)
        )

    return process_value


def _taken(value: Any, descriptor: Any, *, several: bool) -> Any:
    """A value as its type; _NotPlain where that takes more than a look."""
    if value is None:
        return () if several else None
    if not several:
        return _one(value, descriptor.annotation, descriptor.parameter_info)
    if get_origin(descriptor.annotation) is not list or not isinstance(value, list | tuple):
        raise _NotPlain
    (kind,) = get_args(descriptor.annotation)
    return [_one(each, kind, descriptor.parameter_info) for each in value]


def _one(value: Any, kind: Any, told: Any) -> Any:
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str) and _is_unicode(value):
        return value
    if kind is Path and isinstance(value, str | Path) and _may_be_read(str(value), told):
        return Path(value)
    if kind in _NUMBERS and _NUMBERS[kind].fullmatch(str(value)):
        number = kind(value)
        if (told.min is None or told.min <= number) and (told.max is None or number <= told.max):
            return number
    raise _NotPlain


def _is_unicode(text: str) -> bool:
    """Whether every byte of it could be decoded."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _may_be_read(path: str, told: Any) -> bool:
    """Whether `typer` would accept the path."""
    asks = told.exists or told.writable or told.resolve_path or told.allow_dash or told.path_type
    if asks or not (told.file_okay and told.dir_okay) or not _is_unicode(path):
        return False
    return not (told.readable and os.path.lexists(path)) or os.access(path, os.R_OK)
