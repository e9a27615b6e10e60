"""How much of the processors the control groups of this process may use, as containers limit it (Linux)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processor_quota(groups: Path = GROUPS, own: Path = OWN) -> float | None:
    """The number of processors whose time the process may take; None if that is not limited.

    Args:
        groups: where control groups are mounted.
        own: lists those of the process.
    """
    return min(
        (limit for folder in _folders(groups, own) for limit in _limits(folder)), default=None
    )


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """The groups that limit processors: of version 2, of version 1, and all above them. A container may see
    its own group as the root, whatever its name outside."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in {groups / controllers, groups / "cpu"} if controllers else {groups}:
            below = Path(path.lstrip("/"))
            yield from (root / part for part in (below, *below.parents))


def _limits(folder: Path) -> Iterator[float]:
    """What a group says: microseconds of processors in a period, and the period."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if int(quota) > 0 and int(period) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):  # not there, or "max"
            continue
