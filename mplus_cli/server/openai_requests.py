"""What requests of OpenAI's API have in common, and how their messages become a question.

Fields that would change an answer and are not supported are refused, and so are unknown ones; those that
cannot change it, such as `user`, are accepted and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from mplus_cli.asking.question import Question, check
from mplus_cli.errors import UsageError
from mplus_cli.server.spoken import heard

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
}
"""Fields that are accepted with a value that asks for nothing."""
_HARMLESS = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Fields that client libraries send and that cannot change an answer: accepted and ignored."""
_TEXTS = ("text", "input_text", "output_text")
"""Parts of a message that are text: of chats, and of the newer API."""


class Message(BaseModel):
    """A message of a chat."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class CommonRequest(BaseModel):
    """What all requests have. `model` is a memory; `documents`, `strict`, `quote` and `reread` are ours."""

    model_config = ConfigDict(extra="allow")

    model: str
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    documents: list[str] = []
    strict: bool | None = None
    quote: bool = True
    reread: int | None = None

    def question(
        self, messages: list[Message], neutral: Mapping[str, tuple[Any, ...]], **more: Any
    ) -> Question:
        """The last message as a question, those before it as turns.

        Args:
            neutral: fields that are accepted with these values.
            more: other fields of the question.

        Raises:
            UsageError: it is not valid, or asks for something that is not supported.
        """
        for name, value in (self.model_extra or {}).items():
            if name not in _HARMLESS and value not in neutral.get(name, (None,)):
                raise UsageError(f"{name[:40]} is not supported here: leave it out")
        turns, text = _conversation(messages)
        asked = Question(
            text,
            turns=tuple(turns),
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            reread=self.reread,
            documents=tuple(self.documents),
            quote=self.quote,
            **more,
        )
        check(asked)
        return asked


def _conversation(messages: list[Message]) -> tuple[list[tuple[str, str]], str]:
    """The turns before the question, and the question: the user's last message. An earlier one that was not
    answered is a turn without an answer. System messages are ignored: the reader follows no instructions."""
    turns: list[tuple[str, str]] = []
    waiting: str | None = None
    for message in messages:
        text = _text(message)
        if message.role == "user":
            if waiting is not None:
                turns.append((waiting, ""))
            waiting = text
        elif message.role == "assistant" and waiting is not None:
            turns.append((waiting, heard(text)))
            waiting = None
        elif message.role not in ("system", "developer", "assistant"):
            raise UsageError(f"a message of role {message.role[:40]!r} is not understood here")
    if waiting is None:
        raise UsageError("the last message is not a question of the user: add one")
    return turns, waiting


def _text(message: Message) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    parts = [part.get("text") for part in message.content if part.get("type") in _TEXTS]
    if len(parts) < len(message.content) or not all(isinstance(part, str) for part in parts):
        raise UsageError("a message has a part that is not text: only text is read here")
    return "\n".join(str(part) for part in parts)
