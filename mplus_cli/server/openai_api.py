"""OpenAI's API over memories: each memory is a model, and a chat is asked of it.

A completion has one more field than OpenAI's: `mplus`, the object of `mplus ask --json`. Fields that would
change an answer and are not supported are refused, and so are unknown ones; those that cannot change it,
such as `user`, are accepted and ignored.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from mplus_cli.asking.events import Answer, Question, Source, TextDelta, check
from mplus_cli.errors import UsageError
from mplus_cli.server.replies import collect, sse, stream
from mplus_cli.server.service import Service
from mplus_cli.wording import NO_ANSWER, NOT_SURE, answer_text, place

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "stop": (None, [], ""),
    "tools": (None, []),
    "functions": (None, []),
    "logprobs": (None, False),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
    "tool_choice": (None, "none", "auto"),
    "function_call": (None, "none", "auto"),
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


class Message(BaseModel):
    """A message of a chat."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat. `model` is a memory; `documents`, `strict`, `quote` and `reread` are ours."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Message]
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    documents: list[str] = []
    strict: bool | None = None
    quote: bool = True
    reread: int | None = None

    def to_question(self, strict: bool) -> Question:
        """The last message as a question, those before it as turns.

        Raises:
            UsageError: it is not valid, or asks for something that is not supported.
        """
        for name, value in (self.model_extra or {}).items():
            if name not in _HARMLESS and value not in _NEUTRAL.get(name, (None,)):
                raise UsageError(f"{name[:40]} is not supported here: leave it out")
        turns, question = _conversation(self.messages)
        longest = self.max_completion_tokens
        asked = Question(
            question,
            turns=tuple(turns),
            max_new_tokens=self.max_tokens if longest is None else longest,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed or 0,
            reread=self.reread,
            documents=tuple(self.documents),
            quote=self.quote,
            strict=strict if self.strict is None else self.strict,
        )
        check(asked)
        return asked


def routes(service: Service, strict: bool) -> APIRouter:
    """The routes under `/v1`."""
    router = APIRouter(prefix="/v1")

    @router.get("/models", summary="The memories, as models")
    def models() -> dict[str, Any]:
        sound = [summary for summary in service.mplus.memories() if summary.error is None]
        return {"object": "list", "data": [_model(line.name, line.created) for line in sound]}

    @router.get("/models/{name}", summary="A memory, as a model")
    def model(name: str) -> dict[str, Any]:
        return _model(name, service.memory(name).stored.view().created)

    @router.post("/chat/completions", summary="Answer the last message of a chat")
    async def chat(asked: ChatRequest, request: Request) -> Any:
        question = asked.to_question(strict)
        job = await service.ask(asked.model, question)
        base = str(request.base_url)
        if asked.stream:
            with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
            chunks = Chunks(asked.model, base, with_usage)
            return await stream(request, job, chunks.text, "data: [DONE]\n\n")
        events = await collect(request, job)
        answer = next(event for event in events if isinstance(event, Answer))
        return completion(answer, base)

    return router


def completion(answer: Answer, base: str) -> dict[str, Any]:
    """A whole answer."""
    message = {
        "role": "assistant",
        "content": spoken(answer),
        "refusal": refusal(answer),
        "annotations": citations(answer, base),
    }
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_reason(answer),
        "logprobs": None,
    }
    return {
        **_head(answer.memory, "chat.completion"),
        "choices": [choice],
        "usage": usage(answer),
        "mplus": answer.to_json(),
    }


class Chunks:
    """The events of one answer as chunks of a streamed completion."""

    def __init__(self, model: str, base: str, with_usage: bool) -> None:
        self._head = _head(model, "chat.completion.chunk")
        self._base = base
        self._with_usage = with_usage
        self._said = ""
        self._begun = False

    def text(self, event: Any) -> str:
        """What is sent for an event."""
        if isinstance(event, TextDelta):
            self._said += event.text
            return self._chunk({"content": event.text})
        return self._end(event) if isinstance(event, Answer) else ""

    def _end(self, answer: Answer) -> str:
        content = spoken(answer)
        left = content.removeprefix(self._said)
        delta: dict[str, Any] = {"annotations": citations(answer, self._base)}
        if (refused := refusal(answer)) is not None:
            delta["refusal"] = refused
        sent = self._chunk({"content": left}) if left else ""
        sent += self._chunk(delta, finish_reason(answer), {"mplus": answer.to_json()})
        if self._with_usage:
            sent += sse({**self._head, "choices": [], "usage": usage(answer)})
        return sent

    def _chunk(
        self, delta: dict[str, Any], finish: str | None = None, more: dict[str, Any] | None = None
    ) -> str:
        if not self._begun:
            delta = {"role": "assistant", **delta}
            self._begun = True
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sse({**self._head, "choices": [choice], **(more or {})})


def spoken(answer: Answer) -> str:
    """What a chat shows: the answer, and where it is not sure, that and the passage that fits best."""
    if answer.reason == "unsure":
        text = NO_ANSWER
    elif answer.doubtful:
        text = f"{answer.answer}\n\n{NOT_SURE}."
    else:
        return answer.answer
    if not answer.sources or not answer.sources[0].quote:
        return text
    best = answer.sources[0]
    quote = " ".join((best.quote or "").split())
    return f"{text} The passage that fits best ({_where(best)}):\n\n> {quote}"


def refusal(answer: Answer) -> str | None:
    """Why there is no answer, in one line; None where there is one."""
    if not answer.refused:
        return None
    return answer_text(answer.answer, answer.reason)


def finish_reason(answer: Answer) -> Literal["stop", "length"]:
    """`length` where it was cut short; all other ends are `stop`, and `mplus.reason` says which."""
    return "length" if answer.reason == "length" else "stop"


def usage(answer: Answer) -> dict[str, int]:
    """Tokens; those of memory are not part of a prompt, and are in `mplus.usage`."""
    prompt, new = answer.usage.prompt_tokens, answer.usage.new_tokens
    return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}


def citations(answer: Answer, base: str) -> list[dict[str, Any]]:
    """The sources, each with an address of this server that shows it in its chapter."""
    end = len(answer.answer)
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": end,
                "title": _where(source),
                "url": f"{base}#{answer.memory}/{source.chunk}",
            },
        }
        for source in answer.sources
    ]


def _where(source: Source) -> str:
    return place(source.document, source.pages, source.place)


def _model(name: str, created: str) -> dict[str, Any]:
    at = int(datetime.fromisoformat(created).timestamp()) if created else 0
    return {"id": name, "object": "model", "created": at, "owned_by": "mplus"}


def _head(model: str, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": model}


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
            turns.append((waiting, text))
            waiting = None
        elif message.role not in ("system", "developer", "assistant"):
            raise UsageError(f"a message of role {message.role[:40]!r} is not understood here")
    if waiting is None:
        raise UsageError("the last message is not a question of the user: add one")
    return turns, waiting


def _text(message: Message) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    parts = [part.get("text") for part in message.content if part.get("type") == "text"]
    if len(parts) < len(message.content) or not all(isinstance(part, str) for part in parts):
        raise UsageError("a message has a part that is not text: only text is read here")
    return "\n".join(str(part) for part in parts)
