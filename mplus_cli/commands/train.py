"""`mplus train`: teach a base to write, recall and read memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mplus_cli.commands.common import resumable, settings_of
from mplus_cli.terminal import screen

HELP = """\
Train the two adapters and the retriever of M+ on a frozen base model.

Training has three stages, each a recipe. Each starts from the weights of the one before:

    1-write    write one chunk into memory and read it back
    2-many     several chunks in a row, with distractors in memory
    3-recall   the retriever with the readers, and unanswerable questions
               (32 streams a step: for a GPU)

    mplus train 1-write --out runs/1 --set qa=qa.jsonl.gz --set books=books.jsonl.gz
    mplus train 2-many --out runs/2 --weights runs/1/last/weights.safetensors --set qa=...
    mplus train 3-recall --out runs/3 --weights runs/2/last/weights.safetensors --export my-model

A reader of text, which gives a second opinion on answers, is trained separately (recipe text-reader) and
added to the checkpoint in the folder of --export.

Averaging two runs that started from the same weights often beats either (arXiv 2203.05482): pass
--weights twice, with --until 0 --export my-model.

Data are JSON lines, plain or gzipped. qa: {"context": text, "qas": [{"question": text, "answers":
[text, ...]}]}; books: {"text": text}; validation: like qa, and never trained on. With facts=1, made-up
facts replace qa, and only books are needed.

For another base give --base FOLDER, and set its geometry under "model" in the recipe (chunk_tokens,
new_tokens, stm_tokens, recalled_tokens, retriever_layers, ...).

The run's folder holds config.json, log.csv (losses in nats), validation.csv and last/ (weights,
optimiser, position in the data). The same command resumes from last/; --set changes the settings from
there on. --curves plots the log (pip install 'mplus[eval]').

For several processes: accelerate launch --multi_gpu --num_processes N -m mplus_cli train ... with the
same arguments, and --device cpu where there are no GPUs. The recipe's streams are divided among them.
"""


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="The name of a recipe that comes with mplus, or a JSON file."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the run; resumed if it exists.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="The base to train on; by default the embedded one."),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Start from these weights, or those of a checkpoint folder; "
            "given several times, from their mean.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the recipe."),
    ] = None,
    until: Annotated[
        int | None,
        typer.Option(metavar="STEP", help="Stop after this step; the run can be resumed."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a checkpoint for --model here; text-reader adds its adapter to the one here.",
        ),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Plot the log of a run into its curves.png, and exit."),
    ] = None,
    data_workers: Annotated[
        int,
        typer.Option(
            "--data-workers",
            "--drawers",
            metavar="N",
            min=0,
            help="Prepare the data in N processes, so that a GPU does not wait.",
        ),
    ] = 0,
    fields: Annotated[
        bool, typer.Option("--fields", help="Explain every setting of a recipe, and exit.")
    ] = False,
) -> None:
    """Train the adapters and the retriever of M+ on a frozen base."""
    from mplus_cli.asking.rereading import passages_by_words, passages_for_second
    from mplus_cli.errors import UsageError
    from mplus_cli.terminal.training_view import TrainingView
    from mplus_cli.training.run import (
        TrainingOrder,
        describe_fields,
        is_main_process,
        read_recipe,
        recipes,
    )
    from mplus_cli.training.run import train as run

    settings = settings_of(context)
    if fields:
        for name, default, meaning in describe_fields():
            screen.out(f"{name} = {default}")
            if meaning:
                screen.out(f"    {meaning}")
        return
    if curves is not None:
        from mplus_cli.training.curves import draw_curves

        screen.out(str(draw_curves(curves)))
        return
    if recipe is None or out is None:
        raise UsageError(f"give a recipe ({', '.join(recipes())}, or a file) and --out FOLDER")
    order = TrainingOrder(
        recipe, out, base, tuple(weights or ()), tuple(changes or ()), export, until, data_workers
    )
    config = read_recipe(order)
    total = config.steps
    passages = passages_for_second if config.text_lora_rank else passages_by_words
    speaks = is_main_process()
    with screen.meter(quiet=not speaks) as meter:
        view = TrainingView(meter, total if until is None else min(until, total))
        with resumable(meter, lambda: view.kept(out)):
            for event in run(settings, order, progress=meter.report, passages=passages):
                view.show(event)
    if speaks:
        view.summary(out, export)
