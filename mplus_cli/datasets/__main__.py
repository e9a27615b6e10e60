"""The converter's command line: one command per set, the same options for all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mplus_cli.app import run_program
from mplus_cli.datasets import books as book_files
from mplus_cli.datasets import formats
from mplus_cli.datasets.choosing import draw_books, draw_questions, question_count
from mplus_cli.datasets.files import write_lines
from mplus_cli.datasets.values import Book, DataSetError, Passage
from mplus_cli.errors import ExitCode
from mplus_cli.terminal import screen

NAME = "python -m mplus_cli.datasets"

app = typer.Typer(
    help="Turn downloaded public sets and books into the JSON lines that mplus train reads.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="As downloaded; .gz too.")]
Out = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="A .jsonl or .jsonl.gz file to write.")
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="At most N questions (or books), drawn at random."),
]
Seed = Annotated[int, typer.Option(help="Random seed.")]


@app.command("squad")
def squad(files: Files, out: Out, limit: Limit = None, seed: Seed = 0) -> None:
    """SQuAD v1.1: train-v1.1.json or dev-v1.1.json."""
    _write(formats.squad(files), out, limit, seed)


@app.command("nq")
def natural_questions(files: Files, out: Out, limit: Limit = None, seed: Seed = 0) -> None:
    """Natural Questions with gold paragraphs: DPR's biencoder-nq-dev.json."""
    _write(formats.natural_questions(files), out, limit, seed)


@app.command("fairytaleqa")
def fairytale_qa(files: Files, out: Out, limit: Limit = None, seed: Seed = 0) -> None:
    """FairytaleQA: a split of the release on the Hub, as CSV or JSON."""
    _write(formats.fairytale_qa(files), out, limit, seed)


@app.command("narrativeqa")
def narrative_qa(
    folder: Annotated[Path, typer.Argument(help="A clone of the repository.")],
    out: Out,
    split: Annotated[str, typer.Option(metavar="train|valid|test", help="Which questions.")],
    limit: Limit = None,
    seed: Seed = 0,
) -> None:
    """NarrativeQA: questions on the summaries of stories."""
    _write(formats.narrative_qa(folder, split), out, limit, seed)


@app.command("covidqa")
def covid_qa(
    files: Files,
    out: Out,
    window: Annotated[
        int,
        typer.Option(
            min=200, metavar="N", help="Characters of the article to keep around an answer."
        ),
    ] = 1500,
    limit: Limit = None,
    seed: Seed = 0,
) -> None:
    """COVID-QA: windows around the answers of its articles."""
    _write(formats.covid_qa(files, window, seed), out, limit, seed)


@app.command("books")
def books(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help=".txt files, and folders of these.")
    ],
    out: Out,
    limit: Limit = None,
    seed: Seed = 0,
) -> int:
    """Plain-text books, without Project Gutenberg's headers and footers."""
    read: list[Book] = []
    failed: list[DataSetError] = []
    for path in book_files.book_files(sources):
        try:
            read.append(book_files.read_book(path))
        except DataSetError as error:
            failed.append(error)
    if not read:
        raise (
            failed[0]
            if len(failed) == 1
            else DataSetError(f"none of the {len(failed)} files is a book: {failed[0]}")
        )
    for failure in failed:
        screen.failed(f"left out: {failure}")
    chosen = draw_books(read, limit, seed)
    write_lines(out, (book.record() for book in chosen))
    characters = sum(len(book.text) for book in chosen)
    screen.note(f"{out}: {len(chosen):,} books, {characters:,} characters")
    return ExitCode.PARTIAL if failed else ExitCode.DONE


@app.command("asked")
def asked(
    qa: Annotated[
        list[Path],
        typer.Argument(metavar="QA...", help="Labelled passages, as this program writes."),
    ],
    out: Out,
    base: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="A base to learn with; the embedded: mplus model path."
        ),
    ],
    books: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Books to ask about as well.")
    ] = None,
    windows: Annotated[int, typer.Option(min=0, help="Excerpts of books to ask about.")] = 10_000,
    each: Annotated[int, typer.Option(min=1, help="Questions generated for every text.")] = 5,
    epochs: Annotated[
        float, typer.Option(min=0.01, help="Passes over the labelled passages.")
    ] = 2.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Seed = 0,
) -> None:
    """Question generation: a copy of a base learns to ask, and asks about passages and books (for a
    GPU)."""
    from mplus_cli.datasets.asked import AskingOrder, asked_records

    order = AskingOrder(qa, books or [], windows if books else 0, base, device, epochs, each, seed)
    with screen.meter() as meter:
        records = list(asked_records(order, meter.report))
    write_lines(out, records)
    count = sum(len(record["qas"]) for record in records)
    screen.note(f"{out}: {len(records):,} passages, {count:,} questions")


def _write(passages: Sequence[Passage], out: Path, limit: int | None, seed: int) -> None:
    if not passages:
        raise DataSetError("there is no question with an answer in it: is it the right file?")
    chosen = draw_questions(passages, limit, seed)
    write_lines(out, (passage.record() for passage in chosen))
    screen.note(f"{out}: {len(chosen):,} passages, {question_count(chosen):,} questions")


def main(arguments: Sequence[str]) -> int:
    """Run the converter and return its exit code."""
    code = run_program(app, arguments, NAME)
    if code == ExitCode.INTERRUPTED:
        screen.interrupted()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
