"""How far each passage is behind the one that attention heads look at most."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from models.recall import Found
from models.reranker import Attended
from models.scan import ChunkScore
from mplus_cli.asking.rereading import PER_LOG_ODDS, heads_look_at
from mplus_cli.runtime.session import Session

TEXTS = ["One came. Two sat.", "Three ran off."]


def encode(text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Every character a token."""
    return list(map(ord, text)), [(at, at + 1) for at in range(len(text))]


SESSION = cast(Session, SimpleNamespace(plain_tokenizer=SimpleNamespace(encode=encode)))


def found(attended: dict[int, Attended]) -> Found:
    ranked = (ChunkScore(4, 10.0), ChunkScore(7, 8.0))
    return Found(cast(Any, None), ranked, (), attended)


def test_the_passage_and_its_chunk_count() -> None:
    shares = torch.full((1, 9), 0.01)
    shares[0, 5:] = 0.1  # of the second sentence: a memory token for two characters
    first, second = heads_look_at(
        SESSION, found({4: Attended(shares, torch.tensor([2.0]))}), [4, 7], TEXTS
    )
    behind = {TEXTS[0][slice(*span)]: value for span, value in first}
    assert set(behind) == {"One came.", "Two sat.", "One came. Two sat."}
    assert max(behind.values()) == 0.0
    assert behind["One came."] == min(behind.values()) < -1.0
    most = max(Attended(shares, torch.tensor([2.0])).of_runs([(0, 5), (0, 9), (5, 9)]))
    assert second == (((0, 14), pytest.approx(-2.0 * PER_LOG_ODDS - most, abs=1e-4)),)


def test_nothing_is_known_without_a_reranker() -> None:
    assert heads_look_at(SESSION, found({}), [4, 7], TEXTS) == ()
