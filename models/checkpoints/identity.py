"""Identity memory: for a base that was never trained to have a memory.

With K = T, the input states and no adapters a memory token is exactly a key/value cache entry, so
any Llama reads and recalls chunks with it, uncompressed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.config import ConfigError, MPlusConfig, Reading, RetrieverShape
from models.prompts import PromptFormat

LARGEST_CHUNK = 512
BEST_CHUNKS = 2
"""Chunks that are read: a base was not trained to pass over text that has nothing to do with the question."""
_ASKED = "Answer in a few words, from the text above: {question}"
_NO_THOUGHTS = "<think>\n\n</think>\n\n"


def identity_config(positions: int, layers: int) -> MPlusConfig:
    """Identity memory for a base with `positions` positions and `layers` layers.

    With more than 4,096 positions: chunks of 512, 2,048 short-term and 1,024 recalled tokens, 1,024
    for prompt and answer. A smaller base keeps these proportions (in chunks: 4, 2 and 2).

    Raises:
        ConfigError: the base has too few positions for a chunk of 8 tokens.
    """
    chunk = min((positions - 1) // 8 // 8 * 8, LARGEST_CHUNK)
    if chunk < 8:
        raise ConfigError(f"the base has {positions} positions: a memory needs at least 65")
    config = MPlusConfig(
        chunk_tokens=chunk,
        new_tokens=chunk,
        stm_tokens=4 * chunk,
        recalled_tokens=2 * chunk,
        max_prompt_tokens=2 * chunk,
        memory_state="input",
        memory_positions="strided",
        drop="oldest",
        recall="chunks",
        retriever=RetrieverShape(scorer="cosine", layers=(0,)),
        reading=Reading(best_chunks=BEST_CHUNKS),
    )
    config.check_base(layers=layers, positions=positions)
    return config


def identity_prompt(tokenizer: Any, room: int) -> PromptFormat:
    """The prompt for a base that was not trained on memory: memory stands where a text to read would, in the
    user's message.

    ChatML bases are asked without the system message that their templates add, and without being given time
    to think aloud; others by their own chat template. Where there is none, or no room, memory stands in front
    of the prompt.

    Args:
        room: positions that are left for what stands in front of memory.
    """
    added = set(tokenizer.get_added_vocab())
    if {"<|im_start|>", "<|im_end|>"} <= added:
        end = "<|im_end|>\n<|im_start|>assistant\n"
        end += _NO_THOUGHTS if {"<think>", "</think>"} <= added else ""
        in_front = PromptFormat(f"<|im_start|>user\n{_ASKED}{end}", answer_end="<|im_end|>\n")
        placed = replace(in_front, template=f"<|im_start|>user\n{{question}}{end}")
    elif getattr(tokenizer, "chat_template", None):
        in_front = placed = PromptFormat()
    else:
        return PromptFormat()
    placed = replace(placed, memory=f"{{memory}}\n\n{_ASKED}")
    return placed if len(placed.header(tokenizer)) <= room else in_front
