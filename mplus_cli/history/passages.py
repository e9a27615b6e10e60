"""The passages of an answer that was kept: the sentences of each source, and where they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mplus_cli.place import Place
from mplus_cli.visible import one_line
from mplus_cli.wording import place


def passages(turn: Mapping[str, Any]) -> Iterator[str]:
    """The sources of an answer, each once: where it stands, and its sentences."""
    seen = set()
    for source, quotes in zip(turn["sources"], shown_quotes(turn), strict=True):
        pages = source.get("quote_pages") or source["pages"]
        spot = _spot(source.get("quote_place") or source.get("place"))
        where = one_line(place(source["document"], pages and (pages[0], pages[1]), spot))
        said = " ... ".join(one_line(quote) for quote in quotes)
        line = f'{where}: "{said}"' if said else where
        if line not in seen:
            seen.add(line)
            yield line


def shown_quotes(turn: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The sentences of each source: the best, and of the first source the second best too, where the
    answer was not sure or does not stand in the best of any."""
    sources = turn["sources"]
    best = [source.get("quote") or "" for source in sources]
    is_unsure = bool(turn.get("doubtful")) or turn.get("reason") == "unsure"
    is_held = bool(turn.get("refused")) or any(turn["answer"] in quote for quote in best)
    found: list[tuple[str, ...]] = [(quote,) if quote else () for quote in best]
    if sources and (is_unsure or not is_held) and (second := sources[0].get("second_quote")):
        found[0] = (*found[0], second)
    return found


def searched_text(turn: Mapping[str, Any]) -> str:
    """What a search looks through besides the question and the answer."""
    return "\n".join(quote for quotes in shown_quotes(turn) for quote in quotes)


def _spot(value: Any) -> Place | None:
    return Place.loads(json.dumps(value)) if value else None
