"""Shows an answer: its text on stdout as it comes, and then on stderr the passages it is based on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mplus_cli.asking.events import Answer, Event, Source, TextDelta, usage_words
from mplus_cli.terminal import screen
from mplus_cli.terminal.streaming import growing_text
from mplus_cli.wording import BEGINNING, NEAREST, NOT_SURE, answer_text, place

FITS_BEST = "The passage that fits the question best:"
LIKELIEST = "The likeliest answer, which may be wrong:"
DOUBTFUL = f"{NOT_SURE}: look at the passages (--sources, in a chat /sources)."
NOWHERE = "None of these passages contains the words of the answer:"


def show_answer(
    events: Iterable[Event],
    *,
    as_json: bool = False,
    sources: bool = True,
    whole: bool = False,
    stream: bool = True,
) -> Answer | None:
    """Show the events of an answer; returns the answer, or None if it was cut short.

    Args:
        whole: show the sources' whole texts instead of their best sentences.
    """
    if as_json:
        final = _last(events)
        if final is not None:
            screen.json_out(final.to_json())
        return final
    final, is_shown = _stream(events) if stream else (_last(events), False)
    if final is None:
        return None
    show_reading(final)
    if sources and final.is_unsure:
        show_evidence(final, whole=whole)
    elif final.doubtful:
        screen.aside(DOUBTFUL)
    if not is_shown:
        screen.piece(f"{final_text(final)}\n")
    if sources and not final.is_unsure:
        show_evidence(final, whole=whole)
    return final


def show_events(events: Iterable[Event]) -> Answer | None:
    """Each event as a line of JSON, as it comes; the answer."""
    final: Answer | None = None
    for event in events:
        screen.json_line(event.to_event())
        screen.flush()
        if isinstance(event, Answer):
            final = event
    return final


def show_filled(events: Iterable[Event], fill: Callable[[dict[str, Any]], str]) -> Answer | None:
    """The answer in a form of the user's own."""
    final = _last(events)
    if final is not None:
        screen.piece(f"{fill(final.to_json() | {'answer': final_text(final)})}\n")
    return final


def show_usage(answer: Answer) -> None:
    """What an answer took, where that is wanted (`--verbose`)."""
    screen.detail(usage_words(answer.usage))


def _last(events: Iterable[Event]) -> Answer | None:
    """The complete answer, without showing it."""
    final: Answer | None = None
    with screen.meter() as meter:
        meter.report("thinking")
        for event in events:
            if isinstance(event, Answer):
                final = event
    return final


def _stream(events: Iterable[Event]) -> tuple[Answer | None, bool]:
    """The complete answer, and whether it was shown as it came: a doubtful one, or a refusal, comes whole."""
    with screen.meter() as meter:
        meter.report("thinking")
        for event in events:
            if isinstance(event, Answer):
                return event, False
            if isinstance(event, TextDelta):
                meter.close()
                return _grow(event, events), True
    return None, False


def _grow(first: TextDelta, events: Iterable[Event]) -> Answer | None:
    final: Answer | None = None
    with growing_text() as write:
        write(first.text)
        for event in events:
            if isinstance(event, TextDelta):
                write(event.text)
            elif isinstance(event, Answer):
                final = event
    return final


def final_text(answer: Answer) -> str:
    """The text for stdout: the answer, or that there is none."""
    return answer_text(answer.answer, answer.reason)


def show_reading(answer: Answer) -> None:
    """How a follow-up was read, where a name was put for its pronoun; then what to know of the search."""
    if answer.understood_as and not screen.is_quiet():
        screen.dim(f"Understood as: {answer.understood_as}")
    if answer.note:
        screen.aside(answer.note)


def show_evidence(answer: Answer, *, whole: bool = False) -> None:
    """The evidence of an answer: the passage that holds it, or the best one, and the places of others that
    are worth a look.

    Args:
        whole: show every source, and its whole text.
    """
    if not answer.sources:
        return
    best, second = shown_first(answer)
    if answer.is_unsure:
        screen.aside(FITS_BEST)
    elif answer.refused:
        screen.aside(BEGINNING if answer.reason == "part" else NEAREST)
    elif not best.answer_span and answer.reason != "verdict":
        screen.aside(NOWHERE)
    if whole:
        show_sources(answer.sources, whole=True)
    else:
        show_source(best, second=second)
        name_others(worth_a_look(answer, best), but=best)
    if answer.doubtful:
        screen.aside(LIKELIEST)


def shown_first(answer: Answer) -> tuple[Source, bool]:
    """The source whose passage is shown, and whether its second best sentences are: where the best may not
    hold the answer; but a refusal needs no more than one passage."""
    if answer.is_unsure or answer.refused:
        return answer.sources[0], answer.is_unsure
    holding = [source for source in answer.sources if source.answer_span]
    return (holding or answer.sources)[0], not holding


def worth_a_look(answer: Answer, best: Source) -> list[Source]:
    """The sources besides the one shown that may hold the answer better: none where an answer that is sure
    stands in that one, and none of a refusal."""
    is_found = best.answer_span is not None or answer.reason == "verdict" or answer.refused
    if is_found and not answer.is_unsure:
        return []
    return [source for source in answer.sources if source is not best]


def show_sources(sources: Sequence[Source], *, whole: bool = False) -> None:
    """Several sources, apart from one another."""
    for number, source in enumerate(sources):
        if number:
            screen.aside("")
        show_source(source, whole=whole)


def show_source(source: Source, *, whole: bool = False, second: bool = False) -> None:
    """A source's best sentences, or its whole text, with the answer's words marked; then its place.

    Args:
        second: show the second best sentences too, where they are not its whole text.
    """
    first = (0, len(source.text)) if whole else source.quote_span
    spans = [first, source.second_span if second and not whole else None]
    for number, span in enumerate(sorted(filter(None, spans))):
        if number:
            screen.aside("...")
        mark = source.answer_span if span == first else None
        inside = mark if mark and span[0] <= mark[0] and mark[1] <= span[1] else None
        screen.quotation(source.text, span, inside, keep_lines=whole)
    screen.dim(place(source.document, source.pages, source.place) if whole else where(source))


def name_others(sources: Sequence[Source], but: Source) -> None:
    """Where the other passages stand, in one line: first those in the document of `but`, without its name."""
    others = {where(source): source.document for source in sources if where(source) != where(but)}
    own = [
        line.removeprefix(f"{title}, ") for line, title in others.items() if title == but.document
    ]
    places = _together([*own, *(line for line, title in others.items() if title != but.document)])
    if places:
        screen.dim(f"See also: {'; '.join(places)}")


def _together(places: Sequence[str]) -> list[str]:
    """Places, each chapter once: `"The Ferry", at 4 % and 14 %`."""
    found: dict[str, list[str]] = {}
    for line in places:
        chapter, _, share = line.rpartition(", at ")
        found.setdefault(chapter or line, []).extend([share] if chapter else [])
    return [
        f"{chapter}, at {' and '.join(shares)}" if shares else chapter
        for chapter, shares in found.items()
    ]


def where(source: Source) -> str:
    """The place of a source's best sentences in words."""
    return place(source.document, *source.spot)
