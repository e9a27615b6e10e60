"""Networks over the tiny Llama, for the tests of `models`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.config import MPlusConfig
from models.decoder import Decoder
from models.network import MPlusModel
from models.retriever import make_retriever

Build = Callable[..., MPlusModel]

SMALL: dict[str, Any] = {
    "chunk_tokens": 8,
    "new_tokens": 8,
    "stm_tokens": 16,
    "recalled_tokens": 16,
    "max_prompt_tokens": 64,
    "memory_positions": "strided",
    "scorer": "cosine",
    "retriever_layers": (0,),
    "retriever_width": 6,
    "retriever_hidden": 5,
}
PUBLISHED: dict[str, Any] = {
    "memory_state": "output",
    "memory_positions": "last",
    "drop": "random",
    "recall": "tokens",
    "ages_in_stm": False,
    "scorer": "sigmoid",
    "retriever_layers": None,
}


@pytest.fixture(scope="session")
def build_network(build_stack: Callable[..., Any]) -> Build:
    """A network over the tiny Llama with identity memory of 8-token chunks, and changes to it."""

    def build(
        attention: str = "sdpa", published: bool = False, positions: int = 2048, **changes: Any
    ) -> MPlusModel:
        config = MPlusConfig.from_dict(SMALL | (PUBLISHED if published else {}) | changes)
        decoder = Decoder(build_stack(max_position_embeddings=positions), attention=attention)
        torch.manual_seed(3)
        retriever = make_retriever(config.retriever, decoder.layers, decoder.hidden).requires_grad_(
            False
        )
        return MPlusModel(config, decoder, decoder, retriever, bos_id=0)

    return build


@pytest.fixture(scope="session")
def chunk_ids() -> Callable[[int, int], list[int]]:
    """Token ids of a chunk, by its number and length."""

    def ids(number: int, length: int) -> list[int]:
        generator = torch.Generator().manual_seed(1000 + number)
        return torch.randint(3, 300, (length,), generator=generator).tolist()

    return ids
