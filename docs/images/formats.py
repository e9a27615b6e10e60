"""Makes the pictures of docs/passages.md: each format read and asked three questions on a real terminal.

    python docs/images/formats.py [NAME ...]

Makes a PDF with page labels, EPUB 2 and 3, HTML, Markdown and a Project Gutenberg text of the first chapters
of the example story. Needs what `record.py` needs, and `chromium` to draw the PNGs.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from record import drawn, link_base, record, save

HERE = Path(__file__).parent
STORY = HERE.parents[1] / "examples" / "story" / "story.md"
CHAPTERS = 3
QUESTIONS = (
    "What is the name of the ferry that carries Otti Brask and her mule to Sallowhithe?",
    "How many miles of water lie between Port Ambrel and Sallowhithe?",
    "What is the name of the grey cat with no tail at the Kettle and Crow?",
)
TITLE, AUTHOR = "The Bell That Answered", "A. Teller"
CHROMIUM = (
    *(
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
    ),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
)
Chapters = list[tuple[str, list[str]]]


def chapters() -> Chapters:
    """Titles and paragraphs."""
    parts = re.split(r"^## (.+)$", STORY.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    texts = [part.replace("*", "").strip().split("\n\n") for part in parts[1::2]]
    return list(zip(parts[::2], texts, strict=True))[:CHAPTERS]


def markdown(file: Path) -> None:
    parts = [f"## {title}\n\n" + "\n\n".join(texts) for title, texts in chapters()]
    file.write_text(f"# {TITLE}\n\n" + "\n\n".join(parts), encoding="utf-8")


def gutenberg(file: Path) -> None:
    mark = f"*** {{}} OF THE PROJECT GUTENBERG EBOOK {TITLE.upper()} ***"
    parts = [
        f"CHAPTER {number}. {title.split('. ', 1)[1].upper()}\n\n" + "\n\n".join(texts)
        for number, (title, texts) in enumerate(chapters(), start=1)
    ]
    head = f"Title: {TITLE}\n\nAuthor: {AUTHOR}\n\n{mark.format('START')}\n\n\n"
    file.write_text(head + "\n\n\n".join(parts) + f"\n\n{mark.format('END')}\n", encoding="utf-8")


def page(title: str, texts: list[str], level: int = 1) -> str:
    body = "".join(f"<p>{html.escape(text)}</p>" for text in texts)
    return f"<h{level}>{html.escape(title)}</h{level}>{body}"


def web(file: Path) -> None:
    body = "".join(page(title, texts, 2) for title, texts in chapters())
    head = f"<title>{TITLE}</title><meta name=author content='{AUTHOR}'>"
    file.write_text(f"<!doctype html><head>{head}</head><h1>{TITLE}</h1>{body}", encoding="utf-8")


def epub(file: Path, *, version: int) -> None:
    found = chapters()
    names = [f"c{number}.xhtml" for number in range(len(found))]
    items = [f'<item id="{n}" href="{n}" media-type="application/xhtml+xml"/>' for n in names]
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    if version == 2:
        items.append('<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
        points = "".join(
            f"<navPoint><navLabel><text>{html.escape(title)}</text></navLabel>"
            f'<content src="{name}"/></navPoint>'
            for name, (title, _) in zip(names, found, strict=True)
        )
        contents = (
            "toc.ncx",
            f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points}</navMap></ncx>',
        )
    else:
        media = 'media-type="application/xhtml+xml"'
        items.append(f'<item id="nav" href="nav.xhtml" properties="nav" {media}/>')
        links = "".join(
            f'<li><a href="{name}">{html.escape(title)}</a></li>'
            for name, (title, _) in zip(names, found, strict=True)
        )
        contents = ("nav.xhtml", xhtml(f'<nav epub:type="toc"><ol>{links}</ol></nav>'))
    metadata = f"<dc:title>{TITLE}</dc:title><dc:creator>{AUTHOR}</dc:creator>"
    toc = ' toc="ncx"' if version == 2 else ""
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf" version="{version}.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">{metadata}</metadata>'
        f"<manifest>{''.join(items)}</manifest>"
        f"<spine{toc}>{spine}</spine></package>"
    )
    with zipfile.ZipFile(file, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
            '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
            "</rootfiles></container>",
        )
        book.writestr("book.opf", package)
        book.writestr(*contents)
        for name, (title, texts) in zip(names, found, strict=True):
            book.writestr(name, xhtml(page(title, texts)))


def xhtml(body: str) -> str:
    spaces = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
    return f"<html {spaces}><head><title>{TITLE}</title></head><body>{body}</body></html>"


def pdf(file: Path) -> None:
    """Two pages of front matter, i and ii, then pages from 1; chapters in the outline."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.constants import PageLabelStyle
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles = getSampleStyleSheet()
    flow: list[object] = [Paragraph(TITLE, styles["Title"]), PageBreak()]
    flow += [Paragraph("For all who listen.", styles["BodyText"]), PageBreak()]
    for title, texts in chapters():
        flow.append(Paragraph(title, styles["Heading1"]))
        flow += [Paragraph(html.escape(text), styles["BodyText"]) for text in texts]
        flow.append(PageBreak())
    SimpleDocTemplate(str(file), title=TITLE, author=AUTHOR).build(flow)
    writer = PdfWriter(clone_from=file)
    writer.set_page_label(0, 1, style=PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(2, len(writer.pages) - 1, style=PageLabelStyle.DECIMAL, start=1)
    for title, _ in chapters():
        at = next(n for n, p in enumerate(PdfReader(file).pages) if title in p.extract_text())
        writer.add_outline_item(title=title, page_number=at)
    writer.write(file)


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "pdf": ("bell.pdf", pdf),
    "epub2": ("bell-2.epub", lambda file: epub(file, version=2)),
    "epub3": ("bell-3.epub", lambda file: epub(file, version=3)),
    "html": ("bell.html", web),
    "markdown": ("bell.md", markdown),
    "gutenberg": ("bell.txt", gutenberg),
}


def photograph(svg: Path, png: Path) -> None:
    """Draw an SVG as a small PNG."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text(encoding="utf-8"))
    assert found is not None
    size = f"{float(found[1]):.0f},{float(found[2]):.0f}"
    with tempfile.TemporaryDirectory() as profile:
        options = (f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={png}")
        subprocess.run([*CHROMIUM, *options, svg.as_uri()], check=True, capture_output=True)
    with Image.open(png) as picture:
        few = picture.convert("RGB").quantize(32)
    few.save(png, optimize=True)


def main(names: list[str]) -> None:
    for name in names or list(FORMATS):
        file, make = FORMATS[name]
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            home.mkdir()
            link_base(str(home))
            make(Path(folder) / file)
            lines = [f"mplus ingest {file}", *(f'mplus ask "{asked}"' for asked in QUESTIONS)]
            svg = Path(folder) / "shown.svg"
            save(drawn(record(str(home), lines, Path(folder))), str(svg))
            photograph(svg, HERE / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
