"""A training run as the command line starts it: from a recipe, its data, a base and a folder.

Resolves settings and finds the embedded base; the training itself is in `models.training`. Prints
nothing: yields the run's events.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import UsageError
from mplus_cli.runtime import catalog, embedded_base
from mplus_cli.runtime.session import find_device, thread_count
from mplus_cli.settings import Settings

if TYPE_CHECKING:
    from models.training.config import TrainingConfig
    from models.training.loop import Event
    from models.training.start import Passages


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """What `mplus train` was asked for."""

    recipe: str
    out: Path
    base: str | None
    weights: tuple[Path, ...]
    """Of earlier stages, to start from their mean."""
    changes: tuple[str, ...]
    """`name=value` settings that replace the recipe's."""
    export: Path | None
    until: int | None
    data_workers: int = 0
    """Processes that draw the text ahead."""


def is_main_process() -> bool:
    """Whether this process is the one of its group that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def recipes() -> dict[str, Path]:
    """The recipes that come with mplus, by name."""
    import models.training

    folder = Path(models.training.__file__).parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def read_recipe(order: TrainingOrder) -> TrainingConfig:
    """The configuration that was asked for, with its changes.

    Raises:
        UsageError: there is no such recipe, or a setting is wrong.
    """
    from models.config import ConfigError
    from models.training.config import TrainingConfig, has_saved

    known = recipes()
    path = known.get(order.recipe, Path(order.recipe))
    if not path.is_file():
        raise UsageError(
            f"there is no recipe {order.recipe}: give a JSON file or one of {', '.join(known)}"
        )
    if has_saved(order.out):
        path = order.out / "config.json"
    try:
        return TrainingConfig.read(path, **_changes(order.changes))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def train(
    settings: Settings,
    order: TrainingOrder,
    *,
    progress: embedded_base.Progress,
    passages: Passages,
) -> Iterator[Event]:
    """Start or resume a run; at its end, write the checkpoint if asked to.

    Args:
        passages: chooses the passages of prompts that show any.

    Raises:
        UsageError: the recipe, its data or the base does not fit.
    """
    import torch

    from models.checkpoints import CheckpointError, default_dtype
    from models.checkpoints.own import CARD
    from models.config import ConfigError
    from models.training.data import DataError
    from models.training.processes import Processes, own_device
    from models.training.start import export, start

    config = read_recipe(order)
    if config.text_lora_rank and order.export is not None and not (order.export / CARD).is_file():
        raise UsageError(
            f"{order.export} is not a checkpoint: a reader of text is added to one, so copy it there first"
        )
    base, reference = find_base(settings, order.base, progress)
    device = own_device(find_device(settings.device))
    dtype = getattr(torch, settings.dtype) if settings.dtype != "auto" else default_dtype(device)
    torch.set_num_threads(thread_count())
    processes = Processes.join(device)
    try:
        progress("reading the data", 0, None)
        run, _ = start(
            config,
            order.out,
            base,
            device=device,
            dtype=dtype,
            weights=order.weights,
            processes=processes,
            data_workers=order.data_workers,
            passages=passages,
        )
        try:
            yield from run.events(order.until)
        finally:
            run.close()
        if order.export is not None and processes.is_main:
            export(run, order.export, name=order.export.name, base=base, base_reference=reference)
    except (ConfigError, DataError, CheckpointError, ValueError) as error:
        raise UsageError(str(error)) from error
    finally:
        processes.leave()


def find_base(
    settings: Settings, base: str | None, progress: embedded_base.Progress
) -> tuple[Path, str]:
    """The base's folder, and the reference to it that a checkpoint keeps."""
    if base is None:
        folder = embedded_base.ensure(settings.home, offline=settings.offline, progress=progress)
        return folder, catalog.BASE
    path = Path(base).expanduser()
    if not (path / "config.json").is_file():
        raise UsageError(f"{base} is not a model folder in Hugging Face's format (config.json)")
    return path, str(path.resolve())


def describe_fields() -> list[tuple[str, str, str]]:
    """Every field of a recipe: name, default and meaning, from `TrainingConfig` itself."""
    import ast
    import inspect

    from models.training import config as module

    tree = ast.parse(inspect.getsource(module.TrainingConfig))
    body = tree.body[0].body  # type: ignore[attr-defined]
    defaults = {field.name: field.default for field in dataclasses.fields(module.TrainingConfig)}
    rows = []
    for at, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            after = body[at + 1] if at + 1 < len(body) else None
            meaning = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                meaning = " ".join(str(after.value.value).split())
            default = defaults[node.target.id]
            shown = "" if default is dataclasses.MISSING else json.dumps(default)
            rows.append((node.target.id, shown, meaning))
    return rows


def _changes(given: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for change in given:
        name, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set {change}: write name=value")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value
        if name in ("qa", "books", "validation") and isinstance(changes[name], str):
            changes[name] = changes[name].split(",")
    return changes
