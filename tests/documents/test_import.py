"""What importing the package may load."""

import subprocess
import sys

HEAVY = (
    "pypdfium2",
    "pypdf",
    "lxml",
    "charset_normalizer",
    "torch",
    "subprocess",
    "zipfile",
)


def test_importing_loads_no_reader() -> None:
    code = "import sys, mplus_cli.documents; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "mplus_cli.documents.chunks" in loaded
    assert not loaded & set(HEAVY)
