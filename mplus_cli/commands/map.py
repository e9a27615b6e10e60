"""`mplus memory map`: a memory as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplus_cli.commands.common import (
    JsonOption,
    OptionalName,
    settings_of,
    stored_memory,
    tell_memory,
)
from mplus_cli.errors import disk_errors
from mplus_cli.terminal import capabilities, screen

if TYPE_CHECKING:
    from mplus_cli.library import MemoryMap, StoredMemory
    from mplus_cli.terminal.map_page import QuestionHeat


def draw_map(
    context: typer.Context,
    name: OptionalName = None,
    question: Annotated[
        str | None,
        typer.Option(
            metavar="QUESTION",
            help="Show how well each chunk fits this question, instead of the sources of the last answer.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the map and all passages to one HTML page instead."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a memory: its documents and chapters, and the sources of the last answer."""
    from models.durable import new_file
    from mplus_cli.library import snapshot
    from mplus_cli.runtime.model_info import map_json
    from mplus_cli.terminal.map_page import map_page
    from mplus_cli.terminal.map_view import map_picture

    stored = stored_memory(context, name)
    if html is not None:
        snapshot.check_place(html, force)
    drawn, lit = _drawn(context, stored, question)
    asked = lit.question if lit else None
    best = lit.best if lit else ()
    if lit and lit.note:
        screen.note(lit.note)
    if html is not None:
        page = map_page(stored.name, drawn, stored.texts(len(drawn.chunks)), lit)
        with disk_errors(), new_file(html, mode=0o600, replace=force) as file:
            file.write(page.encode())
    if as_json:
        fits, note = (lit.fits, lit.note) if lit else ((), None)
        screen.json_out(map_json(stored.name, drawn, asked, best, fits, note))
    elif html is not None:
        screen.note(f'the map of memory "{stored.name}" is in {html}')
    elif not drawn.chunks:
        screen.note(f'memory "{stored.name}" is empty: read something first with `mplus ingest`')
    else:
        tell_memory(settings_of(context), name, stored.name)
        unicode = capabilities.has_unicode()
        screen.show(
            map_picture(drawn, screen.width(), unicode=unicode, question=asked, consulted=best)
        )


def _drawn(
    context: typer.Context, stored: StoredMemory, question: str | None
) -> tuple[MemoryMap, QuestionHeat | None]:
    """The map, and what is lit up in it by a question: one that is asked now, or else the last."""
    from mplus_cli.library.mapping import draw_loaded, draw_map
    from mplus_cli.terminal.map_page import QuestionHeat

    if question is None:
        drawn = draw_map(stored)
        return drawn, _last(settings_of(context).home, stored, drawn)
    from mplus_cli.asking.heat import measure_heat
    from mplus_cli.asking.open_memory import load_memory
    from mplus_cli.asking.question import Question, check
    from mplus_cli.library import Library
    from mplus_cli.runtime.session import open_memory, open_session

    asked = Question(question)
    check(asked)
    settings = settings_of(context)
    stored = open_memory(Library(settings.home), stored.name)
    with screen.meter() as meter:
        session = open_session(settings, note=screen.note, progress=meter.report, memory=stored)
        opened = load_memory(session, stored)
        heat = measure_heat(session, opened, asked)
    quotes = {source.chunk: source.quote_span for source in heat.sources if source.quote_span}
    lit = QuestionHeat(
        heat.question, tuple(source.chunk for source in heat.sources), heat.fits, quotes, heat.note
    )
    return draw_loaded(stored, opened.view, opened.memory), lit


def _last(home: Path, stored: StoredMemory, drawn: MemoryMap) -> QuestionHeat | None:
    """What the last question rested on, unless it was asked of other chunks: a document left the memory
    since, or another memory had its name then."""
    from mplus_cli.history.store import History
    from mplus_cli.terminal.map_page import QuestionHeat

    view = stored.view()
    since = max(view.created, view.rebuilt)  # texts of one form, in UTC
    turn = History(home).last(stored.name, since)
    if turn is None:
        return None
    sources = turn.details["sources"]
    chunks = tuple(source["chunk"] for source in sources)
    if not all(0 <= chunk < len(drawn.chunks) for chunk in chunks):
        return None
    rows = zip(sources, stored.chunks(chunks), strict=True)
    fits = all(
        source["document"] == row.document_title and (source.get("quote") or "") in row.text
        for source, row in rows
    )
    return QuestionHeat(turn.question, chunks) if chunks and fits else None
