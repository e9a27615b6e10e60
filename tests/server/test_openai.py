"""OpenAI's API, with OpenAI's own client against a live server, and how answers are mapped to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mplus_cli.asking.events import Answer, Retrieved, Source, TextDelta, Usage
from mplus_cli.place import Place
from mplus_cli.server.spoken import spoken
from mplus_cli.wording import NO_ANSWER, SILENT

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


def test_a_message_of_any_type_is_one_in_a_chat() -> None:
    """`type` means something in `/v1/responses` only, where a message may leave it out."""
    asked = {"role": "user", "content": "Why?"}
    for type in ("message", "chat", None, {"of": "whatever"}):
        chat = api.ChatRequest(model="book", messages=[asked | {"type": type}])
        assert chat.to_question(False).text == "Why?"
    responses_api = pytest.importorskip("mplus_cli.server.responses_api")
    for given in (asked, asked | {"type": None}, asked | {"type": "message"}):
        response = responses_api.ResponseRequest(model="book", input=[given])
        assert response.to_question(False).text == "Why?"


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
        ({"answer": REFUSAL, "reason": "refused", "confidence": None}, SILENT, SILENT, "stop"),
        (
            {"answer": REFUSAL, "reason": "unsure", "confidence": None},
            f'{NO_ANSWER} The passage that fits best (Moonfleet, p. 4-5, "The Vault"):'
            "\n\n> He kept a locket.",
            NO_ANSWER,
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
    back = [("user", "Who?"), ("assistant", content), ("user", "Why?")]
    messages = [{"role": role, "content": text} for role, text in back]
    asked = api.ChatRequest(model="book", messages=messages).to_question(False)
    assert asked.turns == (("Who?", answer.answer),), "as `mplus chat` keeps it"
    chunks = api.Chunks("book", "http://here/", False)
    said = [] if answer.is_unsure or answer.refused else [chunks.text(TextDelta(answer.answer))]
    streamed = "".join([*said, chunks.text(answer)])
    deltas = [
        json.loads(line[6:])["choices"][0]["delta"]
        for line in streamed.splitlines()
        if line.startswith("data: ")
    ]
    assert "".join(delta.get("content", "") for delta in deltas) == content
    assert deltas[-1].get("refusal") == refusal and deltas[0]["role"] == "assistant"


def respond(client: Any, asked: Any = "Who is the sexton?", **options: Any) -> Any:
    options = {"model": "book", "input": asked, "max_output_tokens": 8, **options}
    return client.responses.create(**options)


def test_a_response_whole_and_streamed(client: Any, live: Any) -> None:
    """As a chat's answer; the events build the same response."""
    chat, whole = ask(client), respond(client, instructions="Be brief.")
    (choice,), (message,) = chat.choices, whole.output
    assert whole.output_text == choice.message.content
    assert whole.status == ("incomplete" if choice.finish_reason == "length" else "completed")
    assert [note.url for note in message.content[0].annotations] == [
        note.url_citation.url for note in choice.message.annotations
    ]
    assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.total_tokens) == (
        chat.usage.prompt_tokens,
        chat.usage.completion_tokens,
        chat.usage.total_tokens,
    )
    assert whole.model_extra["mplus"] | {"usage": None} == chat.model_extra["mplus"] | {
        "usage": None
    }
    with client.responses.stream(
        model="book", input="Who is the sexton?", max_output_tokens=8
    ) as stream:
        events = list(stream)
    built = events[-1].response
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-1] == whole.status and "output_text.annotation.added" in kinds
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == built.output_text == whole.output_text
    assert built.output[0].content[0].annotations == message.content[0].annotations


def test_a_conversation_of_responses(client: Any) -> None:
    """What was answered may be given back as it came."""
    first = respond(client, "Who swam to the rocks?")
    follow = [{"role": "user", "content": [{"type": "input_text", "text": "Where to?"}]}]
    asked = [{"role": "user", "content": "Who swam to the rocks?"}, *first.output, *follow]
    second = respond(client, asked)
    assert second.model_extra["mplus"]["question"] == "Where to?"
    assert second.usage.input_tokens > respond(client, "Where to?").usage.input_tokens


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"previous_response_id": "resp_1"}, "no response is kept here"),
        ({"tools": [{"type": "web_search"}]}, "tools is not supported"),
        ({"text": {"format": {"type": "json_object"}}}, "text is not supported"),
        ({"input": [{"type": "item_reference", "role": "user", "id": "1"}]}, "give messages"),
        ({"input": []}, "not a question of the user"),
        ({"input": ""}, "the question is empty"),
        ({"max_output_tokens": 0}, "--max-new-tokens"),
        ({"stream": True, "extra_body": {"documents": ["Emma"]}}, "no document"),
    ],
)
def test_what_a_response_cannot_heed_is_refused(client: Any, options: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        respond(client, **options)
    assert respond(client, store=False, truncation="auto", tools=[]).status


def test_an_unsure_response_streams_its_passage() -> None:
    """No text comes before the end, as none is known to be worth saying."""
    answer = replace(ANSWER, answer=REFUSAL, reason="unsure", confidence=None)
    response = pytest.importorskip("mplus_cli.server.responses_api").Response(
        "book", "http://here/"
    )
    sent = response.text(Retrieved((SOURCE,))) + response.text(answer)
    values = [json.loads(line[6:]) for line in sent.splitlines() if line.startswith("data: ")]
    (delta,) = (value["delta"] for value in values if value["type"].endswith("text.delta"))
    assert delta == spoken(answer) == values[-1]["response"]["output"][0]["content"][0]["text"]
    assert [line[7:] for line in sent.splitlines() if line.startswith("event: ")] == [
        value["type"] for value in values
    ]


def test_the_paragraphs_of_a_passage_stay_apart_in_a_chat() -> None:
    text = "He kept a locket.\n\nIt was  of silver."
    source = replace(SOURCE, text=text, quote_span=(0, len(text)))
    said = spoken(replace(ANSWER, doubtful=True, sources=(source,)))
    assert said.endswith(":\n\n> He kept a locket.\n>\n> It was of silver.")
