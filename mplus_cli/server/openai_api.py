"""OpenAI's API over memories: each memory is a model, and a chat is asked of it.

A completion has one more field than OpenAI's: `mplus`, the object of `mplus ask --json`.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from mplus_cli.asking.events import Answer, TextDelta
from mplus_cli.asking.question import Question
from mplus_cli.server.openai_requests import NEUTRAL, CommonRequest, Message
from mplus_cli.server.replies import collect, sse, stream
from mplus_cli.server.service import Service
from mplus_cli.server.spoken import refusal, spoken, where

_NEUTRAL = NEUTRAL | {
    "n": (None, 1),
    "stop": (None, [], ""),
    "functions": (None, []),
    "logprobs": (None, False),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
    "function_call": (None, "none", "auto"),
}


class StreamOptions(BaseModel):
    """What comes with a streamed answer."""

    include_usage: bool = False


class ChatRequest(CommonRequest):
    """A chat."""

    messages: list[Message]
    stream_options: StreamOptions | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    def to_question(self, strict: bool) -> Question:
        """As `question`; `strict` where the request does not say."""
        longest = self.max_completion_tokens
        return self.question(
            self.messages,
            _NEUTRAL,
            max_new_tokens=self.max_tokens if longest is None else longest,
            seed=self.seed or 0,
            strict=strict if self.strict is None else self.strict,
        )


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
        "annotations": _annotations(answer, base),
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
        delta: dict[str, Any] = {"annotations": _annotations(answer, self._base)}
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
            "start_index": 0,
            "end_index": end,
            "title": where(source),
            "url": f"{base}#{answer.memory}/{source.chunk}",
        }
        for source in answer.sources
    ]


def _annotations(answer: Answer, base: str) -> list[dict[str, Any]]:
    return [{"type": "url_citation", "url_citation": cited} for cited in citations(answer, base)]


def _model(name: str, created: str) -> dict[str, Any]:
    at = int(datetime.fromisoformat(created).timestamp()) if created else 0
    return {"id": name, "object": "model", "created": at, "owned_by": "mplus"}


def _head(model: str, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": model}
