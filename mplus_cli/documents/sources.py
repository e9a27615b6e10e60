"""From command-line arguments to the list of files to read. Opens none of them."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mplus_cli.documents.foreign import OFFICE_SUFFIXES, left_out
from mplus_cli.documents.model import DocumentError, Source

SUFFIXES = frozenset(
    {".pdf", ".epub", ".html", ".htm", ".xhtml", ".txt", ".text", ".md", ".markdown", ".fb2"}
    | {".csv", ".tsv", ".srt", ".vtt"}
    | OFFICE_SUFFIXES
)


_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|www\.", re.IGNORECASE)


def find_sources(
    arguments: Sequence[str], note: Callable[[str], None] = lambda _: None
) -> list[Source]:
    """Files, the documents of folders, and "-" for stdin, each once, in the order given.

    A folder is searched recursively for files of known kinds, hidden ones skipped, in natural
    order ("ch2" before "ch10": the order is the order of reading). Raises DocumentError for
    what is not there and for a folder without documents. `note` is called with a line about what
    a folder has besides.
    """
    found: dict[object, Source] = {}
    for argument in arguments:
        for source in _expand(argument, note):
            identity = source.path.resolve() if source.path is not None else None
            found.setdefault(identity, source)
    return list(found.values())


def _expand(argument: str, note: Callable[[str], None]) -> Iterable[Source]:
    if argument == "-":
        return [Source(None, "-")]
    if not argument or "\0" in argument:
        raise DocumentError(f"{argument!r} is not a file name: name a file, a folder or -")
    path = Path(argument)
    try:
        if path.is_dir():
            return _folder(path, argument, note)
        if path.exists():
            return [Source(path, argument)]
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DocumentError(f"{argument} cannot be read: {reason}") from error
    if _ADDRESS.match(argument):
        save = f"save the page and give the file: curl -L -o page.html {argument}"
        raise DocumentError(f"{argument} is an address, and mplus reads files only: {save}")
    raise DocumentError(_missing(path, argument))


def _folder(folder: Path, argument: str, note: Callable[[str], None]) -> list[Source]:
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        # "~$report.docx" says that somebody has the document open.
        files += [Path(root, name) for name in names if not name.startswith((".", "~$"))]
    files = sorted((path for path in files if path.is_file()), key=_natural)
    sources = [Source(path, str(path)) for path in files if path.suffix.lower() in SUFFIXES]
    lines = left_out(argument, (path for path in files if path.suffix.lower() not in SUFFIXES))
    if not sources:
        kinds = ".pdf, .epub, .docx, .odt, .txt, .md or .html"
        besides = f" ({lines[0]})" if lines else ""
        empty = f"{argument} has no documents in it: it should hold {kinds} files{besides}"
        raise DocumentError(empty)
    for line in lines:
        note(line)
    return sources


def _natural(path: Path) -> list[list[tuple[int, str]]]:
    """A sort key that compares runs of digits as numbers, folder by folder."""
    return [
        [
            (int(piece), "") if piece.isdecimal() and len(piece) < 19 else (-1, piece)
            for piece in re.split(r"(\d+)", part.casefold())
        ]
        for part in path.parts
    ]


def _missing(path: Path, argument: str) -> str:
    """The message for what is not there, with the nearest name that is."""
    import difflib

    if path.is_symlink():
        return f"{argument} is a link to a file that does not exist"
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"{argument} does not exist: there is no folder {path.parent}"
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    if not close:
        return f"{argument} does not exist: check the name"
    return f"{argument} does not exist: did you mean {path.parent / close[0]}?"
