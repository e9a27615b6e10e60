"""The process's beginning and its end: Ctrl-C at any moment, and nothing that an exit leaves undone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mplus_cli import __version__

ROOT = Path(__file__).resolve().parents[2]
LINE = "mplus: interrupted\n"

# Sends SIGINT at the n-th call of a function after `main` has set its handler; tells how many there were.
SIGNALLED = """
import os, signal, sys
left, began = [int(sys.argv[1])], []
del sys.argv[1]
def calls(frame, event, _):
    code = frame.f_code
    if event == "c_return" and code.co_name == "main" and code.co_filename.endswith("__main__.py"):
        began.append(True)
    if began and event in ("call", "c_call"):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
really = os._exit
def leave(code):
    sys.setprofile(None)
    if os.environ.get("COUNT"):
        os.write(1, b"%d" % -left[0])
    really(code)
os._exit = leave
sys.setprofile(calls)
from mplus_cli.__main__ import main
sys.exit(main())
"""


def signalled(number: int, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SIGNALLED, str(number), "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **changes},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_at_any_moment_is_quiet() -> None:
    """From the first line of `main` to the last call: one line or none, and never a traceback."""
    out, err = signalled(0, COUNT="1").communicate()
    said = f"mplus {__version__}\n"
    assert out.startswith(said), err
    calls = int(out.removeprefix(said))
    assert calls > 10_000
    numbers = [*range(1, 7), *range(50, calls, calls // 15), *range(calls - 60, calls, 20)]
    seen = set()
    for first in range(0, len(numbers), 4):
        running = [signalled(number) for number in numbers[first : first + 4]]
        for process in running:
            out, err = process.communicate()
            code = process.returncode
            assert (code, err) in ((130, ""), (130, LINE), (0, "")), (process.args[3], code, err)
            assert out in ("", said) and (out or code)
            seen.add((code, err))
    assert seen == {(130, ""), (130, LINE), (0, "")}


# What a process leaves open when it ends in haste.
LEFT = """
import atexit, gc, io, json, os, sqlite3, sys, threading
sys.path.insert(0, sys.argv[1]); del sys.argv[1]
really = os._exit
def leave(code):
    mine = {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}
    mine |= {stream.buffer for stream in mine if hasattr(stream, "buffer")}
    found = []
    for one in gc.get_objects():
        if isinstance(one, (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)) and one not in mine:
            if not one.closed and one.writable():
                found.append(repr(one))
        if isinstance(one, sqlite3.Connection):
            try:
                if one.in_transaction:
                    found.append(repr(one))
            except sqlite3.ProgrammingError:
                pass  # it is closed
    others = [one for one in threading.enumerate() if one is not threading.main_thread()]
    found += [str(one) for one in others if not one.daemon]
    os.write(2, b"left: " + json.dumps(found).encode() + b" " + str(len(ran)).encode())
    really(code)
os._exit = leave
ran = []
class Importing:
    def find_spec(self, wanted, path=None, target=None):
        if wanted == "mplus_cli.app":
            atexit.register(ran.append, 1)
sys.meta_path.insert(0, Importing())
from mplus_cli.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="another end there")
def test_an_end_in_haste_leaves_nothing_undone(tiny: Path, story: Path, tmp_path: Path) -> None:
    """No file with bytes that were not written, no transaction, no thread; exit handlers ran."""
    for arguments in (
        ("ingest", story, "-m", "book", "-q"),
        ("ask", "Who kept a goat?", "-m", "book", "--max-new-tokens", "4"),
        ("memory", "save", "book", tmp_path / "book.safetensors"),
        ("ask", "Who?", "-m", "nobody"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", LEFT, str(ROOT), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        assert done.stderr.endswith("left: [] 1"), (arguments, done.stderr)


REGISTERED = """
import atexit, os, signal, sys
sys.path.insert(0, sys.argv[1]); how = sys.argv[2]; sys.argv[1:] = ["--version"]
def told(what):
    os.write(1, what)
if how != "late":
    atexit.register(told, b"early ")
class Importing:
    def find_spec(self, wanted, path=None, target=None):
        if wanted == "mplus_cli.app":
            atexit.register(told, b"late ")
            if how == "interrupted":
                os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Importing())
from mplus_cli.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("late", 0, f"mplus {__version__}\nlate "),
        ("early", 0, f"mplus {__version__}\nlate early "),
        ("interrupted", 130, "late early "),
    ],
)
def test_what_is_registered_for_the_exit_runs(how: str, code: int, said: str) -> None:
    """Also what another program registered before `main` began, and after Ctrl-C."""
    done = subprocess.run(
        [sys.executable, "-c", REGISTERED, str(ROOT), how], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, said), done.stderr


THREADS = """
import atexit, os, sys
sys.argv = ["mplus", "--version"]
names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS")
atexit.register(lambda: print(*map(os.environ.get, names), "torch" in sys.modules))
from mplus_cli import process
process.run()
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "PASSIVE 1000 1 False"),
        ({"GOMP_SPINCOUNT": "0"}, "PASSIVE 0 1 False"),
        ({"OMP_WAIT_POLICY": "ACTIVE", "OPENBLAS_NUM_THREADS": "4"}, "ACTIVE None 4 False"),
    ],
)
def test_how_threads_wait_is_told_before_torch_is_loaded(given: dict[str, str], said: str) -> None:
    """Later it would be too late; what the user's environment says counts."""
    kept = {
        name: os.environ[name]
        for name in os.environ
        if not name.startswith(("OMP_", "GOMP_", "OPENB"))
    }
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        env={**kept, "PYTHONPATH": str(ROOT), **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == said
