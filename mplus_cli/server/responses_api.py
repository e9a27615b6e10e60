"""`/v1/responses` of OpenAI's API, as far as questions need it: nothing is kept between two requests.

A response has one more field than OpenAI's: `mplus`, the object of `mplus ask --json`.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from fastapi import APIRouter, Request

from mplus_cli.asking.events import Answer, TextDelta
from mplus_cli.asking.question import Question
from mplus_cli.errors import UsageError
from mplus_cli.server.openai_api import citations
from mplus_cli.server.openai_requests import NEUTRAL, CommonRequest, Message
from mplus_cli.server.replies import collect, sse, stream
from mplus_cli.server.service import Service
from mplus_cli.server.spoken import spoken

_NEUTRAL = NEUTRAL | {
    "background": (None, False),
    "include": (None, []),
    "text": (None, {}, {"format": {"type": "text"}}),
    "top_logprobs": (None, 0),
    "truncation": (None, "auto", "disabled"),
}
_PLACE = {"output_index": 0, "content_index": 0}


class Item(Message):
    """An item of the input. A message may leave out its type; other types are refused."""

    type: str | None = None


class ResponseRequest(CommonRequest):
    """A question. `instructions` are ignored, as system messages are."""

    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    stream_options: dict[str, Any] | None = None

    def to_question(self, strict: bool) -> Question:
        """As `CommonRequest.question`; `strict` where the request does not say."""
        if (self.model_extra or {}).get("previous_response_id") is not None:
            raise UsageError("no response is kept here: give the conversation's messages as input")
        given = self.input
        messages = [Message(role="user", content=given)] if isinstance(given, str) else given
        for item in messages:
            if isinstance(item, Item) and item.type not in (None, "message"):
                raise UsageError(f"{item.type[:40]} is not understood here: give messages")
        return self.question(
            list(messages),
            _NEUTRAL,
            max_new_tokens=self.max_output_tokens,
            strict=strict if self.strict is None else self.strict,
        )


def routes(service: Service, strict: bool) -> APIRouter:
    """The route under `/v1`."""
    router = APIRouter(prefix="/v1")

    @router.post("/responses", summary="Answer a question, or the last message of a conversation")
    async def respond(asked: ResponseRequest, request: Request) -> Any:
        question = asked.to_question(strict)
        job = await service.ask(asked.model, question)
        response = Response(asked.model, str(request.base_url))
        if asked.stream:
            return await stream(request, job, response.text)
        events = await collect(request, job)
        return response.whole(next(event for event in events if isinstance(event, Answer)))

    return router


class Response:
    """One response, whole or as the events of a stream."""

    def __init__(self, model: str, base: str) -> None:
        self._id, self._item = f"resp_{uuid.uuid4().hex}", f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self._base = base
        self._said = ""
        self._sent = 0

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The response at its end."""
        cut = answer.reason == "length"
        prompt, new = answer.usage.prompt_tokens, answer.usage.new_tokens
        item = self._message(answer)
        return {
            **self._head("incomplete" if cut else "completed", [item]),
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "usage": {
                "input_tokens": prompt,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": new,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + new,
            },
            "mplus": answer.to_json(),
        }

    def text(self, event: Any) -> str:
        """What is sent for an event."""
        sent = "" if self._sent else self._begin()
        if isinstance(event, TextDelta):
            self._said += event.text
            return sent + self._delta(event.text)
        return sent + self._end(event) if isinstance(event, Answer) else sent

    def _begin(self) -> str:
        head = self._head("in_progress", [])
        item = {**self._item_head("in_progress"), "content": []}
        return (
            self._event("response.created", response=head)
            + self._event("response.in_progress", response=head)
            + self._event("response.output_item.added", output_index=0, item=item)
            + self._part("response.content_part.added", part=_part("", []))
        )

    def _end(self, answer: Answer) -> str:
        whole = self.whole(answer)
        (item,) = whole["output"]
        (part,) = item["content"]
        left = part["text"].removeprefix(self._said)
        sent = self._delta(left) if left else ""
        for number, note in enumerate(part["annotations"]):
            kind = "response.output_text.annotation.added"
            sent += self._part(kind, annotation_index=number, annotation=note)
        sent += self._part("response.output_text.done", text=part["text"], logprobs=[])
        sent += self._part("response.content_part.done", part=part)
        sent += self._event("response.output_item.done", output_index=0, item=item)
        return sent + self._event(f"response.{whole['status']}", response=whole)

    def _delta(self, text: str) -> str:
        return self._part("response.output_text.delta", delta=text, logprobs=[])

    def _part(self, kind: str, **values: Any) -> str:
        return self._event(kind, item_id=self._item, **_PLACE, **values)

    def _event(self, kind: str, **values: Any) -> str:
        value = {"type": kind, "sequence_number": self._sent, **values}
        self._sent += 1
        return f"event: {kind}\n{sse(value)}"

    def _message(self, answer: Answer) -> dict[str, Any]:
        notes = [{"type": "url_citation", **cited} for cited in citations(answer, self._base)]
        status = "incomplete" if answer.reason == "length" else "completed"
        return {**self._item_head(status), "content": [_part(spoken(answer), notes)]}

    def _item_head(self, status: str) -> dict[str, Any]:
        return {"id": self._item, "type": "message", "role": "assistant", "status": status}

    def _head(self, status: str, output: list[Any]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._model,
            "output": output,
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
            "usage": None,
        }


def _part(text: str, annotations: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
