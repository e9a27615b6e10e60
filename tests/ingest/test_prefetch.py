from __future__ import annotations

import threading

import pytest

from mplus_cli.ingest.prefetch import is_ahead, one_ahead


def test_the_next_work_is_under_way_while_one_is_used() -> None:
    started = threading.Event()
    threads: list[bool] = []

    def first() -> str:
        threads.append(is_ahead())
        return "first"

    def second() -> str:
        threads.append(is_ahead())
        started.set()
        return "second"

    outcomes = one_ahead([first, second])
    assert next(outcomes)() == "first"
    assert started.wait(10), "nobody asked for the second yet"
    assert next(outcomes)() == "second"
    assert next(outcomes, None) is None
    assert threads == [False, True]


def test_not_more_than_one_is_ahead() -> None:
    third = threading.Event()
    outcomes = one_ahead([lambda: None, lambda: None, third.set])
    next(outcomes)()
    assert not third.wait(0.1)
    next(outcomes)()
    assert third.wait(10)


def test_errors_come_where_they_belong() -> None:
    def fail() -> str:
        raise ValueError("no")

    outcomes = one_ahead([lambda: "a", fail, lambda: "b", fail])
    assert next(outcomes)() == "a"
    failed = next(outcomes)
    with pytest.raises(ValueError, match="no"):
        failed()
    assert next(outcomes)() == "b"
    last = next(outcomes)
    with pytest.raises(ValueError, match="no"):
        last()
    assert list(one_ahead([])) == []
