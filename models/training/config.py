"""The settings of a training run: what is trained, on what, for how long. Read, validated and saved
whole.

Handles no tensors; `models.training.loop` carries it out.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.config import ConfigError, MPlusConfig
from models.durable import recover

LAST = "last"
"""The subfolder with what a run needs to resume."""
_SHARES = (
    "past",
    "fresh",
    "unanswerable",
    "sisters",
    "near_misses",
    "facts",
    "padding",
    "reread_share",
    "final_rate",
)
PROMPT_TEMPLATE = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """One stage of training. Token counts are text tokens unless said otherwise."""

    model: dict[str, Any] = field(default_factory=dict)
    """Fields of `MPlusConfig` for the checkpoint that is trained."""
    qa: tuple[str, ...] = ()
    """JSON-lines files of passages with questions (`.jsonl` or `.jsonl.gz`)."""
    books: tuple[str, ...] = ()
    """JSON-lines files of whole books."""
    validation: tuple[str, ...] = ()
    """JSON-lines files of passages with questions that are never trained on."""

    steps: int = 1000
    streams: int = 2
    """Chunks written a step, each from a stream of text of its own."""
    questions: int = 6
    """Questions asked of each stream a step, at most."""
    continuations: int = 1
    """Passages that each stream repeats from memory, word for word, a step."""
    continuation_tokens: int = 96
    cue_tokens: int = 12
    """Tokens of a continuation that are shown as its prompt."""
    new_text: bool = False
    """Whether each stream also predicts the next `continuation_tokens` of its book, which were not read:
    a reader trained only to answer and repeat stops being a language model."""
    continuation_weight: float = 1.0
    """Weight of the loss of continuations; answers weigh 1."""
    distractors: int = 4
    """Other chunks in the prefix, at most; the number is drawn at each step."""
    past: float = 0.3
    """Share of steps whose questions may be about earlier chunks of the stream."""
    fresh: float = 0.3
    """Share of chunks that start a new stream (nothing before them)."""
    unanswerable: float = 0.1
    """Share of questions whose passage was not read: the answer is the refusal."""
    sisters: float = 0.0
    """Share of those that are about the passage that the stream reads next: with `topics`, one of the
    same topic."""
    near_misses: float = 0.0
    """Share of passages that lose a sentence before they are written; the questions that only it answered
    are asked, and the answer is the refusal. The same share of groups of facts is asked for one that is
    missing."""
    facts: float = 0.15
    """Share of passages that are made-up facts."""
    reread: int = 0
    """From how many chunks of the prefix passages are shown in a prompt, between the question and its
    repetition, so that the reader reads them knowing what is asked; 0: no prompt has any. The checkpoint
    is then asked so as well."""
    reread_share: float = 0.65
    """Share of questions whose prompt has them; the others are answered from memory alone."""
    text_lora_rank: int = 0
    """Rank of the adapter of a reader of text, which has no memory and gives a second opinion; that adapter
    alone is then trained, on questions with passages in their prompt (see `reread`). 0: there is none."""
    spans: int = 0
    """Train only on answers of at most this many words that occur in their passage; 0: on all."""
    passage_questions: int = 0
    """Questions drawn each time a passage is read, at most; 0: all. Without it, data sets with dozens a
    passage outweigh the others."""
    padding: float = 0.3
    """Chance after each passage that the rest of its chunk is book text."""
    clozes: int = 0
    """Cloze questions made from the sentences of each passage and page, at most."""
    topics: int = 0
    """Number of topics to draw passages by, one after the other: neighbours in a stream are then alike,
    and harder to tell apart; 0: in random order."""
    pool: int = 32
    """Recent chunks kept as distractors and as the retriever's negatives."""
    negatives: int = 14
    """Wrong chunks that the retriever chooses among, per step."""
    recall_questions: int = 0
    """Questions about those chunks that train the retriever alone, per stream and step."""

    learning_rate: float = 5e-4
    retriever_learning_rate: float = 1e-3
    warmup: int = 20
    final_rate: float = 0.1
    """Learning rate at the end, as a share of the peak (cosine schedule)."""
    weight_decay: float = 0.0
    clip: float = 1.0
    accumulate: int = 1
    """Batches per optimiser step."""
    train_update: bool = True
    train_generate: bool = True
    train_retriever: bool = True
    retriever_weight: float = 0.3

    seed: int = 0
    save_every: int = 100
    validate_every: int = 200
    validation_questions: int = 50

    def __post_init__(self) -> None:
        MPlusConfig.from_dict(dict(self.model))
        for name in ("steps", "streams", "pool", "accumulate", "save_every", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: give 1 or more")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: give 0 to 1")
        if self.cue_tokens >= self.continuation_tokens:
            raise ConfigError("cue_tokens must be less than continuation_tokens")
        if self.text_lora_rank and not self.reread:
            raise ConfigError("a reader of text is shown passages: set reread to 1 or more")
        if not (self.train_update or self.train_generate or self.train_retriever):
            raise ConfigError("nothing is trained: set train_update, train_generate or both")

    @property
    def mplus(self) -> MPlusConfig:
        """The checkpoint's configuration."""
        return MPlusConfig.from_dict(dict(self.model))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, path: Path, **overrides: Any) -> TrainingConfig:
        """A configuration from a JSON file, with some fields replaced.

        Raises:
            ConfigError: not JSON, an unknown field, or a value out of range.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from None
        known = {entry.name for entry in dataclasses.fields(cls)}
        values.update({name: value for name, value in overrides.items() if value is not None})
        for name in values:
            if name not in known:
                raise ConfigError(f"{path}: unknown field {name!r}")
        for name in ("qa", "books", "validation"):
            values[name] = tuple(values.get(name, ()))
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"{path}: {error}") from None


def has_saved(folder: Path) -> bool:
    """Whether this folder holds a saved run, to resume."""
    recover(folder / LAST)
    return (folder / LAST).exists()
