"""PDF to pages of clean text. The PDF library itself runs in the worker process.

pdfium first, because its text is better and faster; pypdf where pdfium is not installed or cannot
open the file.
"""

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from mplus_cli.documents import pdf_process, recognition
from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.flow_pdf import flow_pdf
from mplus_cli.documents.joining import join_lines
from mplus_cli.documents.metadata import author_of, sane_title, year_of
from mplus_cli.documents.model import DocumentError, Page, PageRange
from mplus_cli.documents.parts import Parts
from mplus_cli.documents.pdf_outline import outline_headings
from mplus_cli.documents.pdf_process import Extraction
from mplus_cli.documents.placed import LaidOutPage, PlacedLine, TextRun
from mplus_cli.documents.running_heads import Section, running_lines

_LEADERS = re.compile(r"(?:\s?\.){6,}")  # the dots of a table of contents
_LENGTH = re.compile(rb"/Linearized\b[^<>]{0,200}/L\s{1,9}(\d{1,12})\b")


def read_pdf(
    data: bytes,
    label: str,
    pages: PageRange | None,
    progress: Callable[[int, int], None] | None = None,
    *,
    ocr: bool = False,
) -> Parts:
    """The pages of a PDF, or of its part `pages`. Raises DocumentError; `label` names the file.

    With `ocr`, pages without text are recognised.
    """
    got = _extract(data, label, pages, progress)
    first, last = _selection(got.count, label, pages)
    numbers = range(first, min(last, first + pdf_process.MAX_PAGES - 1) + 1)
    recognised = _recognise(data, got, numbers, label, progress) if ocr else 0
    raw = [got.lines.get(number, []) for number in numbers]
    laid_out = [_laid_out(lines) for lines in raw]
    sections = [
        (level, title, page - first)
        for level, title, page in got.outline
        if isinstance(level, int) and isinstance(title, str) and isinstance(page, int)
    ]
    sections.sort(key=lambda section: section[2])
    texts = join_lines(flow_pdf(_without_heads(laid_out, sections)), len(laid_out))
    left = sum(bool(text.strip()) for text in texts)
    repeats = left * 2 < sum(bool(lines) for lines in raw)
    if repeats:  # what is most of the text is not a running head, or the rest is pictures
        texts = join_lines(flow_pdf(laid_out), len(laid_out))
    if not any(text.strip() for text in texts):
        raise _without_text(data, got, label, len(got.skipped) >= len(numbers), tried=ocr)
    read = [
        Page(number, text, clean_characters(got.labels.get(number, "")).strip() or None)
        for number, text in zip(numbers, texts, strict=True)
    ]
    skipped = [number for number in sorted(got.skipped) if number in numbers]
    warnings = _warnings(read, skipped, tried=ocr)
    if _is_cut_short(data):
        warnings.insert(0, f"{label} is damaged (cut short): what is left of it was read")
    if len(numbers) < last - first + 1:
        warnings.append(f"only {len(numbers)} pages were read: choose others by a page range")
    if repeats and len(read) > 1:
        warnings.append("most pages hold only a header or page number (scanned?)")
    if recognised:
        some = "1 page was" if recognised == 1 else f"{recognised} pages were"
        warnings.append(f"{some} read by OCR: expect misread letters")
    return Parts(
        "pdf",
        sane_title(got.title),
        tuple(read),
        got.count,
        tuple(warnings),
        outline_headings(got.outline, read),
        author=author_of([got.author]),
        date=year_of(got.date),
        recognised=recognised,
    )


def _without_text(
    data: bytes, got: Extraction, label: str, all_skipped: bool, *, tried: bool
) -> DocumentError:
    """Why no page has text; `tried`: by OCR as well."""
    if got.stops and all_skipped:
        harm = "it is damaged or made to do harm"
        return DocumentError(f"{label} takes too long or too much memory to read: {harm}")
    if all_skipped:
        return _damaged(label)
    if _is_cut_short(data):
        return DocumentError(f"{label} is damaged (cut short): get a fresh copy")
    return DocumentError(_scanned(label, tried=tried))


def _extract(
    data: bytes,
    label: str,
    pages: PageRange | None,
    progress: Callable[[int, int], None] | None,
) -> Extraction:
    """What pdfium gives or, where it gives nothing, pypdf."""
    reason = ""
    for engine in ("pdfium", "pypdf"):
        got = _run(data, engine, label, pages, progress)
        if got.stops and not any(got.lines.values()):
            return got
        if got.failed == "encrypted":
            raise DocumentError(f"{label} is encrypted: remove the password and try again")
        if got.lines and got.count:
            return got
        reason = got.failed or reason
    if reason == "missing":
        raise DocumentError(f"{label} cannot be read: install pypdfium2 to read PDF files")
    raise _damaged(label)


def _run(
    data: bytes,
    engine: str,
    label: str,
    pages: PageRange | None,
    progress: Callable[[int, int], None] | None,
) -> Extraction:
    first, last = (pages.first or 1, pages.last) if pages else (1, None)
    checked = False
    got = Extraction()
    for got in pdf_process.extract(data, engine, first, last):
        if got.count > 0 and not checked:
            _selection(got.count, label, pages)
            checked = True
        done = len(got.lines) + len(got.skipped)
        if progress and done:
            progress(done, max(done, min(last or got.count, got.count) - first + 1))
    return got


def _recognise(
    data: bytes,
    got: Extraction,
    numbers: Sequence[int],
    label: str,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Fill in the pages of `got` that have no text; how many there are that have some now."""
    empty = [number for number in numbers if not _laid_out(got.lines.get(number, [])).lines]
    count = 0
    for done, (number, lines) in enumerate(recognition.recognise(data, empty, label), start=1):
        if progress:
            progress(done, len(empty))
        if lines:
            got.lines[number] = lines
            count += 1
            if number in got.skipped:
                got.skipped.remove(number)
    return count


def _scanned(label: str, *, tried: bool) -> str:
    """The line for a file without text."""
    if tried:
        return f"{label} has no text, and OCR finds none in its pictures"
    return f"{label} has no text (scanned?): {recognition.advice()} to read it"


def _selection(count: int, label: str, pages: PageRange | None) -> tuple[int, int]:
    try:
        return (pages or PageRange(None, None)).within(count)
    except ValueError:
        asked = str(pages)
        some = "1 page" if count == 1 else f"{count} pages"
        message = f"{label} has {some}: pages {asked} are not all in it"
        raise DocumentError(message) from None


def _is_cut_short(data: bytes) -> bool:
    """Whether the file's end is missing."""
    length = _LENGTH.search(data, 0, 1024)
    if length:  # a linearised file says its length, and has an end mark near its start
        return int(length.group(1)) > len(data)
    return b"%%EOF" not in data[-(1 << 16) :]


def _damaged(label: str) -> DocumentError:
    return DocumentError(f"{label} is not a readable PDF (damaged or truncated): get a fresh copy")


def _without_heads(pages: Sequence[LaidOutPage], sections: Sequence[Section]) -> list[LaidOutPage]:
    """The pages without running heads, feet and page numbers."""
    orders = [page.top_to_bottom() for page in pages]
    texts = [
        [page.lines[at].text for at in order] for page, order in zip(pages, orders, strict=True)
    ]
    heads = running_lines(texts, sections)
    return [
        page.without({order[at] for at in dropped})
        for page, order, dropped in zip(pages, orders, heads, strict=True)
    ]


def _laid_out(raw: Sequence[list[Any]]) -> LaidOutPage:
    """The lines of a page, as the worker has them, that have text once it is cleaned."""
    return LaidOutPage(tuple(line for values in raw if (line := _line(*values))))


def _line(raw: str, *values: Any) -> PlacedLine | None:
    text = " ".join(_LEADERS.sub(" ... ", clean_characters(raw)).split())
    if not text.strip("\ufffd"):
        return None
    if not values:
        return PlacedLine(text)
    x0, x1, y, size, *divided = values
    pieces = [
        TextRun(" ".join(clean_characters(part).split()), start, end)
        for part, start, end in chain(*divided)
    ]
    kept = tuple(piece for piece in pieces if piece.text)
    return PlacedLine(text, x0, x1, y, size, kept if len(kept) > 1 else ())


def _warnings(pages: Sequence[Page], skipped: Sequence[int], *, tried: bool) -> list[str]:
    warnings = []
    if skipped:
        some = "page" if len(skipped) == 1 else "pages"
        were = "was" if len(skipped) == 1 else "were"
        warnings.append(f"{some} {_ranges(skipped)} could not be read and {were} left out")
    empty = [page for page in pages if not page.text.strip() and page.number not in set(skipped)]
    if len(empty) >= 2 and len(empty) * 5 >= len(pages):
        share = f"{len(empty)} of {len(pages)} pages"
        advice = "" if tried else f": {recognition.advice()} to read them too"
        warnings.append(f"{share} have no text (scanned?){advice}")
    return warnings


def _ranges(numbers: Sequence[int]) -> str:
    """[1, 2, 3, 7] as "1-3, 7", the first dozen of them."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][-1:] = [number] if len(runs[-1]) > 1 else [runs[-1][0], number]
        else:
            runs.append([number])
    shown = ["-".join(map(str, run)) for run in runs[:12]]
    return ", ".join(shown) + (", ..." if len(runs) > 12 else "")
