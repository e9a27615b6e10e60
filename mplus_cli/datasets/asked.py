"""More labelled questions than there are labels: a copy of a base learns to ask, and asks of any text.

Knows files and a base's folder; learning and asking is `models.training.asking`.
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
    """What is to be asked of, and how."""

    qa: Sequence[Path]
    """Labelled passages: learned from, and asked of."""
    books: Sequence[Path]
    windows: int
    """Stretches of the books that are asked of."""
    base: Path
    device: str
    epochs: float
    each: int
    seed: int


def asked_records(order: AskingOrder, progress: Progress) -> Iterator[dict[str, Any]]:
    """The labelled passages with what was asked of them too, then stretches of books.

    Raises:
        DataSetError: data or base do not fit.
    """
    from models.checkpoints import CheckpointError, default_dtype
    from models.checkpoints.base import load_base
    from models.prompts import encode_plain
    from models.training import asking
    from models.training.data import DataError, read_books, read_passages
    from models.training.start import answer_end
    from mplus_cli.runtime.session import find_device

    device = find_device(order.device)
    dtype = default_dtype(device)
    config = asking.AskingConfig(epochs=order.epochs, each=order.each, seed=order.seed)
    try:
        passages = read_passages(order.qa)
        books = read_books(order.books)
        base = load_base(order.base, device=device, dtype=dtype, attention="sdpa")
    except (DataError, CheckpointError, OSError) as error:
        raise DataSetError(str(error)) from error
    tokenizer = base.tokenizer
    asker = asking.Asker(
        base.llama,
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
    parts = [asking.part_of(passage, config.window, draw) for passage in passages]
    stretches = asking.windows(books, order.windows, config.window, order.seed)
    texts = list(dict.fromkeys([*parts, *stretches]))
    found = []
    for asked in asker.ask(texts):
        found.append(asked)
        progress("asking", len(found), len(texts))
    for number, passage in enumerate(asking.with_questions(passages, parts, found)):
        qas = [{"question": q.text, "answers": list(q.answers)} for q in passage.questions]
        yield {"source": "asked", "id": str(number), "context": passage.text, "qas": qas}
