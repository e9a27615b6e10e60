"""The checks of `mplus doctor`: each tests one thing and says how to fix it. Prints nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.durable import make_folder
from mplus_cli import failures
from mplus_cli.library import mounts
from mplus_cli.library.privacy import open_to_others
from mplus_cli.runtime import catalog, embedded_base
from mplus_cli.settings import Settings, default_config_path
from mplus_cli.wording import size

PACKAGES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "gguf")
_LEAST_FREE = 2 << 30

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked, the result, and what to do if it is not ok."""

    name: str
    state: State
    message: str
    fix: str = ""


def run_checks(settings: Settings, progress: embedded_base.Progress) -> Iterator[Check]:
    """All checks, cheap ones first; a check that crashes does not hide the others."""
    home = settings.home
    checks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("python", lambda: [_python()]),
        ("packages", _packages),
        ("config", lambda: [_config(settings)]),
        ("home", lambda: [_home(home)]),
        ("privacy", lambda: [_privacy(home)]),
        ("network", lambda: [_network(settings)]),
        ("base model", lambda: [_base(settings)]),
        ("device", lambda: [_device(settings)]),
        ("model", lambda: [_model(settings, progress)]),
    )
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield Check(name, "fail", failures.explain(error)[0], "see the message")


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "fail", "is not installed", f"{sys.executable} -m pip install {name}")


def _config(settings: Settings) -> Check:
    if settings.config_file is None:
        return Check("config", "ok", f"none (it would be {default_config_path()})")
    return Check("config", "ok", str(settings.config_file))


def _home(home: Path) -> Check:
    try:
        make_folder(home, mode=0o700)
        with tempfile.TemporaryFile(dir=home):
            free = shutil.disk_usage(home).free
    except OSError as error:
        message = f"{home} cannot be written: {error.strerror}"
        return Check("home", "fail", message, "name another folder with --home or MPLUS_HOME")
    room = f"{home}, {size(free)} free"
    if free < _LEAST_FREE:
        return Check("home", "warn", room, "free some space: a book takes up to a few GB")
    if kind := mounts.network_file_system(home):
        message = f"{room}, on a network file system ({kind}), where locks may not hold"
        return Check(
            "home", "warn", message, "write from one machine at a time, or name a local --home"
        )
    return Check("home", "ok", room)


def _privacy(home: Path) -> Check:
    found = open_to_others(home)
    if not found:
        return Check("privacy", "ok", "memories and history are readable by you alone")
    message = f"others may read {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
    return Check("privacy", "warn", message, "mplus doctor --fix")


def _network(settings: Settings) -> Check:
    if settings.offline:
        return Check("network", "ok", "off (--offline, HF_HUB_OFFLINE or the config file)")
    return Check("network", "ok", "used only to fetch models")


def _base(settings: Settings) -> Check:
    name = "base model"
    folder = catalog.base_folder(settings.home)
    if not catalog.is_base_present(settings.home):
        return Check(name, "warn", f"{catalog.BASE} is not fetched yet", "mplus model pull")
    damage = embedded_base.damage(folder)
    if damage:
        return Check(name, "fail", f"{catalog.BASE}: {damage}", "mplus model pull")
    if not embedded_base.has_receipt(folder):
        return Check(name, "ok", f"{folder} (not fetched by mplus: checksums unknown)")
    return Check(name, "ok", f"{folder}, checksums match")


def _device(settings: Settings) -> Check:
    try:
        from mplus_cli.runtime.session import find_device, thread_count

        device = find_device(settings.device)
    except Exception as error:
        return Check("device", "fail", failures.explain(error)[0], "use --device cpu")
    if device.type == "cpu":
        return Check("device", "ok", f"cpu, {thread_count()} of {os.cpu_count()} threads")
    return Check("device", "ok", str(device))


def _model(settings: Settings, progress: embedded_base.Progress) -> Check:
    try:
        choice = catalog.find(settings.model, settings.home)
        if choice.base is not None and not catalog.is_base_present(settings.home):
            return Check("model", "warn", f"{choice.name}: its base is missing", "mplus model pull")
        from mplus_cli.runtime.session import load_model

        loaded = load_model(
            settings, choice, settings.dtype, note=lambda _: None, progress=progress
        )
        if loaded.text_reader is not None:
            loaded.text_reader()
    except Exception as error:
        message, _ = failures.explain(error)
        return Check("model", "fail", message, "mplus model pull, or another --model")
    note = f" ({choice.note})" if choice.note else ""
    return Check("model", "ok", f"{choice.name} loads{note}")
