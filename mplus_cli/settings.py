"""Settings: a flag beats the environment, which beats the config file, which beats the default.

Defines the names and allowed values of settings, not what is done with them.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mplus_cli.errors import UsageError

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_MEMORY = "default"
DTYPES = ("auto", "float32", "bfloat16", "float16")
Value = str | bool
Layer = Literal["default", "file", "environment", "option"]


@dataclass(frozen=True, slots=True)
class Key:
    """A setting that may stand in the config file."""

    default: Value
    about: str
    variable: str | None = None
    """The environment variable that sets it too."""


KEYS = {
    "model": Key(DEFAULT_MODEL, "the model: a name, a folder or a Hub id", "MPLUS_MODEL"),
    "device": Key("auto", "where it runs: auto, cpu, cuda or mps", "MPLUS_DEVICE"),
    "dtype": Key("auto", f"its weights: {', '.join(DTYPES)}"),
    "home": Key("", "the folder of memories and models", "MPLUS_HOME"),
    "memory": Key(DEFAULT_MEMORY, "the memory that is meant where none is named"),
    "offline": Key(False, "never use the network", "HF_HUB_OFFLINE"),
    "strict": Key(False, "decline to answer rather than risk a wrong answer"),
    "history": Key(True, "keep questions and answers (`mplus log`)"),
}
"""Every setting, in the order they are shown in; `home` is the platform's data folder by default."""

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,4})?|mps")
_LONGEST_FILE = 1 << 20
_CONFIG = "MPLUS_CONFIG"
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
    """The memory that is read into where none is named; `memory_among` says which one is asked."""
    offline: bool
    strict: bool = False
    """Whether to give no answer rather than one that is likely to be wrong."""
    history: bool = True
    """Whether questions and answers are kept."""
    config_file: Path | None = None
    """The config file that was read; None: there is none."""
    memory_is_chosen: bool = True
    """Whether the user chose `memory`; False: it is the default."""

    def memory_among(self, names: Sequence[str]) -> str:
        """The memory that is asked where none is named, of those that exist: where the user chose none and
        the default one does not exist, the only one that does."""
        if self.memory_is_chosen or self.memory in names or len(names) != 1:
            return self.memory
        return names[0]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: the layer, and the option, variable or file in it."""

    layer: Layer
    name: str = ""

    def of(self, key: str) -> str:
        """What a message calls the place of a key's value."""
        if self.layer == "file":
            return f"{self.name}: {key}"
        return self.name or f"the default {key}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every setting's value, and where it comes from."""

    values: dict[str, Any]
    origins: dict[str, Origin]
    config_file: Path | None


def resolve(flags: Flags, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force.

    Raises:
        UsageError: a value that is not allowed, with the flag, variable or file it came from.
    """
    found = trace(flags, environment)
    return Settings(
        **found.values,
        config_file=found.config_file,
        memory_is_chosen=found.origins["memory"].layer != "default",
    )


def trace(flags: Flags, environment: Mapping[str, str] | None = None) -> Resolved:
    """The settings in force, each with where it comes from; raises as `resolve` does."""
    env = os.environ if environment is None else environment
    path = config_path(env)
    values: dict[str, Any] = {name: key.default for name, key in KEYS.items()}
    values["home"] = _default_home()
    origins = dict.fromkeys(KEYS, Origin("default"))
    if path is not None:
        for name, value in read_file(path).items():
            values[name], origins[name] = value, Origin("file", str(path))
    for name, key in KEYS.items():
        if key.variable is not None and env.get(key.variable):
            given = env[key.variable]
            values[name] = given.upper() in _TRUE if isinstance(key.default, bool) else given
            origins[name] = Origin("environment", key.variable)
    for name in KEYS:
        given_flag = getattr(flags, name, None)
        if given_flag is not None:
            values[name], origins[name] = given_flag, Origin("option", f"--{name}")
    for name, value in values.items():
        check_value(name, value, origins[name].of(name))
    values["home"] = _folder(values["home"], origins["home"].of("home"))
    return Resolved(values, origins, path)


def config_path(env: Mapping[str, str]) -> Path | None:
    """The config file: the one `MPLUS_CONFIG` names, or the user's if it exists."""
    path = config_place(env)
    if _is_file(path):
        return path
    if env.get(_CONFIG):
        raise UsageError(f"{_CONFIG} names {path}, which is not a file: correct or unset it")
    return None


def config_place(env: Mapping[str, str]) -> Path:
    """Where the config file is looked for, whether it is there or not."""
    if not env.get(_CONFIG):
        return default_config_path()
    path = Path(env[_CONFIG])
    with suppress(RuntimeError):  # no such user, so no such file
        path = path.expanduser()
    return path


def default_config_path() -> Path:
    """Where the user's config file is expected."""
    import platformdirs

    return Path(platformdirs.user_config_dir("mplus", appauthor=False)) / "config.toml"


def check_key(name: str, where: str = "") -> None:
    """Check that there is a setting of this name; UsageError, with the nearest, if not."""
    if name in KEYS:
        return
    close = difflib.get_close_matches(name, KEYS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(KEYS)}"
    raise UsageError(f"{where}unknown key {name}: {hint}")


def check_value(name: str, value: Any, origin: str) -> None:
    """Check that a setting may have a value; UsageError, with what may be given, if not."""
    if name == "device" and not _DEVICE.fullmatch(value):
        raise UsageError(f"{origin} is {value!r}: choose auto, cpu, cuda or mps")
    if name == "dtype" and value not in DTYPES:
        raise UsageError(f"{origin} is {value!r}: choose {', '.join(DTYPES)}")
    if name in ("model", "home", "memory") and (not str(value).strip() or "\0" in str(value)):
        raise UsageError(f"{origin} is empty or not valid: give a value or leave it out")


def read_file(path: Path) -> dict[str, Any]:
    """What a config file sets; UsageError if it cannot be read, or has a key or a type it may not."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LONGEST_FILE + 1)
        if len(data) > _LONGEST_FILE:
            raise ValueError(f"it has more than {_LONGEST_FILE} bytes")
        return parse(data.decode("utf-8"), str(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}: correct it") from error


def parse(text: str, where: str) -> dict[str, Any]:
    """What the text of a config file sets; raises as `read_file` does, naming `where`."""
    import tomllib

    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{where} cannot be read: it is nested too deeply: correct it") from error
    except ValueError as error:
        raise UsageError(f"{where} cannot be read: {error}: correct it") from error
    for name, value in values.items():
        check_key(name, f"{where}: ")
        wanted = type(KEYS[name].default)
        if type(value) is not wanted:
            from models.schema import shown

            kind = "true or false" if wanted is bool else "a text in quotes"
            raise UsageError(f"{where}: {name} is {shown(value)}: give {kind}")
    return values


def reason(error: Exception) -> str:
    """What the system says is wrong with a path."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _default_home() -> str:
    import platformdirs

    return platformdirs.user_data_dir("mplus", appauthor=False)


def _folder(given: str | Path, origin: str) -> Path:
    """A folder by its path, `~` and `~user` standing for a home; UsageError if there is no such user."""
    try:
        return Path(given).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise UsageError(f"{origin} is {given}: {reason(error)}: give a folder") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder may not be entered
        return False
