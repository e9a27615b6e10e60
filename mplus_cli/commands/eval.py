"""`mplus eval`: measure a checkpoint and its baselines on the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplus_cli.commands.common import JsonOption, resumable, settings_of
from mplus_cli.terminal import screen

if TYPE_CHECKING:
    from mplus_cli.evaluation.experiments import Common
    from mplus_cli.evaluation.values import Event

app = typer.Typer(
    help="Measure how well a model remembers, next to baselines on the same base weights.",
    no_args_is_help=True,
)

OutOption = Annotated[
    Path, typer.Option(metavar="FOLDER", help="The run's folder. An interrupted run continues.")
]
ArmsOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B:N,...",
        help="What to compare, or all. B:N asks B only the first N questions of each kind. An "
        "unknown name lists them all.",
    ),
]
BaseOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="The base model, if the checkpoint does not say where it is."
    ),
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Fewer questions and arms: ten minutes on two cores.")
]
DataOption = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="Questions; may be repeated.")
]


@app.command("retention")
def retention(
    context: typer.Context,
    out: OutOption,
    data: DataOption = None,
    books: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Text to read in between: JSON lines or a document."),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Tokens to read after a passage, in whole chunks. N:Q asks only the first Q "
            "questions. Default: 0,20000,160000.",
        ),
    ] = None,
    questions: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Passages to ask about. Default: 200.")
    ] = None,
    facts: Annotated[
        int, typer.Option(min=0, metavar="N", help="Made-up facts to ask about as well.")
    ] = 0,
    fact_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Tokens to read after a made-up fact. Default: as --tokens.",
        ),
    ] = None,
    unread: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Questions about passages never read. Default: 100."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Random seed.")] = 0,
    arms: ArmsOption = None,
    base: BaseOption = None,
    quick: QuickOption = False,
    as_json: JsonOption = False,
) -> None:
    """Knowledge retention: read a passage, then many tokens of other text, then ask its question.

    Data are JSON lines, plain or gzipped: {"id", "context", "qas": [{"question", "answers"}]}. Without
    data, made-up facts are hidden in the text of the example story. All questions share one stream of
    text; each is asked once the given number of tokens has been read after its passage.

    Arms: mplus is M+. closed-book, gold, window, bm25 and bm25-1 are the untrained base with text in its
    prompt. gold-reader and bm25-1-reader are the trained reader with text in its prompt, gold-memory and
    bm25-1-memory with that text as its only memory. Variants of M+: quoted (answers as mplus ask does),
    quoted-memory (as mplus ask --reread 0 does), stm-only, identity, reread1, reread2, random-recall,
    oracle-recall, token-recall, no-retriever, swapped-adapters.
    """
    from mplus_cli.evaluation.arms import DEFAULT, QUICK
    from mplus_cli.evaluation.experiments import run_retention
    from mplus_cli.evaluation.retention import RetentionOptions

    options = RetentionOptions(
        data=tuple(data or ()),
        books=tuple(books or ()),
        tokens=tokens or ("0,20000" if quick else "0,20000,160000"),
        fact_tokens=fact_tokens,
        questions=questions if questions is not None else (24 if quick else 200),
        facts=facts,
        unread=unread if unread is not None else (8 if quick else 100),
        seed=seed,
    )
    chosen = arms or (QUICK if quick else DEFAULT)
    _run(context, partial(run_retention, options=options), out, chosen, base, as_json)


@app.command("qa")
def qa(
    context: typer.Context,
    out: OutOption,
    data: DataOption = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="auto, documents, story or passages.",
        ),
    ] = "auto",
    questions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N questions.")
    ] = None,
    each: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most N questions per document.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="S", help="Draw documents and questions at random instead of taking the first."
        ),
    ] = None,
    arms: ArmsOption = None,
    base: BaseOption = None,
    quick: QuickOption = False,
    as_json: JsonOption = False,
) -> None:
    """Questions about long documents: exact match, F1, hits, right pages, refusals.

    Data are JSON lines {"title", "text" or "path", "questions": [{"question", "answers", "pages"?}]},
    or passages {"id", "context", "qas"}, each a document of its own. Without data, the example story's
    questions are asked. The arms are those of mplus eval retention.
    """
    from mplus_cli.evaluation.arms import DEFAULT, QUICK
    from mplus_cli.evaluation.experiments import run_qa

    count = questions if questions is not None else (20 if quick else None)
    run = partial(run_qa, data=tuple(data or ()), form=form, questions=count, each=each, seed=seed)
    chosen = arms or (QUICK if quick else DEFAULT)
    _run(context, run, out, chosen, base, as_json)


@app.command("story")
def story(
    context: typer.Context,
    out: OutOption,
    questions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N questions.")
    ] = None,
    arms: ArmsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The example story's 40 questions, answered as by mplus ask: right answers and pages.

    Arms: quoted is mplus ask, quoted-memory is mplus ask --reread 0, mplus is mplus ask --no-quote;
    reread1 and reread2 add --reread 1 and 2 to that.
    """
    from mplus_cli.evaluation.arms import FOR_STORY
    from mplus_cli.evaluation.experiments import run_story

    run, chosen = partial(run_story, questions=questions), arms or FOR_STORY[0]
    _run(context, run, out, chosen, None, as_json, FOR_STORY)


@app.command("perplexity")
def perplexity(
    context: typer.Context,
    out: OutOption,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="BOOK", help="Long texts: documents, or JSON lines with text."),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N tokens of each text.")
    ] = None,
    arms: ArmsOption = None,
    base: BaseOption = None,
    quick: QuickOption = False,
    as_json: JsonOption = False,
) -> None:
    """Next-token loss over a long text, in nats: behind memory, and behind a window of text."""
    from mplus_cli.evaluation.arms import FOR_LOSS
    from mplus_cli.evaluation.experiments import run_perplexity

    limit = tokens if tokens is not None else (16384 if quick else None)
    run = partial(run_perplexity, data=tuple(data or ()), tokens=limit)
    _run(context, run, out, arms or "all", base, as_json, FOR_LOSS)


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, or of several runs.")],
) -> None:
    """Write report.md, plots, tables.md and summary.jsonl of the runs in a folder.

    If a folder holds no run but the JSON lines of an earlier report, they are reported again.
    """
    from mplus_cli.evaluation.report import write_report

    with screen.meter() as meter:
        meter.report("writing the report")
        files = write_report(folder)
    for file in files:
        screen.out(str(file))


@app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(help="A run's folder, or a folder of runs.")],
    second: Annotated[Path, typer.Argument(help="The folder of the second run, or runs.")],
) -> None:
    """Check that a second run of the same command gave the same answers and scores; times are ignored.

    Prints what differs; the exit code is 1 if anything does.
    """
    from mplus_cli.errors import MplusError
    from mplus_cli.evaluation.compare import compare as compare_runs
    from mplus_cli.evaluation.report import read_runs

    compared = compare_runs(read_runs(first), read_runs(second))
    for one in compared:
        for line in (*one.settings, *one.changed):
            screen.out(f"{one.name}: {line}")
        if alone := one.only_first + one.only_second:
            screen.note(f"{one.name}: {alone:,} answers are in one of the two only")
        both = one.same + len(one.changed)
        screen.out(f"{one.name}: {one.same:,} of {both:,} answers are the same")
    if changed := sum(len(one.changed) for one in compared):
        raise MplusError(f"{changed:,} answers differ: they are listed above")


def _run(
    context: typer.Context,
    start: Callable[[Common], Iterator[Event]],
    out: Path,
    arms: str,
    base: Path | None,
    as_json: bool,
    known: tuple[str, ...] | None = None,
) -> None:
    """Run an experiment, show its progress, and then its tables."""
    from mplus_cli.evaluation.arms import parse_arms
    from mplus_cli.evaluation.experiments import Common
    from mplus_cli.evaluation.journal import WORK, kept_bytes
    from mplus_cli.terminal.evaluation_view import follow, show_tables
    from mplus_cli.wording import size

    chosen = parse_arms(arms, known, limits=False) if known else parse_arms(arms)
    settings = settings_of(context)

    def told() -> str:
        held = kept_bytes(out)
        return f"{size(held)} of memory are kept in {out / WORK} to continue from" if held else ""

    with screen.meter() as meter, resumable(meter, told):
        common = Common(settings, out, chosen, base, screen.note, meter.report)
        follow(start(common), meter)
    show_tables(out, as_json=as_json)
    screen.note(f"all answers are in {out}; for a report: mplus eval report {out}")
