"""The garbage collector is held back for a block, and what a block made is not pinned for ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from mplus_cli.runtime.garbage import held_back


class Ring:
    """It holds itself, so that the collector alone can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("was_on", [True, False])
def test_it_is_afterwards_as_it_was(was_on: bool) -> None:
    if not was_on:
        gc.disable()
    with held_back():
        assert not gc.isenabled()
    assert gc.isenabled() == was_on
    with pytest.raises(KeyError), held_back():
        raise KeyError
    assert gc.isenabled() == was_on


def test_what_a_block_made_is_collected_by_the_next_one() -> None:
    with held_back():
        ring = Ring()
    seen = weakref.ref(ring)
    del ring
    gc.collect()
    assert seen() is not None, "not gone through"
    with held_back():
        assert seen() is None
