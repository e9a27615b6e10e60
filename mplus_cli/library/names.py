"""Names of memories: which are allowed, and which was probably meant.

Does no I/O.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from mplus_cli.errors import UsageError

MAX_LENGTH = 100
FEW = 4
"""So many memories are named in a message."""
_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ONCE_ALLOWED = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def is_valid_name(name: str) -> bool:
    """Whether a new memory may have this name."""
    return len(name) <= MAX_LENGTH and _ALLOWED.fullmatch(name) is not None


def may_exist(name: str) -> bool:
    """Whether a memory may exist under this name: earlier versions let names start with a dash."""
    return len(name) <= MAX_LENGTH and _ONCE_ALLOWED.fullmatch(name) is not None


def validate_name(name: str) -> None:
    """Check the name of a new memory.

    Raises:
        UsageError: it is empty, too long, starts with a dot or a dash, or has other characters.
    """
    if not name:
        raise UsageError("a memory's name is empty: give it a name such as research")
    if len(name) > MAX_LENGTH:
        raise UsageError(f"a memory's name has {len(name)} characters: use {MAX_LENGTH} or fewer")
    if not is_valid_name(name):
        near = _nearest_valid(name)
        raise UsageError(
            f"{name!r} cannot name a memory: use letters A-Z and a-z, digits, '.', '_' and '-', "
            "with a letter, a digit or '_' first" + (f", such as {near}" if near else "")
        )


def _nearest_valid(name: str) -> str:
    """A valid name that resembles this one, or nothing."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")


def missing_message(name: str, names: Sequence[str]) -> str:
    """The message about a memory that does not exist, given those that do."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'there is no memory "{name}"; did you mean "{close[0]}"?'
    if len(names) == 1:
        return f'there is no memory "{name}": the only one is "{names[0]}"'
    if 1 < len(names) <= FEW:
        quoted = [f'"{one}"' for one in names]
        return f'there is no memory "{name}": there are {", ".join(quoted[:-1])} and {quoted[-1]}'
    if names:
        return f'there is no memory "{name}": `mplus memory list` shows the ones there are'
    return f'there is no memory "{name}": read something first with `mplus ingest`'
