from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import models
from models.checkpoints.fingerprint import fingerprint
from models.config import ConfigError, MPlusConfig, RetrieverShape


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"chunk_tokens": 0}, "chunk_tokens"),
        ({"new_tokens": 0}, "new_tokens"),
        ({"stm_tokens": -1}, "stm_tokens"),
        ({"stm_tokens": True}, "stm_tokens"),
        ({"stm_tokens": 2.5}, "stm_tokens"),
        ({"recalled_tokens": -1}, "recalled_tokens"),
        ({"max_prompt_tokens": -1}, "max_prompt_tokens"),
        ({"retriever_width": 0}, "retriever_width"),
        ({"retriever_hidden": -1}, "retriever_hidden"),
        ({"update_lora_rank": -1}, "update_lora_rank"),
        ({"generate_lora_rank": -1}, "generate_lora_rank"),
        ({"memory_state": "middle"}, "memory_state"),
        ({"memory_positions": "first"}, "memory_positions"),
        ({"memory_positions": "salient"}, "choose|give one of strided, pooled, last"),
        ({"least_coverage": 0.5}, "least_coverage is 0.5: this setting no longer exists"),
        ({"drop": "newest"}, "drop"),
        ({"recall": "all"}, "recall"),
        ({"scorer": "bm25"}, "scorer"),
        ({"ltm_capacity": 0}, "ltm_capacity"),
        ({"chunk_tokens": 128, "new_tokens": 256}, "more than chunk_tokens"),
        ({"new_tokens": 256, "stm_tokens": 128}, "more than stm_tokens"),
        ({"chunk_tokens": 500, "new_tokens": 200}, "multiple of new_tokens"),
        ({"drop": "random"}, "needs drop 'oldest'"),
        ({"retriever_layers": ()}, "retriever_layers is"),
        ({"memory_layers": ()}, "memory_layers is"),
        (
            {"recall": "tokens", "scorer": "sigmoid", "memory_layers": (0,)},
            "needs memory in every layer",
        ),
        (
            {"recall": "tokens", "scorer": "sigmoid", "retriever_layers": (0,)},
            "needs a retriever in every layer",
        ),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        MPlusConfig.from_dict(changes)


def test_uneven_chunks_are_fine_for_the_last_positions() -> None:
    assert MPlusConfig(chunk_tokens=500, new_tokens=200, memory_positions="last").ratio == 2


@pytest.mark.parametrize(
    ("changes", "positions", "layers", "names"),
    [
        ({}, 4096, 4, "answering 4097"),
        (
            {"stm_tokens": 256, "recalled_tokens": 0, "max_prompt_tokens": 0},
            768,
            4,
            "reading needs 769",
        ),
        ({"retriever_layers": (0, 4)}, 8192, 4, "layer 4"),
        ({"memory_layers": (1, 4)}, 8192, 4, "memory_layers names layer 4"),
    ],
)
def test_geometry_is_checked_against_the_base(
    changes: dict[str, Any], positions: int, layers: int, names: str
) -> None:
    config = MPlusConfig.from_dict(changes)
    with pytest.raises(ConfigError, match=names):
        config.check_base(layers=layers, positions=positions)
    MPlusConfig.from_dict(changes | {"retriever_layers": [0]}).check_base(layers=8, positions=8192)


def test_json_and_back() -> None:
    config = MPlusConfig(ltm_capacity=5, retriever=RetrieverShape(layers=(3, 1)))
    values = config.to_dict() | {"retriever_layers": [3, 1]}
    assert MPlusConfig.from_dict(values) == config
    assert config.retriever.of_layers(8) == (1, 3)
    assert RetrieverShape().of_layers(3) == (0, 1, 2)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"stm": 1}, "unknown field 'stm'"),
        ({"stm_tokens": "2048"}, "stm_tokens"),
        ({"ages_in_stm": 1}, "ages_in_stm"),
        ({"ltm_capacity": 1.5}, "ltm_capacity"),
        ({"retriever_layers": ["0"]}, "retriever_layers"),
        ({"memory_layers": 3}, "memory_layers"),
        ({"scorer": 3}, "scorer"),
        ({"least_coverage": "half"}, "least_coverage"),
        ({"scorer": "sigmoid"}, "recall 'chunks' needs"),
        ({"recall": "tokens"}, "recall 'tokens' needs scorer"),
    ],
)
def test_json_that_does_not_fit_is_refused(values: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        MPlusConfig.from_dict(values)


def test_settings_keep_their_fingerprints() -> None:
    """Those of earlier versions: with another one, memories that users have would be refused."""
    card = Path(models.__file__).parent / "weights" / "smollm2-135m" / "mplus.json"
    default = MPlusConfig.from_dict(json.loads(card.read_text(encoding="utf-8"))["config"])
    for config, expected in (
        (default, "2d8cc86f4bde8cd5316c33c4049669553b351d820498ba9867a2865cf5c597ac"),
        (MPlusConfig(), "979c962866cae80f32c1e5766b81a9add8daf80ebc30b368019226c4fdf73f96"),
    ):
        assert fingerprint(config.counting(), []) == expected
