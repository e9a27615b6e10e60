"""Gets the reader's reply to a prompt: a span of the recalled text, a verdict, or generated text.

Reaches the model through a session; independent of the disk, of sources, and of how a reply is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.prompts import REFUSAL, encode_plain
from mplus_cli.asking.choosing import Chosen, Prompted, answer_form, choose, likeliest_verdict
from mplus_cli.asking.quoting import guide_along
from mplus_cli.runtime.tokens import AnswerText

if TYPE_CHECKING:
    from models.generate import Recalled


def reply(prompted: Prompted) -> Iterator[Recalled | str | Chosen]:
    """Read a prompt, and reply to it.

    Yields:
        What was recalled, once the prompt is read; text as it comes (empty where a token completes no
        character, none at all where the reply is doubtful or the refusal); and last the whole reply.

    Raises:
        models.generate.PromptTooLong: prompt and reply do not fit behind the memory.
    """
    form = answer_form(prompted.session, prompted.draft.question)
    if form == "spoken":
        yield from _generated(prompted)
    elif form == "verdict":
        yield from _verdict(prompted)
    else:
        yield from _span(prompted)


def _verdict(prompted: Prompted) -> Iterator[Recalled | str | Chosen]:
    """Yes, no or the refusal, whichever is likeliest to begin the reply; no answer where answers are judged,
    as no probability is known of these."""
    from models.generate import read

    session = prompted.session
    behind = read(session.model, prompted.memory, prompted.found, prompted.prompt, spare=1)
    yield behind.recalled
    if prompted.words.calibration is not None:
        yield Chosen(REFUSAL, 0, "unsure")
        return
    text = likeliest_verdict(session, behind)
    if text == REFUSAL:
        yield Chosen(text, 1, "refused")
        return
    yield text
    yield Chosen(text, 1, "verdict")


def _span(prompted: Prompted) -> Iterator[Recalled | str | Chosen]:
    """The span of the text that is likeliest to be right, or none. It is chosen whole, as far as there is
    room, and then cut to the length that was asked for: that does not change which one it is."""
    from models.generate import read
    from models.spans import BRANCHES, LONGEST

    session, limit = prompted.session, prompted.draft.limit
    model = session.model
    longest = min(LONGEST, max(limit, model.room - len(prompted.prompt)))
    behind = read(
        model, prompted.memory, prompted.found, prompted.prompt, spare=longest, branches=BRANCHES
    )
    yield behind.recalled
    chosen = cut_short(session.tokenizer, choose(prompted, behind, longest), limit)
    if not chosen.is_doubtful and chosen.text != REFUSAL:
        yield chosen.text
    yield chosen


def cut_short(tokenizer: Any, chosen: Chosen, limit: int) -> Chosen:
    """An answer, cut to so many tokens if it has more; what is given instead of one stays whole."""
    if chosen.tokens <= limit:
        return chosen
    ids = encode_plain(tokenizer, chosen.text)[:limit]
    text = tokenizer.decode(ids).rstrip("\ufffd").strip()  # the cut may go through a character
    if text == chosen.text:
        return chosen
    return replace(chosen, text=text, tokens=len(ids), reason="length")


def _generated(prompted: Prompted) -> Iterator[Recalled | str | Chosen]:
    """Generated text, token by token; what may become the refusal is held back as long as it may."""
    from models.generate import Generated, Recalled, stream
    from models.sampling import Sampling

    session, question = prompted.session, prompted.draft.question
    text, held = AnswerText(session.tokenizer), ""
    for event in stream(
        session.model,
        prompted.memory,
        prompted.found,
        prompted.prompt,
        max_new_tokens=prompted.draft.limit,
        stop_ids=session.loaded.stop_ids,
        sampling=Sampling(question.temperature, question.top_p, question.seed),
        guide=guide_along(session, prompted.texts) if question.quote else None,
    ):
        if isinstance(event, Recalled):
            yield event
        elif isinstance(event, Generated):
            held += text.push(event.id)
            if REFUSAL.startswith(text.text):
                yield ""
            else:
                yield held
                held = ""
        else:
            if text.text != REFUSAL:
                yield held
            reason = "refused" if _is_refusal(text.text) else event.reason
            yield Chosen(text.text, event.new_tokens, reason)


def _is_refusal(answer: str) -> bool:
    """Whether the reader's own words refuse: then the reason is `refused`."""
    from models.matching import normalise

    return normalise(REFUSAL) in normalise(answer)
