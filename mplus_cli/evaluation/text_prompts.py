"""The prompts of readers that keep nothing of what was read: a question behind a text.

The base is told to answer briefly; the trained reader is asked as `mplus ask` asks it. Knows tokenizers
through the bench.
"""

from __future__ import annotations

from mplus_cli.evaluation.arms import Reader
from mplus_cli.evaluation.bench import Bench

INSTRUCTION = "Answer with a few words."
"""What the base is told after the question; M+ learned it in training."""


def fit(
    bench: Bench, reader: Reader, question: str, context: str, limit: int, *, keep_end: bool
) -> list[int]:
    """The prompt of `text_prompt`, its text cut at one end so that an answer of `limit` tokens fits."""
    network = bench.network(reader)
    bare = text_prompt(bench, reader, question, "")
    positions = network.generate.positions - len(bench.start(reader).stm)
    positions -= network.config.recalled_tokens  # no prompt may stand there, recalled or not
    room = min(positions - limit, bench.budget + len(bare))
    ids = bench.encode(context)
    excess = 0
    while (kept := len(ids) - excess) > 0:
        part = context if not excess else bench.decode(ids[-kept:] if keep_end else ids[:kept])
        prompt = text_prompt(bench, reader, question, part)
        if len(prompt) <= room:
            return prompt
        excess += len(prompt) - room
    return bare


def text_prompt(bench: Bench, reader: Reader, question: str, context: str) -> list[int]:
    """The ids of BOS and a question behind a text.

    The base has its own chat template (or a plain form), the trained reader the checkpoint's prompt.
    """
    from models.prompts import PromptFormat

    shown, session = context or None, bench.session
    if reader != "base":
        prompt, _ = session.loaded.prompt.render(session.tokenizer, question, context=shown)
        return [session.model.bos_id, *prompt]
    briefly = f"{question.strip()} {INSTRUCTION}"
    prompt, _ = PromptFormat().render(bench.base.tokenizer, briefly, context=shown)
    bos = bench.base.bos_id
    return prompt if prompt[:1] == [bos] else [bos, *prompt]
