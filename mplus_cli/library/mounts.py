"""Whether a folder is on another machine, where two processes may both be told that they hold a lock.

Reads the mount table of Linux; on other systems nothing is known.
"""

from __future__ import annotations

import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"}


def warnings(folder: Path) -> list[str]:
    """The warning for a user who writes to a library there."""
    kind = network_file_system(folder)
    if kind is None:
        return []
    return [
        f"{folder} is on a network file system ({kind}), where locks may not hold: write to a memory from "
        "one machine at a time"
    ]


def network_file_system(folder: Path, table: Path = TABLE) -> str | None:
    """The kind of network file system that a folder is on; None if it is on none, or it cannot be told.

    Args:
        table: in the format of /proc/self/mountinfo; the last of those that mount on one place counts.
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = folder.resolve()
    except OSError:
        return None
    best, found = -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        if len(fields := before.split(" ")) < 5 or not after:
            continue
        mounted = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        if place.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, found = len(mounted.parts), after.split(" ")[0]
    return found if found in _NETWORK else None
