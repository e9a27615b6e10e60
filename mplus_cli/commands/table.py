"""The commands by name, and the command line that is built of them. A command's module is imported when the
command is built, so that a line that names its command pays for no other."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

import typer

from mplus_cli.command_line import EPILOG, examples, unwrapped


class Entry(NamedTuple):
    """A command, or a group of commands."""

    module: str
    """In `mplus_cli.commands`; what is called as the command is, or `app` for a group."""
    about: str | None = None
    """What the list of commands says, where that is not the beginning of its help."""
    epilog: str = EPILOG
    """Empty: the group's own."""
    group: bool = False


COMMANDS = {
    "ingest": Entry(
        "ingest",
        epilog=examples(
            "mplus ingest book.epub",
            "mplus ingest -m work papers/ notes.md",
            "mplus ingest --workers 4 library/",
        ),
    ),
    "ask": Entry(
        "ask",
        epilog=examples(
            'mplus ask "Who keeps the lighthouse?"',
            'mplus ask -m work --document notes.md "When is the review?"',
            'mplus ask --json "Who keeps the lighthouse?"',
        ),
    ),
    "find": Entry("find"),
    "chat": Entry(
        "chat",
        "Ask a memory questions, one after the other.",
        examples("mplus chat", "mplus chat -m work"),
    ),
    "log": Entry(
        "log",
        "Show what was asked and answered.",
        examples("mplus log", 'mplus log --search "brass key"', "mplus log 12"),
    ),
    "serve": Entry(
        "serve",
        "Serve memories over HTTP, with a web page.",
        examples("mplus serve", "mplus serve --socket ~/mplus.socket"),
    ),
    "mcp": Entry("serve", "Let an assistant use the memories over MCP."),
    "memory": Entry("memory", "Manage memories.", group=True),
    "model": Entry("model", group=True),
    "config": Entry("config", epilog="", group=True),
    "train": Entry("train", "Train a checkpoint of your own."),
    "eval": Entry("eval", "Measure how well a model remembers.", group=True),
    "doctor": Entry("doctor", "Check the installation."),
    "demo": Entry("demo", "Read an example story, and ask about it."),
    "completion": Entry(
        "completion",
        "Complete command lines in your shell.",
        examples("mplus completion --install", "mplus completion zsh"),
    ),
}


def add(root: typer.Typer, names: Iterable[str]) -> None:
    """Add these commands to a command line."""
    for name in names:
        entry = COMMANDS[name]
        module = import_module(f"mplus_cli.commands.{entry.module}")
        if entry.group:
            epilog = entry.epilog or module.app.info.epilog
            root.add_typer(module.app, name=name, short_help=entry.about, epilog=epilog)
        else:
            long = getattr(module, "HELP", None)
            root.command(
                name,
                short_help=entry.about,
                epilog=entry.epilog,
                help=None if long is None else unwrapped(long),
            )(getattr(module, name))
