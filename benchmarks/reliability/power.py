"""Power cuts, simulated: every state of the disk that a crash may leave, opened.

One run of each operation is recorded by strace: writes, syncs, and what happens to names. For every moment of
it disks are made that hold what was synced by then and, of all that was not, nothing, everything, or a random
part, in whatever order, writes torn in half (as in ALICE, Pillai et al. 2014). A name is on the disk when its
folder was synced. Each disk must open at a state that was committed, the last one if the operation was
reported as done, and the same operation must then end as ever. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.reliability import faults
from benchmarks.reliability.faults import Operation
from benchmarks.reliability.tiny import load_helpers, part, report

CALLS = (
    *(
        "openat",
        "close",
        "lseek",
        "write",
        "pwrite64",
        "ftruncate",
        "fsync",
        "fdatasync",
        "dup",
        "fcntl",
    ),
    *("rename", "renameat2", "mkdir", "rmdir", "unlink", "unlinkat"),
)
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += +(-?\d+)")
_FD = re.compile(r"^(-?\d+|AT_FDCWD)<(.*)>$")


@dataclass(eq=False)
class Node:
    """A file's bytes, or a folder's names."""

    data: bytearray | None = None
    names: dict[str, Node] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        return self.data is None


@dataclass(frozen=True)
class Step:
    """Something that is on the disk once `node` is synced."""

    node: Node
    do: Callable[[dict[Node, Node], bool], None]
    """Applies it to copies of nodes; torn: only in part."""


Event = Step | Node | str
"""A step, the sync of a node, or a mark: what the program reported."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--sample", type=int, help="so many disks of each operation; by default all"
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--random", type=int, default=3, help="random disks of each moment")
    options.add_argument("--part", type=part, default=(1, 1), help="K/N: the K-th of N parts")
    given = options.parse_args()
    faults.fake_fetch()
    began, counts, failed = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        work, helpers = Path(folder), load_helpers()
        for operation in faults.operations(work, helpers):
            want = faults.undisturbed(operation, work)
            for disk, wrong in try_disks(
                operation, work, want, given.seed, given.random, given.sample, given.part
            ):
                counts[operation.name] += 1
                if wrong:
                    failed += 1
                    print(f"{operation.name}, disk {disk}: {wrong}", file=sys.stderr, flush=True)
    report(
        {
            "disks": sum(counts.values()),
            "failed": failed,
            **counts,
            "seconds": round(time.monotonic() - began),
        }
    )


def try_disks(
    operation: Operation,
    work: Path,
    want: object,
    seed: int,
    randoms: int,
    sample: int | None,
    part: tuple[int, int] = (1, 1),
) -> Iterator[tuple[str, str]]:
    """Each disk that a crash of an operation may leave, and what is wrong with it ("" if nothing is)."""
    home = faults._home(work)
    operation.prepare(home)
    root = _scan(home)
    marks = home.with_suffix(".marks")

    def marked(place: Path) -> None:
        with marks.open("wb", buffering=0) as file:
            operation.run(place)
            file.write(b"done")

    _, trace = faults._traced(home, marked, None, calls=CALLS, more=("-y", "-xx", "-s", "10000000"))
    events = list(_Replay(home, root, marks).read(trace))
    moments = [(at, kind) for at in range(len(events) + 1) for kind in range(2 + randoms)]
    if sample is not None:
        drawn = random.Random(seed).sample(moments, min(sample, len(moments)))
        moments = sorted(drawn)
    done = events.index("done")
    for at, kind in moments[part[0] - 1 :: part[1]]:
        disk, chance = faults._home(work), random.Random(f"{seed} {at} {kind}")
        _make(disk, _disk(root, events[:at], kind, chance))
        yield f"{at}.{kind}", _look(operation, disk, want, reported=at > done)


def _look(operation: Operation, disk: Path, want: object, *, reported: bool) -> str:
    try:
        found = operation.outcome(disk)
        if reported and not _is_kept(want, found):
            return "what was reported is lost"
        operation.run(disk)
        if operation.outcome(disk) != want:
            return "the result differs"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(disk, ignore_errors=True)
    return ""


def _is_kept(want: Any, found: Any) -> bool:
    """Whether all that there should be is there. Files whose deletion was not synced may be as well: no
    commit names them, and the next writer deletes them."""
    if isinstance(want, dict) and isinstance(found, dict):
        return want.keys() == found.keys() and all(
            want[name].items() <= found[name].items() for name in want
        )
    if isinstance(want, list) and isinstance(found, list):
        return all(file in found for file in want)
    return bool(want == found)


def _disk(root: Node, events: Sequence[Event], kind: int, chance: random.Random) -> Node:
    """A disk after a crash: 0, all that was not synced is lost; 1, nothing is; else a random part is."""
    copies: dict[Node, Node] = {}

    def copy(node: Node) -> Node:
        if node not in copies:
            copies[node] = Node(None if node.data is None else bytearray(node.data))
            copies[node].names = {name: copy(child) for name, child in node.names.items()}
        return copies[node]

    new = copy(root)
    last = {event: number for number, event in enumerate(events) if isinstance(event, Node)}
    for number, event in enumerate(events):
        if not isinstance(event, Step):
            continue
        synced = last.get(event.node, -1) > number
        if synced or kind == 1 or (kind > 1 and chance.random() < 0.5):
            event.do(copies, False)
        elif kind > 1 and chance.random() < 0.3:
            event.do(copies, True)
    return new


def _make(place: Path, node: Node) -> None:
    for name, child in node.names.items():
        if child.is_folder:
            (place / name).mkdir(mode=0o700, exist_ok=True)
            _make(place / name, child)
        else:
            assert child.data is not None
            (place / name).write_bytes(child.data)


def _scan(folder: Path) -> Node:
    names = {
        path.name: _scan(path) if path.is_dir() else Node(bytearray(path.read_bytes()))
        for path in folder.iterdir()
    }
    return Node(None, names)


def _copy(copies: dict[Node, Node], node: Node) -> Node:
    """The copy of a node that was made after the beginning."""
    if node not in copies:
        copies[node] = Node(None if node.data is None else bytearray())
    return copies[node]


class _Replay:
    """Follows a trace from a scanned folder on; knows which node every descriptor and name is."""

    def __init__(self, home: Path, root: Node, marks: Path) -> None:
        self._home, self._marks = home, marks
        # Names as the program sees them; `root` stays as it was.
        self._now: dict[str, Node] = {}
        self._walk(str(home), root)
        self._open: dict[int, tuple[Node, int]] = {}

    def _walk(self, path: str, node: Node) -> None:
        self._now[path] = node
        for name, child in node.names.items():
            self._walk(f"{path}/{name}", child)

    def read(self, trace: str) -> Iterator[Event]:
        """The events in order."""
        for line in trace.splitlines():
            found = _LINE.match(line)
            if found and int(found[3]) >= 0:
                arguments = _arguments(found[2])
                yield from getattr(self, f"_{found[1]}")(arguments, int(found[3]))

    def _path(self, folder: str, name: str) -> str:
        name = _text(name)
        if name.startswith("/"):
            return os.path.normpath(name)
        found = _FD.match(folder)
        return os.path.normpath(os.path.join(_unhex(found[2]) if found else "/", name))

    def _is_ours(self, path: str) -> bool:
        return path.startswith(f"{self._home}/") or path == str(self._home)

    def _openat(self, arguments: list[str], result: int) -> Iterator[Event]:
        path = self._path(arguments[0], arguments[1])
        self._open.pop(result, None)
        if path == str(self._marks):
            self._open[result] = (Node(bytearray(b"mark")), 0)
            return
        if not self._is_ours(path):
            return
        if path not in self._now:
            self._now[path] = node = Node(bytearray())
            yield self._link(path, node)
        node = self._now[path]
        self._open[result] = (node, 0)
        if "O_TRUNC" in arguments[2]:
            yield Step(node, lambda copies, _: _cut(_copy(copies, node), 0))

    def _link(self, path: str, node: Node) -> Step:
        parent, name = self._now[os.path.dirname(path)], os.path.basename(path)

        def do(copies: dict[Node, Node], torn: bool) -> None:
            if not torn:
                _copy(copies, parent).names[name] = _copy(copies, node)

        return Step(parent, do)

    def _forget(self, path: str, node: Node) -> Step:
        parent, name = self._now[os.path.dirname(path)], os.path.basename(path)

        def do(copies: dict[Node, Node], torn: bool) -> None:
            names = _copy(copies, parent).names
            if not torn and names.get(name) is _copy(copies, node):
                del names[name]

        return Step(parent, do)

    def _close(self, arguments: list[str], result: int) -> Iterator[Event]:
        self._open.pop(_number(arguments[0]), None)
        yield from ()

    def _lseek(self, arguments: list[str], result: int) -> Iterator[Event]:
        number = _number(arguments[0])
        if number in self._open:
            self._open[number] = (self._open[number][0], result)
        yield from ()

    def _dup(self, arguments: list[str], result: int) -> Iterator[Event]:
        number = _number(arguments[0])
        if number in self._open:
            self._open[result] = self._open[number]
        yield from ()

    def _fcntl(self, arguments: list[str], result: int) -> Iterator[Event]:
        if "F_DUPFD" in arguments[1]:
            yield from self._dup(arguments, result)

    def _write(self, arguments: list[str], result: int) -> Iterator[Event]:
        number = _number(arguments[0])
        if number not in self._open:
            return
        node, at = self._open[number]
        data = _bytes(arguments[1])[:result]
        if node.data == b"mark":
            yield data.decode()
            return
        self._open[number] = (node, at + result)
        yield _written(node, at, data)

    def _pwrite64(self, arguments: list[str], result: int) -> Iterator[Event]:
        number = _number(arguments[0])
        if number in self._open:
            data = _bytes(arguments[1])[:result]
            yield _written(self._open[number][0], int(arguments[3]), data)

    def _ftruncate(self, arguments: list[str], result: int) -> Iterator[Event]:
        number, size = _number(arguments[0]), int(arguments[1])
        if number in self._open:
            node = self._open[number][0]
            yield Step(node, lambda copies, torn: None if torn else _cut(_copy(copies, node), size))

    def _fsync(self, arguments: list[str], result: int) -> Iterator[Event]:
        number = _number(arguments[0])
        if number in self._open:
            yield self._open[number][0]

    _fdatasync = _fsync

    def _mkdir(self, arguments: list[str], result: int) -> Iterator[Event]:
        path = self._path("", arguments[0])
        if self._is_ours(path):
            self._now[path] = node = Node()
            yield self._link(path, node)

    def _rename(self, arguments: list[str], result: int) -> Iterator[Event]:
        yield from self._renamed(self._path("", arguments[0]), self._path("", arguments[1]), False)

    def _renameat2(self, arguments: list[str], result: int) -> Iterator[Event]:
        old = self._path(arguments[0], arguments[1])
        new = self._path(arguments[2], arguments[3])
        yield from self._renamed(old, new, "EXCHANGE" in arguments[4])

    def _renamed(self, old: str, new: str, exchange: bool) -> Iterator[Event]:
        if not self._is_ours(old):
            return
        node, other = self._now[old], self._now.get(new)
        parents = self._now[os.path.dirname(old)], self._now[os.path.dirname(new)]
        names = os.path.basename(old), os.path.basename(new)

        def do(copies: dict[Node, Node], torn: bool) -> None:
            first, second = (_copy(copies, parent).names for parent in parents)
            if torn:  # a rename in one folder is one step on the disk
                return
            second[names[1]] = _copy(copies, node)
            if exchange and other is not None:
                first[names[0]] = _copy(copies, other)
            elif first.get(names[0]) is _copy(copies, node):
                del first[names[0]]

        moved = {path: kept for path, kept in self._now.items() if _under(path, old)}
        gone = {path: kept for path, kept in self._now.items() if _under(path, new)}
        for path in (*moved, *gone):
            del self._now[path]
        self._now |= {new + path[len(old) :]: kept for path, kept in moved.items()}
        if exchange:
            self._now |= {old + path[len(new) :]: kept for path, kept in gone.items()}
        yield Step(parents[1], do)

    def _gone(self, path: str) -> Iterator[Event]:
        if self._is_ours(path) and path in self._now:
            yield self._forget(path, self._now.pop(path))

    def _unlink(self, arguments: list[str], result: int) -> Iterator[Event]:
        yield from self._gone(self._path("", arguments[0]))

    _rmdir = _unlink

    def _unlinkat(self, arguments: list[str], result: int) -> Iterator[Event]:
        yield from self._gone(self._path(arguments[0], arguments[1]))


def _written(node: Node, at: int, data: bytes) -> Step:
    def do(copies: dict[Node, Node], torn: bool) -> None:
        held, part = _copy(copies, node).data, data[: len(data) // 2] if torn else data
        assert held is not None
        if len(held) < at:
            held.extend(bytes(at - len(held)))
        held[at : at + len(part)] = part

    return Step(node, do)


def _cut(node: Node, size: int) -> None:
    assert node.data is not None
    del node.data[size:]
    node.data.extend(bytes(size - len(node.data)))


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _arguments(text: str) -> list[str]:
    """The arguments of a call, as strace writes them: texts are in \\xNN, so that no comma is in them."""
    return text.split(", ")


def _number(argument: str) -> int:
    found = re.match(r"-?\d+", argument)
    return int(found[0]) if found else -1


def _bytes(argument: str) -> bytes:
    return bytes(ast.literal_eval(f"b{argument}"))


def _text(argument: str) -> str:
    return _bytes(argument).decode()


def _unhex(text: str) -> str:
    return bytes(ast.literal_eval(f'b"{text}"')).decode()


if __name__ == "__main__":
    main()
