"""Settings: which of flag, environment and config file counts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mplus_cli.errors import UsageError
from mplus_cli.settings import Flags, resolve


def write_config(home: Path, text: str) -> Path:
    path = home / "config" / "mplus" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults(user_folders: Path) -> None:
    settings = resolve(Flags(), {})
    assert (settings.model, settings.device, settings.dtype) == ("smollm2-135m", "auto", "auto")
    assert (settings.memory, settings.offline) == ("default", False)
    assert settings.config_file is None


@pytest.mark.parametrize(
    ("key", "in_file", "variable", "in_env", "flag"),
    [
        ("model", '"filed"', "MPLUS_MODEL", "envied", "flagged"),
        ("device", '"cpu"', "MPLUS_DEVICE", "cuda", "mps"),
        ("home", '"/filed"', "MPLUS_HOME", "/envied", Path("/flagged")),
    ],
)
def test_a_flag_beats_the_environment_beats_the_file(
    user_folders: Path, key: str, in_file: str, variable: str, in_env: str, flag: Any
) -> None:
    write_config(user_folders, f"{key} = {in_file}\n")
    assert str(getattr(resolve(Flags(), {}), key)) == in_file.strip('"')
    assert str(getattr(resolve(Flags(), {variable: in_env}), key)) == in_env
    assert str(getattr(resolve(Flags(), {variable: ""}), key)) == in_file.strip('"')
    flags = Flags(**{key: flag})
    assert str(getattr(resolve(flags, {variable: in_env}), key)) == str(flag)


def test_offline_by_flag_environment_and_file(user_folders: Path) -> None:
    assert resolve(Flags(offline=True), {"HF_HUB_OFFLINE": "0"}).offline
    assert resolve(Flags(), {"HF_HUB_OFFLINE": "1"}).offline
    write_config(user_folders, "offline = true\n")
    assert resolve(Flags(), {}).offline
    assert not resolve(Flags(), {"HF_HUB_OFFLINE": "0"}).offline


def test_a_config_file_of_another_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('memory = "research"\n', encoding="utf-8")
    settings = resolve(Flags(), {"MPLUS_CONFIG": str(path)})
    assert (settings.memory, settings.config_file) == ("research", path)
    with pytest.raises(UsageError, match=r"MPLUS_CONFIG names .*gone"):
        resolve(Flags(), {"MPLUS_CONFIG": str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('modle = "x"', r"unknown key modle: did you mean model\?"),
        ("zzz = 1", "unknown key zzz: known are model, device"),
        ("model = [", "cannot be read"),
        ("model = 3", "model is 3: give a text"),
        ('offline = "yes"', "offline is 'yes': give true or false"),
        ('device = "tpu"', "device is 'tpu': choose auto, cpu"),
        ('dtype = "int8"', "dtype is 'int8': choose auto"),
    ],
)
def test_a_bad_config_file_names_file_and_key(user_folders: Path, text: str, said: str) -> None:
    path = write_config(user_folders, text)
    with pytest.raises(UsageError, match=said) as caught:
        resolve(Flags(), {})
    assert str(path) in str(caught.value)


def test_a_bad_value_names_where_it_came_from() -> None:
    with pytest.raises(UsageError, match="MPLUS_DEVICE is 'gpu'"):
        resolve(Flags(), {"MPLUS_DEVICE": "gpu"})
    with pytest.raises(UsageError, match="--device is 'gpu'"):
        resolve(Flags(device="gpu"), {"MPLUS_DEVICE": "cpu"})


def test_help_works_with_a_bad_config_file(user_folders: Path, mplus: Any) -> None:
    write_config(user_folders, "zzz = 1")
    assert mplus("ask", "--help").code == 0
    assert mplus("memory", "list").code == 2


def test_the_file_names_the_default_memory(user_folders: Path, mplus: Any) -> None:
    write_config(user_folders, 'memory = "research"')
    assert '"research"' in mplus("ask", "who?").error
