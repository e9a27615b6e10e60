"""A part of torch is imported when it is wanted, and not before."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from mplus_cli.runtime import postponed
from mplus_cli.runtime.postponed import Postponed


@pytest.mark.parametrize("wanted_by", ["touch", "library", "library before"])
def test_a_part_is_put_off_until_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted_by: str
) -> None:
    (tmp_path / "the_part.py").write_text("import sys\nsys.the_part_ran = True\nVALUE = 1\n")
    (tmp_path / "the_library.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(postponed, "PART", "the_part")
    monkeypatch.setattr(postponed, "WANTED_BY", ("the_library",))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "the_part_ran", False, raising=False)
    for name in ("the_part", "the_library"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    postponed.postpone()
    if wanted_by == "library before":
        importlib.import_module("the_library")
    part = importlib.import_module("the_part")
    assert isinstance(part, Postponed) is (wanted_by != "library before")
    assert part.__name__ == "the_part" and str(part.__file__).endswith("the_part.py")
    assert vars(sys)["the_part_ran"] is (wanted_by == "library before")
    if wanted_by == "library":
        importlib.import_module("the_library")
        assert vars(sys)["the_part_ran"]
    assert part.VALUE == 1
    assert not isinstance(part, Postponed)
    assert vars(sys)["the_part_ran"]
    for name in ("the_part", "the_library"):
        sys.modules.pop(name, None)
