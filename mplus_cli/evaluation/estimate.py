"""What a retention run is going to take, worked out before it begins from a few measured unit costs.

Upper bounds: every answer counts as long as it may be. Knows the plan, the arms and the bench.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.evaluation.asking import LIMIT
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import kept_bytes
from mplus_cli.evaluation.values import Question
from mplus_cli.wording import size

_WORDING = 50
"""Tokens of a question in its template, about."""
_SPOKEN = 4
"""Tokens of the answer that is timed."""


@dataclass(frozen=True, slots=True)
class Units:
    """Seconds a token, on this machine now."""

    read: float
    """Of a chunk read into memory."""
    prompt: float
    """Of a prompt."""
    answer: float
    """Of an answer."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is still to be done, in tokens and questions."""

    read: int = 0
    prompts: int = 0
    questions: int = 0
    disk: int = 0
    """Bytes of memory on the disk while it runs: of one reader at a time."""

    def __add__(self, other: Work) -> Work:
        return Work(
            self.read + other.read,
            self.prompts + other.prompts,
            self.questions + other.questions,
            max(self.disk, other.disk),
        )

    def seconds(self, units: Units) -> float:
        answers = self.questions * LIMIT * units.answer
        return self.read * units.read + self.prompts * units.prompt + answers


def asking(bench: Bench, asked: Iterable[tuple[Arm, Question]]) -> Work:
    """The work of putting questions to arms."""
    prompts = [_prompt_tokens(bench, arm, question) for arm, question in asked]
    return Work(prompts=sum(prompts), questions=len(prompts))


def reading(bench: Bench, reader: Reader, *, stream: int, alone: int) -> Work:
    """The work of reading chunks of one stream, whose memory is kept, and chunks alone."""
    from models.evaluation import long_term_bytes

    tokens = bench.chunk_tokens
    disk = stream * tokens * long_term_bytes(bench.network(reader)) if stream else 0
    return Work(read=(stream + alone) * tokens, disk=round(disk))


def check_room(work: Work, folder: Path) -> None:
    """Check, before hours of reading, that the disk has room for the memory.

    Args:
        folder: of the run.

    Raises:
        MplusError: it has not.
    """
    # What an interrupted run left there is gone on with.
    needed, free = work.disk - kept_bytes(folder), shutil.disk_usage(folder).free
    if needed > free:
        raise MplusError(
            f"reading takes {size(needed)} of disk for a while, and {size(free)} are free: "
            "free some, put --out on another disk, or give smaller --tokens"
        )


def measure(bench: Bench, chunk: list[int]) -> Units:
    """Time one chunk and one short answer, each the second of its kind."""
    from models.evaluation import answer_ids, recall_as
    from models.update import read_chunk

    network = bench.session.model
    memory = read_chunk(network, network.empty_memory(), chunk)
    started = time.perf_counter()
    memory = read_chunk(network, memory, chunk)
    read = (time.perf_counter() - started) / len(chunk)
    _, recall = recall_as(network, memory, chunk[:8], "none", learned=())
    room = network.generate.positions - network.config.prefix_tokens - _SPOKEN
    prompt = chunk[: min(256, room)]
    times = [time.perf_counter()]
    for _ in answer_ids(network, memory, recall, prompt, limit=_SPOKEN, stop_ids=()):
        times.append(time.perf_counter())
    return Units(read, (times[1] - times[0]) / len(prompt), (times[-1] - times[1]) / (_SPOKEN - 1))


def describe(work: Work, units: Units) -> str:
    """A line about it."""
    minutes = work.seconds(units) / 60
    return (
        f"to do: {work.read:,} tokens to read ({1 / units.read:,.0f} a second), "
        f"{work.questions:,} questions ({work.prompts:,} tokens of prompts): "
        f"at most about {minutes:,.0f} min at this pace"
        + (f", and {size(work.disk)} of disk until it is done" if work.disk else "")
    )


def _prompt_tokens(bench: Bench, arm: Arm, question: Question) -> int:
    held = {
        "none": arm.reread * bench.chunk_tokens,
        "gold": len(question.passage or "") // 4,
        "window": bench.budget,
        "bm25": arm.top * bench.chunk_tokens or bench.budget,
    }
    return _WORDING + min(held[arm.context], bench.budget)
