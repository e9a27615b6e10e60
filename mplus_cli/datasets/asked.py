"""Question generation: a copy of a base learns to ask from labelled passages, and asks about any text.

Deals with files and a base's folder; `models.training.asking` learns and asks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplus_cli.datasets.values import DataSetError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class AskingOrder:
    """What to ask about, and how."""

    qa: Sequence[Path]
    """Labelled passages: to learn from, and to ask about."""
    books: Sequence[Path]
    windows: int
    """Excerpts of the books to ask about."""
    base: Path
    device: str
    epochs: float
    each: int
    seed: int


def asked_records(order: AskingOrder, progress: Progress) -> Iterator[dict[str, Any]]:
    """The labelled passages with the questions generated about them, then excerpts of books with theirs.

    Raises:
        DataSetError: data or base do not fit.
    """
    from models.checkpoints import CheckpointError, default_dtype
    from models.checkpoints.base import load_base
    from models.checkpoints.gguf import transformers_model
    from models.prompts import encode_plain
    from models.training import asking, excerpts
    from models.training.data import DataError, read_books, read_passages
    from models.training.start import answer_end
    from mplus_cli.runtime.session import find_device

    device = find_device(order.device)
    dtype = default_dtype(device)
    config = asking.AskingConfig(epochs=order.epochs, each=order.each, seed=order.seed)
    try:
        passages = read_passages(order.qa)
        books = read_books(order.books)
        base = load_base(order.base, device=device, dtype=dtype)
        asking_model = transformers_model(order.base, device=device, dtype=dtype)
    except (DataError, CheckpointError, OSError) as error:
        raise DataSetError(str(error)) from error
    tokenizer = base.tokenizer
    asker = asking.QuestionGenerator(
        asking_model,
        lambda text: encode_plain(tokenizer, text),
        lambda ids: str(tokenizer.decode(ids)),
        start=base.bos_id,
        end=answer_end(tokenizer, base.stop_ids),
        config=config,
    )
    try:
        for learned in asker.learn(passages):
            progress("learning to ask", learned.step, learned.steps)
    except DataError as error:
        raise DataSetError(str(error)) from error
    draw = random.Random(order.seed)
    parts = [excerpts.part_of(passage, config.window, draw) for passage in passages]
    stretches = excerpts.windows(books, order.windows, config.window, order.seed)
    texts = list(dict.fromkeys([*parts, *stretches]))
    found = []
    for asked in asker.ask(texts):
        found.append(asked)
        progress("asking", len(found), len(texts))
    for number, passage in enumerate(asking.with_questions(passages, parts, found)):
        qas = [{"question": q.text, "answers": list(q.answers)} for q in passage.questions]
        yield {"source": "asked", "id": str(number), "context": passage.text, "qas": qas}
