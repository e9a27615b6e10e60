"""The garbage collector is held back for a block, and only where it was on."""

from __future__ import annotations

import gc

import pytest

from mplus_cli.collector import held_back


@pytest.mark.parametrize("was_on", [True, False])
def test_it_is_afterwards_as_it_was(was_on: bool) -> None:
    if not was_on:
        gc.disable()
    try:
        with held_back():
            assert not gc.isenabled()
        assert gc.isenabled() == was_on
        with pytest.raises(KeyError), held_back():
            raise KeyError
        assert gc.isenabled() == was_on
    finally:
        gc.enable()
