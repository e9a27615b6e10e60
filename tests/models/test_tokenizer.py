"""The tokenizer of a folder gives what `transformers` gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.checkpoints.base import load_tokenizer

TEXTS = (
    "the keeper wrote in the logbook",
    "  two  spaces\n\n\tand a tab ",
    "caf\u00e9 na\u00efve \U0001f600 \u4f60\u597d",
    "<|im_start|>user\nhello<|im_end|>",
    "a <|im_start|>b",
    "",
)


@pytest.fixture
def pair(tiny_base_folder: Path) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    return load_tokenizer(tiny_base_folder), AutoTokenizer.from_pretrained(tiny_base_folder)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_ids_offsets_and_text(pair: tuple[Any, Any], text: str, split: bool) -> None:
    options = {
        "add_special_tokens": False,
        "split_special_tokens": split,
        "return_offsets_mapping": True,
    }
    ours, theirs = (tokenizer(text, **options) for tokenizer in pair)
    assert ours["input_ids"] == theirs["input_ids"]
    assert ours["offset_mapping"] == theirs["offset_mapping"]
    for skip in (False, True):
        said = [one.decode(ours["input_ids"], skip_special_tokens=skip) for one in pair]
        assert said[0] == said[1]
    assert pair[0].convert_ids_to_tokens(ours["input_ids"]) == pair[1].convert_ids_to_tokens(
        ours["input_ids"]
    )


def test_what_it_says_of_itself(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for name in ("vocab_size", "bos_token_id", "eos_token_id", "chat_template", "is_fast"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_added_vocab() == theirs.get_added_vocab()
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.convert_tokens_to_ids("<|im_end|>") == 2
    assert ours.convert_tokens_to_ids("no such token") is None
    named = {role: token for role, token in theirs.special_tokens_map.items() if role != "extra"}
    assert ours.special_tokens_map.items() <= named.items()


def test_files_say_special_tokens_and_templates_in_several_ways(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes((tiny_base_folder / "tokenizer.json").read_bytes())
    settings = {
        "bos_token": {"content": "<|im_start|>", "lstrip": False},
        "eos_token": "<new end>",
        "chat_template": [
            {"name": "tool_use", "template": "no"},
            {"name": "default", "template": "yes"},
        ],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = load_tokenizer(tmp_path)
    assert (found.bos_token_id, found.chat_template) == (1, "yes")
    assert found.eos_token_id == found.get_added_vocab()["<new end>"]
    assert found("a<new end>", add_special_tokens=False)["input_ids"][-1] == found.eos_token_id
    (tmp_path / "chat_template.jinja").write_text("from the file")
    assert load_tokenizer(tmp_path).get_chat_template() == "from the file"
