"""Settings: a flag beats the environment, which beats the config file, which beats the default.

Knows the names and allowed values of settings; not what is done with them.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.schema import shown
from mplus_cli.errors import UsageError

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_MEMORY = "default"
DTYPES = ("auto", "float32", "bfloat16", "float16")
KEYS = ("model", "device", "dtype", "home", "memory", "offline", "strict")
_SWITCHES = ("offline", "strict")

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,4})?|mps")
_LONGEST_FILE = 1 << 20
_ENVIRONMENT = {"model": "MPLUS_MODEL", "device": "MPLUS_DEVICE", "home": "MPLUS_HOME"}
_CONFIG = "MPLUS_CONFIG"
_OFFLINE = "HF_HUB_OFFLINE"
_TRUE = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True, slots=True)
class Flags:
    """The global options as given; None: not given."""

    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    home: Path | None = None
    offline: bool | None = None
    debug: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force."""

    model: str
    device: str
    dtype: str
    home: Path
    memory: str
    """The memory to use when none is named."""
    offline: bool
    strict: bool = False
    """Whether to give no answer rather than one that is likely to be wrong."""
    config_file: Path | None = None
    """The config file that was read; None: there is none."""


def resolve(flags: Flags, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force.

    Raises:
        UsageError: a value that is not allowed, with the flag, variable or file it came from.
    """
    env = os.environ if environment is None else environment
    path = config_path(env)
    values, origins = _defaults(), dict.fromkeys(KEYS, "")
    if path is not None:
        for key, value in _read_file(path).items():
            values[key], origins[key] = value, f"{path}: {key}"
    for key, variable in _ENVIRONMENT.items():
        if env.get(variable):
            values[key], origins[key] = env[variable], variable
    if env.get(_OFFLINE):
        values["offline"] = env[_OFFLINE].upper() in _TRUE
    for key in ("model", "device", "dtype", "home", "offline"):
        if getattr(flags, key) is not None:
            values[key], origins[key] = getattr(flags, key), f"--{key}"
    _check(values, origins)
    home = _folder(values.pop("home"), origins["home"])
    return Settings(**values, home=home, config_file=path)


def config_path(env: Mapping[str, str]) -> Path | None:
    """The config file: the one `MPLUS_CONFIG` names, or the user's if it exists."""
    if env.get(_CONFIG):
        path = Path(env[_CONFIG])
        with suppress(RuntimeError):  # no such user, so no such file
            path = path.expanduser()
        if not _is_file(path):
            raise UsageError(f"{_CONFIG} names {path}, which is no file: correct or unset it")
        return path
    path = default_config_path()
    return path if _is_file(path) else None


def default_config_path() -> Path:
    """Where the user's config file is expected."""
    import platformdirs

    return Path(platformdirs.user_config_dir("mplus", appauthor=False)) / "config.toml"


def _defaults() -> dict[str, Any]:
    import platformdirs

    return {
        "model": DEFAULT_MODEL,
        "device": "auto",
        "dtype": "auto",
        "home": platformdirs.user_data_dir("mplus", appauthor=False),
        "memory": DEFAULT_MEMORY,
        "offline": False,
        "strict": False,
    }


def _read_file(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            data = file.read(_LONGEST_FILE + 1)
        if len(data) > _LONGEST_FILE:
            raise ValueError(f"it has more than {_LONGEST_FILE} bytes")
        values = tomllib.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise UsageError(f"{path} cannot be read: it is nested too deeply: correct it") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}: correct it") from error
    for key, value in values.items():
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(KEYS)}"
            raise UsageError(f"{path}: unknown key {key}: {hint}")
        wanted = bool if key in _SWITCHES else str
        if type(value) is not wanted:
            kind = "true or false" if wanted is bool else "a text in quotes"
            raise UsageError(f"{path}: {key} is {shown(value)}: give {kind}")
    return values


def reason(error: Exception) -> str:
    """What the system says is wrong with a path."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _folder(given: str | Path, origin: str) -> Path:
    """A folder by its path, `~` and `~user` standing for a home; UsageError if there is no such user."""
    try:
        return Path(given).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise UsageError(
            f"{origin or 'the home'} is {given}: {reason(error)}: give a folder"
        ) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder may not be entered
        return False


def _check(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    if not _DEVICE.fullmatch(values["device"]):
        raise UsageError(
            f"{origins['device']} is {values['device']!r}: choose auto, cpu, cuda or mps"
        )
    if values["dtype"] not in DTYPES:
        raise UsageError(f"{origins['dtype']} is {values['dtype']!r}: choose {', '.join(DTYPES)}")
    for key in ("model", "home", "memory"):
        if not str(values[key]).strip() or "\0" in str(values[key]):
            raise UsageError(f"{origins[key]} is empty or not valid: give a value or leave it out")
