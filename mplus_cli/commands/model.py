"""`mplus model`: which models there are, and the base they need."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.command_line import examples
from mplus_cli.commands.common import JsonArrayOption, JsonOption, settings_of
from mplus_cli.settings import Settings
from mplus_cli.terminal import screen

app = typer.Typer(help="List, show and download models.")

OptionalModel = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A name, folder or Hub id; by default the model in use."),
]


@app.command("list")
def list_models(context: typer.Context, as_json: JsonArrayOption = False) -> None:
    """List the models that can be used by name."""
    from mplus_cli.runtime import model_info
    from mplus_cli.terminal.model_view import models_table

    settings = settings_of(context)
    listed = model_info.list_models(settings.home, settings.model)
    if as_json:
        screen.json_out(listed)
    else:
        screen.show(models_table(listed))


@app.command("show")
def show(context: typer.Context, name: OptionalModel = None, as_json: JsonOption = False) -> None:
    """Load a model and show its geometry, adapters, retriever, base and fingerprint."""
    from dataclasses import replace

    from mplus_cli.runtime import downloads, model_info
    from mplus_cli.runtime.session import open_session
    from mplus_cli.terminal.model_view import model_description

    settings = replace(_settings(context, name), offline=True)  # showing downloads nothing
    with screen.meter() as meter:
        session = open_session(settings, note=screen.note, progress=meter.report)
    base = downloads.model_folder(settings)
    described = model_info.describe_model(session.choice, session.loaded, base)
    if as_json:
        screen.json_out(described)
    else:
        screen.show(model_description(described))


@app.command(
    "pull",
    epilog=examples("mplus model pull", "mplus model pull qwen3-0.6b", "mplus model pull org/name"),
)
def pull(context: typer.Context, name: OptionalModel = None, as_json: JsonOption = False) -> None:
    """Download a model, or the base it needs, unless it is here already.

    Short names: smollm2-360m, smollm2-1.7b, qwen3-0.6b, qwen3-1.7b, qwen3-4b, qwen3-8b, llama-3.2-1b,
    llama-3.2-3b, gemma-3-1b, gemma-3-4b.
    """
    from mplus_cli.runtime import downloads

    settings = _settings(context, name)
    with screen.meter() as meter:
        folder = downloads.pull(settings, note=screen.note, progress=meter.report)
    if as_json:
        screen.json_out({"model": name or settings.model, "path": str(folder)})
    screen.note(f"{name or settings.model} is here: {folder}")


@app.command("path")
def path(context: typer.Context, name: OptionalModel = None, as_json: JsonOption = False) -> None:
    """Print the folder of a model's base, in Hugging Face's format. Downloads nothing."""
    from mplus_cli.runtime import downloads

    settings = _settings(context, name)
    folder = str(downloads.model_folder(settings))
    if as_json:
        screen.json_out({"model": settings.model, "path": folder})
    else:
        screen.out(folder)


def _settings(context: typer.Context, name: str | None) -> Settings:
    """The settings, with the model that was named."""
    from dataclasses import replace

    settings = settings_of(context)
    return settings if name is None else replace(settings, model=name)
