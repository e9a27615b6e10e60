"""How an answer looks: its text on stdout as it comes, its sources on stderr after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mplus_cli.asking.events import Answer, Event, Source, TextDelta
from mplus_cli.terminal import screen
from mplus_cli.terminal.streaming import growing_text
from mplus_cli.wording import place


def show_answer(
    events: Iterable[Event], *, as_json: bool = False, sources: bool = True, stream: bool = True
) -> Answer | None:
    """Show the events of an answer; returns the answer, or None if it was cut short."""
    if as_json or not stream:
        final = _last(events)
        if final is not None and as_json:
            screen.json_out(final.to_json())
            return final
        if final is not None:
            screen.piece(f"{final.answer}\n")
    else:
        final = _stream(events)
    if final is not None and sources:
        show_sources(final.sources)
    return final


def _last(events: Iterable[Event]) -> Answer | None:
    """The complete answer, waited for."""
    final: Answer | None = None
    with screen.meter() as meter:
        meter.report("thinking")
        for event in events:
            if isinstance(event, Answer):
                final = event
    return final


def _stream(events: Iterable[Event]) -> Answer | None:
    """The complete answer, shown as it comes."""
    final: Answer | None = None
    with screen.meter() as meter, growing_text() as write:
        meter.report("thinking")
        for event in events:
            if isinstance(event, Answer):
                final = event
            elif isinstance(event, TextDelta):
                meter.close()
                write(event.text)
    return final


def show_sources(sources: Sequence[Source]) -> None:
    """A line a source, on stderr; the same place twice is said once."""
    for line in dict.fromkeys(
        place(source.document, source.pages, source.place) for source in sources
    ):
        screen.dim(line)
