"""What the benchmarks of answers share: a question, and the time to its first token."""

from __future__ import annotations

from collections.abc import Callable

from models.generate import Generated, stream
from models.memory import Memory
from models.recall import look_up
from models.sampling import Sampling
from mplus_cli.runtime.session import Session

QUESTION = "Who keeps the lighthouse, and what did the keeper write in the logbook that night?"


def prompt_ids(opened: Session) -> list[int]:
    """The question as the model is asked."""
    return opened.loaded.prompt.render(opened.tokenizer, QUESTION)[0]


def first_token(opened: Session, memory: Memory) -> Callable[[], None]:
    """Answering up to the first token."""
    prompt, query = prompt_ids(opened), opened.plain_tokenizer.encode(QUESTION)[0]

    def ask() -> None:
        found = look_up(opened.model, memory, query)
        events = stream(opened.model, memory, found, prompt, max_new_tokens=8, sampling=Sampling())
        next(event for event in events if isinstance(event, Generated))

    return ask
