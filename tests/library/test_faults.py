"""A small draw of the sweeps in `benchmarks/reliability`: faults at single system calls, and power cuts."""

from __future__ import annotations

import random
import shutil
import sys

import pytest

from benchmarks.reliability import faults, power
from mplus_cli.ingest import pipeline
from mplus_cli.library import compaction
from mplus_cli.runtime import embedded_base

if sys.platform != "linux" or shutil.which("strace") is None:
    pytest.skip("needs strace", allow_module_level=True)


@pytest.fixture
def operations(tmp_path, tiny, model, monkeypatch):
    """What the sweeps do, by name, on a tiny memory; skips where processes may not be traced."""
    monkeypatch.setattr(pipeline, "COMMIT_CHUNKS", 4)
    monkeypatch.setattr(compaction, "FAN", 2)
    for name in ("_download", "_unpack", "_convert"):
        monkeypatch.setattr(embedded_base, name, getattr(embedded_base, name))
    faults.fake_fetch()
    found = {one.name: one for one in faults.operations(tmp_path, tiny)}
    try:
        faults.points([found["rename"]], tmp_path, ["EIO"])
    except OSError as error:
        pytest.skip(str(error))
    return found


def test_a_fault_at_any_step_leaves_a_whole_state(operations, tmp_path):
    chance = random.Random(3)
    for operation in operations.values():
        want = faults.undisturbed(operation, tmp_path)
        found = faults.points([operation], tmp_path, list(faults.FAULTS))
        for point in chance.sample(found, 3):
            outcome = faults.try_point(point, tmp_path, want)
            assert outcome in ("done", "told", "killed"), f"{point}: {outcome}"


@pytest.mark.parametrize("name", ["ingest", "load", "rename"])
def test_a_power_cut_at_any_moment_leaves_a_whole_state(operations, tmp_path, name):
    operation = operations[name]
    want = faults.undisturbed(operation, tmp_path)
    disks = dict(power.try_disks(operation, tmp_path, want, 5, 2, 6))
    assert list(disks.values()) == [""] * 6, disks
