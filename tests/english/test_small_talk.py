"""What people say to a chat that asks nothing of a text."""

from __future__ import annotations

import pytest

from mplus_cli.english.small_talk import is_small_talk


@pytest.mark.parametrize(
    "said",
    [
        *("hello", "Hi!", "Hey there", "Good morning.", "hello, how are you?", "HELLO", "👋 hi"),
        *("thanks", "Thank you very much!", "ok thanks", "Thanks, that's great", "great, thanks"),
        *("ok", "OK.", "yes", "No.", "cool", "I see", "got it", "hmm…", "never mind", "ok fine"),
        *("Who are you?", "What are you?", "What’s your name?", "what can you do?", "How are you?"),
        *("help me", "Can you help me?", "What can I ask here?", "How does this work?", "bye"),
        *("Are you a robot?", "thanks, bye"),
    ],
)
def test_small_talk(said: str) -> None:
    assert is_small_talk(said)


@pytest.mark.parametrize(
    "asked",
    [
        *("Who are you looking for?", "Who are they?", "What is this?", "Why?", "What happened?"),
        *("Good", "Captain Good", "Nice", "Grace", "Fine", "What did he say?", "and then?"),
        *("Who says hello?", "hello kitty", "Thanks to whom did he live?", "Did he say yes?"),
        *("Yes or no?", "What is your mother's name?", "Help whom?", "Who helps me?", "", "?", "…"),
        *(
            "How are you related to Umbopa?",
            "What can you do with the key?",
            "No one",
            "What should I do?",
            "Wow Island",
        ),
        *(
            "What do you know about the key?",
            "How does this work end?",
            "Are you there, Umbopa?",
            "ok " * 50,
        ),
    ],
)
def test_what_may_be_asked_of_a_text_is_none(asked: str) -> None:
    assert not is_small_talk(asked)
