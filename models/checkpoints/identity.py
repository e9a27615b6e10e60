"""Identity memory: for a base that was never trained to have a memory.

With K = T, the input states and no adapters a memory token is exactly a key/value cache entry, so
any Llama reads and recalls chunks with it, uncompressed.
"""

from __future__ import annotations

from typing import Any

from models.config import ConfigError, MPlusConfig, RetrieverShape
from models.prompts import PromptFormat

LARGEST_CHUNK = 512
_ASKED = "Answer in a few words, from the text above: {question}"


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
    )
    config.check_base(layers=layers, positions=positions)
    return config


def identity_prompt(tokenizer: Any) -> PromptFormat:
    """The prompt for a base that was not trained on memory: it refers to the text above.

    A system message between the memory and the question makes small models ignore the memory, so a
    ChatML base is asked without one; others by their own chat template.
    """
    if {"<|im_start|>", "<|im_end|>"} <= set(tokenizer.get_added_vocab()):
        template = f"<|im_start|>user\n{_ASKED}<|im_end|>\n<|im_start|>assistant\n"
        return PromptFormat(template=template, answer_end="<|im_end|>\n")
    return PromptFormat()
