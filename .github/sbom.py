"""Completes the list of parts that goes with a release, and compares it with the lock.

    python .github/sbom.py dist/mplus.cdx.json

The version of mplus is that of the package, which the generator does not see. Every package of
`requirements.lock` must be a part, with its version and all its hashes, and nothing else may be one.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from mplus_cli import __version__  # noqa: E402  # needs no other package

Parts = dict[tuple[str, str], set[str]]


def locked(lock: str) -> Parts:
    """The SHA-256 of each file, by name and version."""
    found: Parts = {}
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        name, version = re.split("==| ", entry.splitlines()[0])[:2]
        found.setdefault((name, version), set()).update(re.findall("sha256:([0-9a-f]{64})", entry))
    return found


def listed(bom: dict) -> Parts:
    """The same of a list of parts."""
    found: Parts = {}
    for part in bom["components"]:
        hashes = found.setdefault((part["name"], part["version"]), set())
        for reference in part.get("externalReferences", []):
            hashes |= {one["content"] for one in reference.get("hashes", [])}
    return found


def main() -> None:
    """Exit with what is wrong, if something is."""
    file = Path(sys.argv[1])
    bom = json.loads(file.read_text(encoding="utf-8"))
    bom["metadata"]["component"]["version"] = __version__
    file.write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")
    want = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    have = listed(bom)
    wrong = sorted(f"{name} {version}" for name, version in want.keys() ^ have.keys())
    wrong += sorted(" ".join(key) for key in want.keys() & have.keys() if want[key] != have[key])
    if wrong:
        sys.exit(f"{file} is not the list of requirements.lock: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
