"""The shells: how they ask for completions, how they want them, and where their scripts are put.

A script calls `mplus` with `_MPLUS_COMPLETE` naming the shell. The first line of the answer is `words`
or `files`; the others are words, none of which a script evaluates.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from models.durable import make_folder, new_file
from mplus_cli.completion.words import Completions
from mplus_cli.errors import UsageError, disk_errors

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MPLUS_COMPLETE"
_SPECIAL = re.compile(r"([^\w@%+:,./=-])")
_IN_QUOTES = re.compile(r'([\\"$`])')
_BREAKS = re.compile(r"[=:]")


def script(shell: str) -> str:
    """The script that makes a shell complete `mplus`."""
    return (Path(__file__).parent / f"mplus.{shell}").read_text(encoding="utf-8")


def split(line: str) -> tuple[list[str], str]:
    """The words of a command line up to the cursor, and the quote that is open there, if one is."""
    words, word, quote, escaped, inside = [], "", "", False, False
    for character in line:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\" and quote != "'":
            escaped = inside = True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "\"'":
            quote, inside = character, True
        elif character.isspace():
            words += [word] if word or inside else []
            word, inside = "", False
        else:
            word += character
    return [*words, word], quote


def replies(
    shell: str, given: Sequence[str], complete: Callable[[Sequence[str]], Completions]
) -> Iterator[str]:
    """What a shell's script reads.

    Args:
        given: for bash the line up to the cursor; for the others the words after `mplus`, the last as
            it is typed.
    """
    if shell == "bash":
        words, quote = split(given[0] if given else "")
        words = words[1:] or [""]
    else:
        typed = [given[-1] if given else ""]
        raw = given if shell == "zsh" else typed
        unquoted = [" ".join(split(word)[0]) for word in raw]
        words, quote = [*given[: len(given) - len(unquoted)], *unquoted], ""
    found = complete(words)
    if found.files and not found.words:
        yield "files"
        return
    yield "words"
    for word in found.words:
        if shell == "bash":
            yield _for_bash(word.text, words[-1], quote)
        else:
            yield f"{word.text}\t{word.about}" if word.about else word.text


def _for_bash(text: str, typed: str, quote: str) -> str:
    """A word as bash puts it in place of what it takes for the word: what is behind "=" or ":"."""
    if quote:
        return text if quote == "'" else _IN_QUOTES.sub(r"\\\1", text)
    broken = [found.end() for found in _BREAKS.finditer(typed)]
    return _SPECIAL.sub(r"\\\1", text[broken[-1] if broken else 0 :])


def install(shell: str, environment: Mapping[str, str], home: Path) -> list[Path]:
    """Put a shell's script in its place, and make the shell read it; the files that were written.

    Raises:
        MplusError: a file cannot be written.
    """
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell == "fish":
        place = config / "fish" / "completions" / "mplus.fish"
        return [_write(place, script(shell))]
    place = data / "mplus-completion" / f"mplus.{shell}"
    folder = Path(environment.get("ZDOTDIR") or home) if shell == "zsh" else home
    start = folder / f".{shell}rc"
    line = f"source '{place}'  # completion of mplus"
    written = [_write(place, script(shell))]
    before = start.read_text(encoding="utf-8", errors="surrogateescape") if start.exists() else ""
    if line not in before.splitlines():
        end = "" if before.endswith("\n") or not before else "\n"
        written.append(_write(start, f"{before}{end}{line}\n"))
    return written


def usual_shell(environment: Mapping[str, str]) -> str:
    """The user's shell; UsageError where completion does not know it."""
    shell = Path(environment.get("SHELL", "")).name
    if shell not in SHELLS:
        raise UsageError(f"which shell? name it: {', '.join(SHELLS)}")
    return shell


def _write(path: Path, text: str) -> Path:
    """A file replaced in one step; a link stays a link, and a mode a mode."""
    with disk_errors():
        real = path.resolve()
        make_folder(real.parent)
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o666
        with new_file(real, mode=mode) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        if real.exists() and mode != 0o666:
            os.chmod(real, mode)
    return path
