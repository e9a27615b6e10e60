"""Writes `man/mplus.1`, the manual page, from what the commands say of themselves: `make man`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from mplus_cli import __version__
from mplus_cli.app import program
from mplus_cli.errors import EXIT_CODES

PAGE = Path(__file__).parent / "mplus.1"


def page() -> str:
    """The whole page in roff."""
    root = typer.main.get_command(program())
    lines = [
        f'.TH MPLUS 1 "" "mplus {__version__}" "User Commands"',
        *(".SH NAME", r"mplus \- read whole books into a memory and ask it questions, offline"),
        *(".SH SYNOPSIS", ".B mplus", r"[\fIOPTION\fR...] \fICOMMAND\fR [\fIARGUMENT\fR...]"),
        *(".SH DESCRIPTION", *prose(root.help)),
        *(".SH GLOBAL OPTIONS", "These may stand anywhere on the line.", *options(root)),
        ".SH COMMANDS",
        *(line for name, inner in root.commands.items() for line in command(name, inner)),
        ".SH EXIT STATUS",
    ]
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", f".B {code:d}", escaped(meaning.replace("`", ""))]
    lines += [
        *(
            ".SH ENVIRONMENT",
            "MPLUS_MODEL, MPLUS_DEVICE, MPLUS_HOME, HF_HUB_OFFLINE: see the options.",
        ),
        r"MPLUS_CONFIG names another config file. NO_COLOR and TERM=dumb are respected.",
        *(".SH FILES", r"\fBmplus config path\fR prints where the config file is,"),
        r"\fBmplus memory path\fR where a memory is.",
    ]
    return "\n".join(lines) + "\n"


def command(path: str, told: Any) -> Iterator[str]:
    """The part of a command, and of those below it."""
    if inner := getattr(told, "commands", None):
        for name, below in inner.items():
            yield from command(f"{path} {name}", below)
        return
    arguments = [one for one in told.params if one.param_type_name == "argument"]
    shown = [
        rf"\fI{escaped(one.metavar or one.name.upper())}\fR"
        if one.required
        else rf"[\fI{escaped(one.metavar or one.name.upper())}\fR]"
        for one in arguments
    ]
    yield f".SS mplus {path} {' '.join(shown)}".rstrip()
    yield from prose(told.help)
    for one in arguments:
        if one.help:
            yield from (".TP", rf".I {escaped(one.metavar or one.name.upper())}", escaped(one.help))
    yield from options(told)
    if "Examples:" in (told.epilog or ""):
        yield from (".PP", ".nf")
        examples = told.epilog.split("Examples:\n")[1].split("\n\n")[0]
        yield from (escaped(line) for line in examples.splitlines())
        yield ".fi"


def options(told: Any) -> Iterator[str]:
    """A command's options, each with its meaning."""
    for one in told.params:
        if one.param_type_name != "option":
            continue
        names = ", ".join(rf"\fB{escaped(name)}\fR" for name in [*one.opts, *one.secondary_opts])
        value = "" if one.is_flag else rf" \fI{escaped(one.metavar or 'VALUE')}\fR"
        yield from (".TP", names + value, escaped(one.help or ""))


def prose(text: str | None) -> Iterator[str]:
    """Paragraphs; those that are indented keep their lines."""
    for paragraph in (text or "").replace("\b\n", "").split("\n\n"):
        yield ".PP"
        if paragraph.startswith(" "):
            yield from (".nf", *(escaped(line) for line in paragraph.splitlines()), ".fi")
        else:
            yield escaped(" ".join(paragraph.split()))


def escaped(text: str) -> str:
    """Text as roff takes it."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("\n", " ")
    return re.sub(r"^([.'])", r"\\&\1", text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
