"""`mplus config`: where each value comes from, and a file that is changed with its comments kept."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import config_file
from mplus_cli.settings import KEYS, Flags, resolve

MINE = '# mine\nmemory = "a"  # why\n\n# decline\nstrict = true\n'


@pytest.fixture
def file(user_folders: Path) -> Path:
    path = user_folders / "config" / "mplus" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(MINE, encoding="utf-8")
    return path


def test_show_says_where_each_value_comes_from(
    mplus: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLUS_DEVICE", "cpu")
    found = mplus("config", "show", "--dtype", "float32", "--json").json
    assert found["file"] == str(file)
    told = {key: (line["from"], line["name"]) for key, line in found["settings"].items()}
    assert list(told) == list(KEYS)
    assert told["memory"] == ("file", str(file))
    assert told["device"] == ("environment", "MPLUS_DEVICE")
    assert told["dtype"] == ("option", "--dtype")
    assert told["model"] == ("default", None)
    assert found["settings"]["strict"]["value"] is True
    shown = mplus("config", "show").out
    assert "MPLUS_DEVICE" in shown and "config file" in shown and "true" in shown
    assert mplus("config", "get", "memory").out == "a\n"
    assert mplus("config", "get", "strict").out == "true\n"


def test_set_keeps_comments_and_order(mplus: Any, file: Path) -> None:
    assert mplus("config", "set", "memory", 'b "quoted"').code == 0
    assert mplus("config", "set", "strict", "off").code == 0
    assert mplus("config", "set", "device", "cpu").code == 0
    text = file.read_text()
    assert text.startswith("# mine\nmemory = ") and "# why\n\n# decline\nstrict = false\n" in text
    assert tomllib.loads(text) == {"memory": 'b "quoted"', "strict": False, "device": "cpu"}
    assert mplus("config", "unset", "memory", "--json").json["removed"] is True
    assert mplus("config", "unset", "memory", "--json").json["removed"] is False
    assert mplus("config", "get", "memory").out == "default\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("set memroy x", "unknown key memroy: did you mean memory?"),
        ("get zzz", "unknown key zzz: known are model"),
        ("unset modle", "did you mean model?"),
        ("set device tpu", "device is 'tpu': choose auto"),
        ("set strict maybe", "strict is 'maybe': give true or false"),
    ],
)
def test_what_is_not_valid_changes_nothing(mplus: Any, file: Path, line: str, said: str) -> None:
    result = mplus("config", *line.split())
    assert (result.code, file.read_text()) == (2, MINE)
    assert said in result.error


def test_a_file_is_made_for_its_user_alone(mplus: Any, user_folders: Path) -> None:
    path = Path(mplus("config", "path").out.strip())
    assert not path.exists()
    assert mplus("config", "set", "offline", "yes").code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert resolve(Flags(), {}).offline


def test_a_link_stays_a_link_and_a_mode_a_mode(mplus: Any, file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.toml"
    file.rename(kept)
    kept.chmod(0o640)
    file.symlink_to(kept)
    assert mplus("config", "set", "memory", "b").code == 0
    assert file.is_symlink() and tomllib.loads(kept.read_text())["memory"] == "b"
    assert kept.stat().st_mode & 0o777 == 0o640


def test_a_broken_file_is_not_written_over(mplus: Any, file: Path) -> None:
    file.write_text("memory = [")
    assert "cannot be read" in mplus("config", "set", "memory", "b").error
    assert file.read_text() == "memory = ["
    assert mplus("config", "path").out == f"{file}\n"


def test_set_leaves_the_old_file_or_the_new_one(file: Path, killed_before: Any) -> None:
    step = 1
    while killed_before(step, lambda: config_file.put(file, "memory", "b")):
        assert tomllib.loads(file.read_text())["memory"] in ("a", "b")
        config_file.put(file, "memory", "a")
        step += 1
    assert step > 3 and tomllib.loads(file.read_text())["memory"] == "b"


def test_edit_starts_with_every_key_and_checks_what_is_left(
    mplus: Any, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "true")
    assert mplus("config", "edit").code == 0
    path = Path(mplus("config", "path").out.strip())
    assert all(f"# {key} = " in path.read_text() for key in KEYS)
    monkeypatch.setenv("EDITOR", "sed -i 's/^# memory =/memroy =/'")
    assert "unknown key memroy: did you mean memory?" in mplus("config", "edit").error
    monkeypatch.setenv("EDITOR", "no-such-editor")
    assert "no-such-editor cannot be started" in mplus("config", "edit").error
    monkeypatch.setenv("EDITOR", "false")
    assert "failed with exit code 1" in mplus("config", "edit").error


def test_the_environment_is_said_to_count(
    mplus: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLUS_MODEL", "x")
    assert "MPLUS_MODEL is set" in mplus("config", "set", "model", "y").err
    assert "MPLUS" not in mplus("config", "set", "memory", "y").err


def test_two_writers_lose_nothing(file: Path) -> None:
    """Whoever comes second waits for nobody: it says so, and the first one's value stays."""
    from models.durable import new_file
    from mplus_cli.errors import MplusError

    with new_file(file) as first:
        with pytest.raises(MplusError, match="is being written by another process"):
            config_file.put(file, "device", "cpu")
        first.write(MINE.replace('"a"', '"first"').encode())
    assert tomllib.loads(file.read_text())["memory"] == "first"


def test_settings_page_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, key in KEYS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert key.about in row
        assert key.variable is None or f"`{key.variable}`" in row
