"""`mplus train`: teach a base to write, recall and read memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mplus_cli import screen
from mplus_cli.commands.common import settings_of

HELP = """\
Train both adapters and the retriever of M+ on a frozen base.

Three stages, each a recipe: 1-write (one chunk, written and read back), 2-many (several chunks in
a row, distractors in the prefix), 3-recall (the retriever with the readers, unanswerable
questions; 32 streams, for a GPU). Each starts from the one before:

mplus train 1-write --out runs/1 --set qa=qa.jsonl.gz --set books=books.jsonl.gz

mplus train 2-many --out runs/2 --weights runs/1/last/weights.safetensors --set qa=...

mplus train 3-recall --out runs/3 --weights runs/2/last/weights.safetensors --export my-model

Runs that went apart from the same weights often do better together (arXiv 2203.05482): the mean of
two as a checkpoint is --weights ONE --weights TWO --until 0 --export my-model.

Data are JSON lines, plain or gzipped. qa: {"context": text, "qas": [{"question": text, "answers":
[text, ...]}]}; books: {"text": text}; validation: like qa, never trained on. Without data, made-
up facts alone (facts=1) need books only.

Another base: --base FOLDER, and geometry in the recipe's "model" (chunk_tokens, new_tokens,
stm_tokens, recalled_tokens, retriever_layers, ... see MPlusConfig).

The run's folder holds config.json, log.csv (losses in nats), validation.csv and last/ (weights,
optimiser, data position); Ctrl-C loses the steps since the last save at most. --set on an old run
holds from there on. --curves draws what a run logged (pip install 'mplus[eval]').

Several processes share the recipe's streams out among them: accelerate launch --multi_gpu
--num_processes N -m mplus_cli train ... with the same arguments (and --device cpu without GPUs).
"""


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(help="A JSON file, or the name of a recipe that comes with mplus."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The run's folder. An old one is resumed.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="A Llama-architecture base; default: the embedded one."
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Start from an earlier stage's weights.safetensors, or from the folder of a "
            "checkpoint; given again: from their mean.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Replace a setting of the recipe."),
    ] = None,
    until: Annotated[
        int | None, typer.Option(metavar="STEP", help="Stop after this step; resume later.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the checkpoint here; use it with --model."),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw the curves.png of the run there, and exit."),
    ] = None,
    drawers: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Draw the text ahead in N processes: a GPU need not wait."
        ),
    ] = 0,
    fields: Annotated[
        bool, typer.Option("--fields", help="Explain every setting of a recipe, and exit.")
    ] = False,
) -> None:
    """Train both adapters and the retriever of M+ on a frozen base."""
    from mplus_cli.errors import UsageError
    from mplus_cli.training import Order, describe_fields, is_main_process, read_recipe, recipes
    from mplus_cli.training import train as run
    from mplus_cli.training_view import TrainingView

    settings = settings_of(context)
    if fields:
        for name, default, meaning in describe_fields():
            screen.out(f"{name} = {default}")
            if meaning:
                screen.out(f"    {meaning}")
        return
    if curves is not None:
        from mplus_cli.training_curves import draw_curves

        screen.out(str(draw_curves(curves)))
        return
    if recipe is None or out is None:
        raise UsageError(f"give a recipe ({', '.join(recipes())}, or a file) and --out FOLDER")
    order = Order(
        recipe, out, base, tuple(weights or ()), tuple(changes or ()), export, until, drawers
    )
    total = read_recipe(order).steps
    speaks = is_main_process()
    with screen.meter(quiet=not speaks) as meter:
        view = TrainingView(meter, total if until is None else min(until, total))
        for event in run(settings, order, progress=meter.report):
            view.show(event)
    if speaks:
        view.summary(out, export)
