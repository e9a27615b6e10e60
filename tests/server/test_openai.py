"""OpenAI's API, with OpenAI's own client against a live server, and how answers are mapped to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mplus_cli.asking.events import Answer, Source, TextDelta, Usage
from mplus_cli.place import Place

openai = pytest.importorskip("openai")
pytest.importorskip("fastapi")
api = pytest.importorskip("mplus_cli.server.openai_api")

REFUSAL = "The text does not say."
SOURCE = Source(
    "Moonfleet",
    (4, 5),
    7,
    0.5,
    "He kept a locket.",
    Place(("The Vault",)),
    (0, 17),
    None,
)
ANSWER = Answer(
    "Who?", "Ratsey", "book", "tiny", (SOURCE,), Usage(9, 2, 48, 64, 100, 0.1, 0.2), "stop", 0.9
)


@pytest.fixture
def client(live: Any) -> Any:
    with openai.OpenAI(base_url=f"{live.address}v1", api_key="none", max_retries=0) as made:
        yield made


def ask(client: Any, text: str = "Who is the sexton?", **options: Any) -> Any:
    options = {"model": "book", "max_tokens": 8, **options}
    return client.chat.completions.create(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}],
        **options,
    )


def test_the_memories_are_models(client: Any) -> None:
    assert "book" in [model.id for model in client.models.list()]
    model = client.models.retrieve("book")
    assert (model.object, model.owned_by) == ("model", "mplus") and model.created > 1_500_000_000
    with pytest.raises(openai.NotFoundError, match='there is no memory "boo"; did you mean "book"'):
        client.models.retrieve("boo")


def test_an_answer_whole_and_streamed(client: Any, live: Any) -> None:
    whole = ask(client)
    (choice,) = whole.choices
    told = whole.model_extra["mplus"]
    assert choice.message.content == told["answer"] and choice.message.refusal is None
    assert choice.finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.usage.completion_tokens == told["usage"]["new_tokens"]
    cited = [note.url_citation for note in choice.message.annotations]
    assert [note.url for note in cited] == [
        f"{live.address}#book/{source['chunk']}" for source in told["sources"]
    ]
    assert all("Moonfleet" in note.title for note in cited)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == choice.message.content
    assert len(deltas[-1].model_extra["annotations"]) == len(cited)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] is not None
    assert chunks[-1].usage == whole.usage


def test_turns_and_options_reach_the_question(client: Any) -> None:
    messages = [
        {"role": "user", "content": "Who swam to the rocks?"},
        {"role": "assistant", "content": "Pim"},
        {"role": "user", "content": [{"type": "text", "text": "Where to?"}]},
    ]
    options = {"temperature": 1.5, "seed": 3, "max_completion_tokens": 8, "model": "book"}
    extra = {"extra_body": {"documents": ["Moonfleet"], "quote": False}}
    first, second = (
        client.chat.completions.create(messages=messages, **options, **extra) for _ in range(2)
    )
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.model_extra["mplus"]["question"] == "Where to?"
    alone = ask(client, "Where to?", **{k: v for k, v in options.items() if k != "model"})
    assert alone.usage.prompt_tokens < first.usage.prompt_tokens


def test_a_question_about_the_whole_is_a_refusal(client: Any) -> None:
    answer = ask(client, "What is the book about?")
    message = answer.choices[0].message
    assert message.refusal == message.content and answer.model_extra["mplus"]["reason"] == "whole"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 2}, "n is not supported"),
        ({"stop": ["x"]}, "stop is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
        ({"extra_body": {"document": "Emma"}}, "document is not supported"),
        ({"reasoning_effort": "high"}, "reasoning_effort is not supported"),
        ({"temperature": -1}, "--temperature"),
        ({"max_tokens": 0}, "--max-new-tokens"),
        ({"extra_body": {"documents": ["Emma"]}}, 'there is no document "Emma"'),
        ({"extra_body": {"documents": 3}}, "documents: input should be a valid list"),
        ({"extra_body": {"strict": True}}, "does not say how sure"),
        ({"stream": True, "extra_body": {"documents": ["Emma"]}}, "no document"),
    ],
)
def test_what_cannot_be_heeded_is_refused(client: Any, options: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask(client, **options)


def test_what_cannot_change_an_answer_is_accepted(client: Any) -> None:
    harmless = {"user": "me", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"}
    answer = ask(client, **harmless, tool_choice="none", extra_body={"whatever": None})
    assert answer.choices[0].message.content == ask(client).choices[0].message.content


def test_a_message_that_was_not_answered_is_a_turn() -> None:
    """Of two messages of the user in a row the first is no more lost than one that was answered."""
    said = [
        ("user", "Who is Ratsey?"),
        ("user", "And Pim?"),
        ("assistant", "A sailor"),
        ("user", "Why?"),
    ]
    messages = [{"role": role, "content": text} for role, text in said]
    question = api.ChatRequest(model="book", messages=messages).to_question(False)
    assert question.turns == (("Who is Ratsey?", ""), ("And Pim?", "A sailor"))
    assert question.text == "Why?"


def test_messages_without_a_question(client: Any) -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    for messages in (
        [{"role": "assistant", "content": "Hello"}],
        [{"role": "tool", "content": "x", "tool_call_id": "1"}],
        [{"role": "user", "content": image}],
        [{"role": "user", "content": " "}],
    ):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="book", messages=messages)
    with pytest.raises(openai.NotFoundError):
        ask(client, model="nobody")


@pytest.mark.parametrize(
    ("changes", "content", "refusal", "finish"),
    [
        ({}, "Ratsey", None, "stop"),
        ({"reason": "length"}, "Ratsey", None, "length"),
        ({"answer": REFUSAL, "reason": "refused", "confidence": None}, REFUSAL, REFUSAL, "stop"),
        (
            {"answer": REFUSAL, "reason": "unsure", "confidence": None},
            f'{api.NO_ANSWER} The passage that fits best (Moonfleet, p. 4-5, "The Vault"):'
            "\n\n> He kept a locket.",
            api.NO_ANSWER,
            "stop",
        ),
        (
            {"doubtful": True, "confidence": 0.3},
            "Ratsey\n\nNot sure of this answer. The passage that fits best (Moonfleet, p. 4-5, "
            '"The Vault"):\n\n> He kept a locket.',
            None,
            "stop",
        ),
    ],
    ids=["sure", "cut", "refused", "unsure", "doubtful"],
)
def test_how_sure_it_is_shows(changes: Any, content: str, refusal: str | None, finish: str) -> None:
    """In the text itself: few clients show anything else. Streamed it is the same."""
    answer = replace(ANSWER, **changes)
    whole = api.completion(answer, "http://here/")
    (choice,) = whole["choices"]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (content, refusal)
    assert choice["finish_reason"] == finish
    assert whole["mplus"] == answer.to_json()
    chunks = api.Chunks("book", "http://here/", False)
    said = [] if answer.is_unsure else [chunks.text(TextDelta(answer.answer))]
    streamed = "".join([*said, chunks.text(answer)])
    deltas = [
        json.loads(line[6:])["choices"][0]["delta"]
        for line in streamed.splitlines()
        if line.startswith("data: ")
    ]
    assert "".join(delta.get("content", "") for delta in deltas) == content
    assert deltas[-1].get("refusal") == refusal and deltas[0]["role"] == "assistant"
