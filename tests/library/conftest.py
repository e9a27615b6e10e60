"""Fixtures of the library's tests: the tiny model, and a memory that has read a document."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from mplus_cli.ingest import pipeline
from mplus_cli.library import Library


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_tiny = _load("tiny")


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The helpers of `tiny.py`."""
    return _tiny


@pytest.fixture(scope="session")
def model() -> Any:
    """A tiny random model on one thread, so that processes forked from this one can use it."""
    torch.set_num_threads(1)
    return _tiny.make_model()


@pytest.fixture
def small_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit after every 4 chunks, so that short documents make many commits."""
    monkeypatch.setattr(pipeline, "COMMIT_CHUNKS", 4)


@pytest.fixture(scope="session")
def made_book(tmp_path_factory: pytest.TempPathFactory, model: Any) -> Path:
    """The home of a memory `book`, made once."""
    home = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pipeline, "COMMIT_CHUNKS", 4)
        _tiny.make_memory(home, model, _tiny.make_document("alpha", 300, pages=3))
    return home


@pytest.fixture
def book(tmp_path: Path, made_book: Path, small_commits: None) -> Any:
    """A memory that has read one document of 20 chunks or so, with long-term memory."""
    shutil.copytree(made_book, tmp_path / "home")
    return Library(tmp_path / "home").open("book")
