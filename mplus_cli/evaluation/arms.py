"""The arms of an experiment: what is compared with what, all on the same base weights and questions.

An arm is a way to read (a reader: whose memory it asks) and a way to answer. Knows no tensors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mplus_cli.errors import UsageError

if TYPE_CHECKING:
    from models.evaluation import How

Reader = Literal["mplus", "identity", "swapped", "base"]
"""Whose memory: the checkpoint's; identity memory on its base; the checkpoint's with the adapters
exchanged; or none, the base with a prompt."""
Context = Literal["none", "gold", "window", "bm25"]
"""What stands in the base's prompt in front of the question."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm."""

    name: str
    about: str
    reader: Reader = "mplus"
    how: How = "learned"
    reread: int = 0
    """Chunks whose text is shown beside the memory."""
    context: Context = "none"
    top: int = 0
    """Chunks that BM25 puts into the prompt; 0: as many as fit."""

    @property
    def depends_on_reading(self) -> bool:
        """Whether what was read, and when, can change its answers."""
        return self.reader != "base" or self.context in ("window", "bm25")


_KNOWN = (
    Arm("mplus", "M+: long-term memory recalled by the retriever, and short-term memory"),
    Arm("closed-book", "the base without any text", "base"),
    Arm("gold", "the base with the right passage in its prompt", "base", context="gold"),
    Arm("window", "the base with the last tokens that fit", "base", context="window"),
    Arm("bm25", "the base with BM25's best chunks, as many as fit", "base", context="bm25"),
    Arm("bm25-1", "the base with BM25's best chunk", "base", context="bm25", top=1),
    Arm("stm-only", "M+ without long-term memory (what MemoryLLM keeps)", how="none"),
    Arm("identity", "the base with uncompressed key/value memory, untrained recall", "identity"),
    Arm("reread1", "M+ with the text of the best chunk in its prompt", reread=1),
    Arm("reread2", "M+ with the text of the two best chunks in its prompt", reread=2),
    Arm("random-recall", "ablation: M+ that recalls any chunks", how="random"),
    Arm("oracle-recall", "ablation: M+ that always recalls the right chunk", how="oracle"),
    Arm("no-retriever", "ablation: M+ that recalls the newest of long-term memory", how="newest"),
    Arm("swapped-adapters", "ablation: M+ with its two adapters exchanged", "swapped"),
)
ARMS = {arm.name: arm for arm in _KNOWN}
BASELINES = ("closed-book", "gold", "window", "bm25", "bm25-1", "identity")
ABLATIONS = ("random-recall", "oracle-recall", "no-retriever", "swapped-adapters")
DEFAULT = (
    "mplus",
    "closed-book",
    "gold",
    "window",
    "bm25",
    "bm25-1",
    "stm-only",
    "identity",
    "reread1",
    "reread2",
)
QUICK = ("mplus", "closed-book", "gold", "window", "bm25-1", "stm-only")
FOR_LOSS = ("mplus", "closed-book", "window", "stm-only", "identity")
"""The arms that next-token loss is measured for."""
_ALL = "all"


def parse_arms(text: str, known: Sequence[str] = tuple(ARMS)) -> tuple[Arm, ...]:
    """The arms that "a,b,c" or "all" names, in the order known; UsageError if one is not there."""
    names = list(known) if text == _ALL else [name for name in re.split(r"[,\s]+", text) if name]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose of {', '.join(known)}"
            raise UsageError(f"--arms: there is no arm {name} here: {hint}")
    if not names:
        raise UsageError(f"--arms is empty: choose of {', '.join(known)}, or all")
    return tuple(ARMS[name] for name in known if name in names)


def readers(arms: Sequence[Arm]) -> list[Reader]:
    """The readers of these arms, each once, in order."""
    return list(dict.fromkeys(arm.reader for arm in arms))
