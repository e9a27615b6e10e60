"""Lists the available models, and resolves a name, folder or Hub id to one of them.

Looks at names, folders and small JSON files only: loads nothing, fetches nothing, imports no torch.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.architecture import FAMILIES
from models.json_file import read_object
from models.schema import shown
from mplus_cli.errors import UsageError
from mplus_cli.runtime.known_models import KNOWN, known
from mplus_cli.settings import DEFAULT_MODEL, reason

BASE = "smollm2-135m-instruct"
IDENTITY = f"{DEFAULT_MODEL}-identity"
UNTRAINED = "untrained: identity memory, untrained scorer"
CARD = "mplus.json"

Kind = Literal["builtin", "installed", "folder", "file", "hub"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that was named, before it is loaded."""

    name: str
    """The name that its memories record."""
    kind: Kind
    reference: str | Path
    """The argument of `models.checkpoints.load`."""
    base: Path | None = None
    """The folder of its base, if that is the embedded one."""
    trained: bool = True
    """False: known to have identity memory only."""

    @property
    def geometry(self) -> dict[str, Any]:
        """What its card says of the memories it writes; empty where it has none."""
        found = card(self.reference).get("config") if isinstance(self.reference, Path) else None
        return found if isinstance(found, dict) else {}

    @property
    def note(self) -> str:
        """A warning about it for the user; often empty."""
        return "" if self.trained else UNTRAINED


def base_folder(home: Path) -> Path:
    """Where the embedded base is, once fetched."""
    return home / "base" / BASE


def is_base_present(home: Path) -> bool:
    """Whether the embedded base was fetched."""
    return (base_folder(home) / "config.json").is_file()


def find(model: str, home: Path) -> ModelChoice:
    """The model that a name, folder, `.gguf` file or Hub id means.

    Raises:
        UsageError: there is no such model.
    """
    for choice in builtin(home):
        if model == choice.name:
            return choice
    if model in (DEFAULT_MODEL, BASE):
        return identity(home)
    folder = home / "models" / model
    if _is_plain_name(model) and folder.is_dir():
        base = _embedded_base(folder, home)
        return ModelChoice(model, "installed", folder, base, _is_trained(folder))
    try:
        path = Path(model).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # a Hub id, or nothing: below
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{shown(model)} is not a model: {reason(error)}: check the path"
        ) from error
    if path.is_dir():
        name = path.resolve().name
        return ModelChoice(name, "folder", path, _embedded_base(path, home), _is_trained(path))
    if path.is_file():
        return ModelChoice(path.stem, "file", path, trained=False)
    named = known(model)
    if named is not None or (model.count("/") == 1 and not model.startswith((".", "~", "/"))):
        repository = model if named is None else named.repository
        here = dict(fetched()).get(repository)
        trained = named is None and (here is None or _is_trained(here))
        return ModelChoice(repository, "hub", repository, trained=trained)
    if _is_plain_name(model):
        names = [choice.name for choice in every(home)] + [one.name for one in KNOWN]
        close = difflib.get_close_matches(model, names, n=1, cutoff=0.5)
        hint = (
            f'did you mean "{close[0]}"?'
            if close
            else "`mplus model list` shows the ones there are"
        )
        raise UsageError(f'there is no model "{model}": {hint}')
    raise UsageError(f"there is no model folder or file {model}: check the path")


def builtin(home: Path) -> Iterator[ModelChoice]:
    """The models that come with mplus; the default first."""
    weights = weights_folder()
    known = {DEFAULT_MODEL: weights} | {
        folder.name: folder for folder in sorted(weights.parent.glob("*")) if folder != weights
    }
    for name, folder in known.items():
        if (folder / CARD).is_file():
            yield ModelChoice(name, "builtin", folder, base_folder(home))
    yield identity(home)


def identity(home: Path) -> ModelChoice:
    """The embedded base with identity memory."""
    return ModelChoice(IDENTITY, "builtin", base_folder(home), base_folder(home), trained=False)


def weights_folder() -> Path:
    """Where the trained weights of the default model are, in a release that has them."""
    import models

    return Path(models.__file__).parent / "weights" / DEFAULT_MODEL


def every(home: Path) -> Iterator[ModelChoice]:
    """All models that can be named here: built in, installed and fetched."""
    yield from builtin(home)
    folder = home / "models"
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and _is_plain_name(entry.name):
                base = _embedded_base(entry, home)
                yield ModelChoice(entry.name, "installed", entry, base, _is_trained(entry))
    for repository, path in fetched():
        yield ModelChoice(repository, "hub", path, trained=_is_trained(path))


def fetched() -> Iterator[tuple[str, Path]]:
    """Hub ids of bases that are read and of M+ checkpoints in the local Hub cache, with their snapshots."""
    for folder in sorted(hub_cache().glob("models--*--*")):
        snapshots = sorted(folder.glob("snapshots/*"), key=_written)
        if snapshots and _is_model(snapshots[-1]):
            yield folder.name.removeprefix("models--").replace("--", "/", 1), snapshots[-1]


def _written(path: Path) -> float:
    """When a snapshot was fetched; the epoch if its link is broken."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def hub_cache() -> Path:
    """The Hub client's cache; None for a user without a home."""
    given, home = os.environ.get("HF_HUB_CACHE"), os.environ.get("HF_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    named = given or (f"{home}/hub" if home else f"{cache}/huggingface/hub")
    try:
        return Path(named).expanduser()
    except RuntimeError:
        return Path(named)


def _embedded_base(folder: Path, home: Path) -> Path | None:
    return base_folder(home) if card(folder).get("base") == BASE else None


def _is_trained(folder: Path) -> bool:
    return bool(card(folder)) or "num_blocks" in _config(folder)


def _is_model(folder: Path) -> bool:
    return bool(card(folder)) or _config(folder).get("model_type") in (*FAMILIES, "gemma3")


def card(folder: Path) -> dict[str, Any]:
    """The card of one of our checkpoints, or an empty object."""
    return _json(folder / CARD)


def _config(folder: Path) -> dict[str, Any]:
    return _json(folder / "config.json")


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one if there is none: loading reports what is wrong."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}


def _is_plain_name(model: str) -> bool:
    return not model.startswith(".") and not set(model) & {"/", "\\", os.sep, "\0"}
