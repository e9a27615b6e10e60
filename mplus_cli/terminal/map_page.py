"""The map of a memory as one HTML page that needs nothing else: `mplus memory map --html`.

A strip a document, a cell a chunk, chapters apart; the passage of a cell shows where the pointer or the
keyboard is. Titles and passages were written by others: all of them are escaped. Writes no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from mplus_cli.library import ChunkPlace, MemoryMap
from mplus_cli.terminal.map_view import by_section, document_facts
from mplus_cli.visible import one_line, visible
from mplus_cli.wording import count, place

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page asks nobody for anything."""
_STYLE = """
:root { color-scheme: light dark; --page: #fbfaf7; --ink: #22201c; --dim: #6d675d; --line: #d8d2c6;
  --cold: #dfe6ee; --hot: #c8321e; --short: #2b6cb0; --panel: #ffffff; --mark: #ffe08a; }
@media (prefers-color-scheme: dark) { :root { --page: #16171a; --ink: #e8e6e1; --dim: #9c978c;
  --line: #3a3c42; --cold: #2a313b; --hot: #ff7a52; --short: #6fb1f0; --panel: #212329; --mark: #6b5300; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.5rem 22rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .dim { color: var(--dim); }
.strip { display: flex; flex-wrap: wrap; gap: .7rem .5rem; }
.chapter { max-width: 100%; } .chapter > div { display: flex; flex-wrap: wrap; gap: 2px; }
.chapter > h3 { font-size: .75rem; font-weight: normal; color: var(--dim); margin: 0;
  max-width: 14rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
button { width: 14px; height: 26px; padding: 0; border: 0; border-radius: 2px; position: relative;
  background: color-mix(in oklab, var(--hot) calc(var(--fit, 0) * 1%), var(--cold)); }
button.short { background: var(--short); } button.gone { opacity: .35; }
button.best { outline: 2px solid var(--ink); }
button:hover, button:focus { outline: 3px solid var(--short); }
button > span { display: none; position: fixed; left: 0; right: 0; bottom: 0; max-height: 18rem;
  overflow: auto; padding: 1rem 1.5rem; background: var(--panel); color: var(--ink); cursor: auto;
  border-top: 1px solid var(--line); font: 15px/1.5 system-ui, sans-serif; text-align: left; }
button:focus > span { display: block; z-index: 1; } button:hover > span { display: block; z-index: 2; }
button b, button q { display: block; max-width: 60rem; margin: 0 auto; }
button q { quotes: none; white-space: pre-wrap; } mark { background: var(--mark); color: inherit; }
"""
_SCRIPT = """
const cells = [...document.querySelectorAll("button")];
document.addEventListener("keydown", event => {
  const at = cells.indexOf(document.activeElement);
  const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: cells.length - 1}[event.key];
  if (at < 0 || !cells[to]) return;
  event.preventDefault();
  cells[to].focus();
});
"""


@dataclass(frozen=True, slots=True)
class QuestionHeat:
    """What a question lights up."""

    question: str
    best: tuple[int, ...]
    """The numbers of the chunks that fit best, best first."""
    fits: tuple[float, ...] = ()
    """How well each chunk fits, 0 to 1; none where that was not measured."""
    quotes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Where in its text the sentences of a chunk stand that speak to the question."""
    note: str | None = None
    """What a user should know of where the question was looked up."""


def map_page(name: str, drawn: MemoryMap, texts: Sequence[str], lit: QuestionHeat | None) -> str:
    """The page.

    Args:
        name: of the memory.
        texts: of all chunks.
    """
    return "\n".join(_page(name, drawn, texts, lit))


def _page(
    name: str, drawn: MemoryMap, texts: Sequence[str], lit: QuestionHeat | None
) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_shown(name)}</title>\n<style>{_STYLE}</style>"
    yield f"<h1>{_shown(lit.question if lit else name)}</h1>"
    held = f"{drawn.stm_tokens:,} short-term and {drawn.ltm_tokens:,} long-term memory tokens"
    chunks = count(len(drawn.chunks), "chunk")
    yield f'<p class="dim">memory {_shown(name)}: {chunks}, {held}. {_legend(drawn, lit)}</p>'
    if lit and lit.note:
        yield f'<p class="dim">{_shown(lit.note)}</p>'
    by_document: dict[int, list[ChunkPlace]] = {}
    for chunk in drawn.chunks:
        by_document.setdefault(chunk.document_id, []).append(chunk)
    for span in drawn.documents:
        cells = by_document.get(span.document.id, [])
        yield f"<h2>{_shown(span.document.title)}</h2>"
        if cells:
            yield f'<p class="dim">{document_facts(span.document, cells)}</p>'
        yield '<div class="strip">'
        for part in by_section(cells):
            section = part[0].place.section if part[0].place else ()
            title = _shown(section[-1]) if section else ""
            yield f'<section class="chapter"><h3 title="{title}">{title}&nbsp;</h3><div>'
            for at, chunk in enumerate(part):
                yield _cell(span.document.title, chunk, texts[chunk.number], lit, first=not at)
            yield "</div></section>"
        yield "</div>"
    yield f"<script>{_SCRIPT}</script>\n</html>\n"


def _legend(drawn: MemoryMap, lit: QuestionHeat | None) -> str:
    """What the colours mean that are on the page, and no others."""
    groups = ", each group of cells a chapter" if _has_chapters(drawn) else ""
    keys = (
        f"Each cell is a chunk{groups}. Point at a cell, or move with Tab and the arrow keys, to read its "
        "passage."
    )
    if any(not chunk.stm_tokens and not chunk.ltm_tokens for chunk in drawn.chunks):
        keys = f"Pale: forgotten. {keys}"
    if lit is None:
        short = any(chunk.stm_tokens for chunk in drawn.chunks)
        return f"Blue: in short-term memory. {keys}" if short else keys
    warm = "The redder a cell, the better it fits the question. " if lit.fits else ""
    framed = "Framed: the best passages for the question. " if lit.best else ""
    return f"{warm}{framed}{keys}"


def _has_chapters(drawn: MemoryMap) -> bool:
    return any(chunk.place and chunk.place.section for chunk in drawn.chunks)


def _cell(
    title: str, chunk: ChunkPlace, text: str, lit: QuestionHeat | None, *, first: bool
) -> str:
    pages = (
        None
        if chunk.first_page is None or chunk.last_page is None
        else (chunk.first_page, chunk.last_page)
    )
    where = _shown(place(title, pages, chunk.place))
    kinds, style, span = [], "", None
    if not chunk.stm_tokens and not chunk.ltm_tokens:
        kinds.append("gone")
    if lit is None:
        kinds += ["short"] if chunk.stm_tokens else []
    else:
        if chunk.number in lit.best:
            kinds.append("best")
            where = f"{lit.best.index(chunk.number) + 1}. {where}"
        if lit.fits:
            style = f' style="--fit: {100 * lit.fits[chunk.number]:.0f}"'
        span = lit.quotes.get(chunk.number)
    label = f"chunk {chunk.number}, {where}"
    tab = 0 if first else -1
    return (
        f'<button type="button" class="{" ".join(kinds)}"{style} tabindex="{tab}" '
        f'aria-label="{label}"><span><b>{where}</b><q>{_passage(text, span)}</q></span></button>'
    )


def _passage(text: str, span: tuple[int, int] | None) -> str:
    start, stop = span or (0, 0)
    parts = [escape(visible(part)) for part in (text[:start], text[start:stop], text[stop:])]
    marked = f"<mark>{parts[1]}</mark>" if parts[1] else ""
    return f"{parts[0]}{marked}{parts[2]}".strip()


def _shown(text: str) -> str:
    return escape(one_line(text))
