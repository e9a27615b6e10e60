"""The arms of an experiment: what is compared, all on the same base weights and questions.

An arm is a reader (whose memory is asked, or none) and a way to answer. Handles no tensors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.values import ANY, DOCUMENT, UNREAD, Question

Reader = Literal["mplus", "identity", "swapped", "base", "trained"]
"""Whose memory of the whole text: the checkpoint's; identity memory on its base; the checkpoint's with
the adapters exchanged. The base and the checkpoint's trained reader have none: each question brings
them a text of its own."""
RecallMode = Literal["learned", "oracle", "tokens", "random", "newest", "none"]
"""What is recalled: by the retriever; the right chunk first, then by the retriever; each layer's best
tokens, of whatever chunk; any; the newest; nothing at all."""
WITHOUT_MEMORY: tuple[Reader, ...] = ("base", "trained")


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm."""

    name: str
    about: str
    reader: Reader = "mplus"
    context: Literal["none", "gold", "window", "bm25"] = "none"
    """The text that a question brings."""
    top: int = 0
    """Chunks that BM25 chooses; 0: as many as fit."""
    as_memory: bool = False
    """Whether that text comes as memory tokens, written by the update pass into an empty memory, instead
    of in the prompt."""
    recall: RecallMode = "learned"
    reread: int | None = 0
    """The chunks whose text is shown beside the memory; None: as many as the checkpoint was trained
    with."""
    quote: bool = False
    """Whether answers are spans of the text in the context, as those of `mplus ask`."""
    limit: int | None = None
    """Ask it only the first so many questions of each kind; None: all."""

    def is_asked(self, question: Question, setting: str) -> bool:
        """Whether it is asked a question at a setting; once, where reading does not change its answer."""
        if self.context == "gold" and not (question.passage or question.pages):
            return False
        reads = self.reader not in WITHOUT_MEMORY or self.context in ("window", "bm25")
        if setting in (ANY, DOCUMENT):
            return setting == DOCUMENT or not reads
        return reads or (setting == UNREAD and self.context == "none")


_BASE, _READER = "the base", "the trained reader"
_ARMS = (
    Arm("mplus", "M+: long-term memory recalled by the retriever, and short-term memory"),
    Arm("quoted", "M+ as `mplus ask` asks it: answers stand in the text", quote=True, reread=None),
    Arm("quoted-memory", "the same from memory alone (`mplus ask --reread 0`)", quote=True),
    Arm("closed-book", f"{_BASE} without any text", "base"),
    Arm("gold", f"{_BASE} with the right passage in its prompt", "base", "gold"),
    Arm("window", f"{_BASE} with the last tokens that fit", "base", "window"),
    Arm("bm25", f"{_BASE} with BM25's best chunks, as many as fit", "base", "bm25"),
    Arm("bm25-1", f"{_BASE} with BM25's best chunk", "base", "bm25", 1),
    Arm("gold-reader", f"{_READER} with the right passage in its prompt", "trained", "gold"),
    Arm("bm25-1-reader", f"{_READER} with BM25's best chunk in its prompt", "trained", "bm25", 1),
    Arm("gold-memory", f"{_READER} with the passage as all its memory", "trained", "gold", 0, True),
    Arm("bm25-1-memory", f"{_READER} with BM25's chunk as its memory", "trained", "bm25", 1, True),
    Arm("stm-only", "M+ without long-term memory (what MemoryLLM keeps)", recall="none"),
    Arm("identity", f"{_BASE} with uncompressed key/value memory, untrained recall", "identity"),
    Arm("reread1", "M+ with the text of the best chunk in its prompt", reread=1),
    Arm("reread2", "M+ with the text of the two best chunks in its prompt", reread=2),
    Arm("random-recall", "ablation: M+ that recalls any chunks", recall="random"),
    Arm("oracle-recall", "ablation: M+ that always recalls the right chunk", recall="oracle"),
    Arm(
        "token-recall", "ablation: M+ that recalls each layer's best single tokens", recall="tokens"
    ),
    Arm(
        "no-retriever", "ablation: M+ that recalls the newest of long-term memory", recall="newest"
    ),
    Arm("swapped-adapters", "ablation: M+ with its two adapters exchanged", "swapped"),
)
ARMS = {arm.name: arm for arm in _ARMS}
DEFAULT = (
    "mplus,quoted,closed-book,gold,window:50,bm25:50,bm25-1:100,gold-reader,bm25-1-reader:100,"
    "gold-memory,bm25-1-memory:100,stm-only:50,identity:50,reread1:50,reread2:50"
)
"""Fewer questions for those that read thousands of tokens for each, or a text of their own."""
QUICK = (
    "mplus,quoted,closed-book,gold,window:6,bm25-1,gold-reader,bm25-1-reader,bm25-1-memory:12,"
    "stm-only:12"
)
FOR_LOSS = ("mplus", "closed-book", "window", "stm-only", "identity")
"""The arms that next-token loss is measured for."""
FOR_STORY = ("quoted", "quoted-memory", "mplus", "reread1", "reread2")
"""The arms that `mplus ask` has options for."""


def parse_arms(
    text: str, known: Sequence[str] = tuple(ARMS), *, limits: bool = True
) -> tuple[Arm, ...]:
    """The arms that "a,b:40,c" or "all" names, in the order known; b gets 40 questions of each kind.

    Args:
        limits: whether an arm may be given fewer questions.

    Raises:
        UsageError: an arm does not exist, or none is named.
    """
    parts = list(known) if text == "all" else [part for part in re.split(r"[,\s]+", text) if part]
    asked: dict[str, int | None] = {}
    for part in parts:
        name, colon, count = part.partition(":")
        if colon and not (limits and count.isdigit() and int(count)):
            raise UsageError(f"--arms: {part} is not understood: give {name} without a number")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(known)}"
            raise UsageError(f"--arms: there is no arm {name} here: {hint}")
        asked[name] = int(count) if colon else None
    if not asked:
        raise UsageError(f"--arms is empty: choose from {', '.join(known)}, or all")
    return tuple(replace(ARMS[name], limit=asked[name]) for name in known if name in asked)


def by_reader(arms: Sequence[Arm]) -> dict[Reader, list[Arm]]:
    """The arms of each reader together."""
    found: dict[Reader, list[Arm]] = {}
    for arm in arms:
        found.setdefault(arm.reader, []).append(arm)
    return found
