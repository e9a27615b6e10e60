"""Folders that are watched: what comes or changes is given once, and when it is complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mplus_cli.documents import watching


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Set what happens between one look and the next, instead of a while; returns how many there were."""

    def set_steps(*steps: Callable[[], object]) -> list[int]:
        left, looks = list(steps), [0]

        def sleep(_: float) -> None:
            looks[0] += 1
            if left:
                left.pop(0)()

        monkeypatch.setattr(watching.time, "sleep", sleep)
        return looks

    return set_steps


def test_what_comes_and_changes(tmp_path: Path, between: Callable[..., list[int]]) -> None:
    old, new, late = (tmp_path / name for name in ("a.txt", "ch2.txt", "ch10.md"))
    old.write_text("There be")
    watch = watching.Watch([str(tmp_path)])
    looks = between(lambda: old.write_text("There before."))  # it was still being copied
    assert [source.path for source in watch.wait()] == [old]
    assert looks == [2]
    looks = between(
        lambda: new.write_text("It is"),  # still being copied
        lambda: (
            new.write_text("It is whole."),
            late.write_text("x"),
            (tmp_path / "c.png").touch(),
        ),
        lambda: None,
    )
    assert [source.name for source in watch.wait()] == [str(new), str(late)]
    assert looks == [3]
    looks = between(lambda: old.write_text("Now it is another one."), new.unlink)
    assert [source.path for source in watch.wait()] == [old]
    assert looks == [2]


def test_what_cannot_be_read_now_is_given_again(
    tmp_path: Path, between: Callable[..., list[int]]
) -> None:
    (tmp_path / "a.txt").write_text("A")
    watch, looks = watching.Watch([str(tmp_path)]), between()
    found = watch.wait()
    watch.give_again(found)
    assert watch.wait(iter([False, False, True]).__next__) == found
    assert looks == [4]


def test_folders_that_come_and_go(tmp_path: Path, between: Callable[..., list[int]]) -> None:
    """Nothing is there at first; a file that is named counts as well as a folder."""
    inbox, named = tmp_path / "inbox", tmp_path / "named.txt"
    watch = watching.Watch([str(inbox), str(named)])
    between(inbox.mkdir, lambda: (inbox / "a.txt").write_text("A"), lambda: named.write_text("B"))
    assert [source.path for source in watch.wait()] == [inbox / "a.txt"]
    assert [source.path for source in watch.wait()] == [named]
