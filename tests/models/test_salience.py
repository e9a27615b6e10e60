"""Which tokens are worth keeping, against a plain count and plain loops."""

from __future__ import annotations

import math
import random

import torch

from models.salience import NUMBER_BONUS, count_salience, most_salient


def test_rare_tokens_and_numbers_are_salient() -> None:
    texts = [[0, 0, 0, 1, 3], [0, 0, 3]]
    nats = count_salience(texts, ["the", " inn", " never", "7"])
    counts = [5 + 1, 1 + 1, 0 + 1, 2 + 1]
    expected = [math.log(sum(counts) / count) for count in counts]
    expected[3] += NUMBER_BONUS
    torch.testing.assert_close(nats, torch.tensor(expected))


def test_most_salient_against_sorting_by_hand() -> None:
    draw = random.Random(4)
    salience = [draw.randrange(5) for _ in range(12)]
    for length in range(1, 20):
        ids = [draw.randrange(12) for _ in range(length)]
        for ratio in (1, 2, 3, 4):
            ranked = sorted(range(length), key=lambda at: (-salience[ids[at]], at))
            expected = sorted(ranked[: math.ceil(length / ratio)])
            found = most_salient(torch.tensor(salience).float(), torch.tensor([ids, ids]), ratio)
            assert found.tolist() == [expected, expected]
