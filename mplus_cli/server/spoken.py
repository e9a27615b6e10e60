"""An answer as a chat of OpenAI's API shows it, and the answer again where a client sends that text back.

Few clients show anything but the text of a message, so it says by itself how sure the answer is.
"""

from __future__ import annotations

from models.prompts import REFUSAL
from mplus_cli.asking.events import Answer, Source
from mplus_cli.wording import NO_ANSWER, NOT_SURE, SILENT, answer_text, excerpt, place

_DOUBT = f"\n\n{NOT_SURE}."


def spoken(answer: Answer) -> str:
    """What a chat shows: the answer, and where it is not sure, that and the passage that fits best."""
    text = answer_text(answer.answer, answer.reason)
    if not answer.is_unsure:
        return text
    if answer.doubtful:
        text += _DOUBT
    best = answer.sources[0] if answer.sources else None
    if best is None or best.quote_span is None:
        return text
    quote = excerpt(best.text, *best.quote_span).replace("\n", "\n>\n> ")
    return f"{text} The passage that fits best ({where(best)}):\n\n> {quote}"


def refusal(answer: Answer) -> str | None:
    """Why there is no answer, in one line; None where there is one."""
    if not answer.refused:
        return None
    return answer_text(answer.answer, answer.reason)


def heard(text: str) -> str:
    """The answer in a message of the assistant, without what `spoken` adds: what a chat keeps as its turn."""
    if text.startswith((NO_ANSWER, SILENT)):
        return REFUSAL
    return text.split(_DOUBT, 1)[0]


def where(source: Source) -> str:
    """The place of a source's best sentences in words."""
    return place(source.document, *source.spot)
