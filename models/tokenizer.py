"""A base's tokenizer, by the `tokenizers` library alone.

The few methods have the names and the results of `transformers`' tokenizers, so that either can be used.
Works on token ids and text; needs no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

ROLES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class Tokenizer:
    """What encoding, decoding and prompts need of a base's tokenizer."""

    backend_tokenizer: Backend
    special_tokens_map: Mapping[str, str] = field(default_factory=dict)
    """Special tokens by their roles (`bos_token`, `eos_token`, ...)."""
    chat_template: str | None = None

    is_fast = True

    @classmethod
    def read(cls, file: Path, settings: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer of a `tokenizer.json`.

        Args:
            settings: of `tokenizer_config.json`: special tokens by their roles, and the chat template.
        """
        backend = Backend.from_file(str(file))
        backend.no_truncation()
        backend.no_padding()
        special = {role: token for role in ROLES if (token := _content(settings.get(role)))}
        missing = [token for token in special.values() if backend.token_to_id(token) is None]
        if missing:
            backend.add_special_tokens(missing)
        return cls(backend, special, _template(settings.get("chat_template")))

    def __call__(
        self,
        text: str,
        *,
        add_special_tokens: bool = True,
        split_special_tokens: bool = False,
        return_offsets_mapping: bool = False,
        verbose: bool = True,
    ) -> dict[str, Any]:
        """A text's `input_ids`, and the `offset_mapping` (start, end) of each if asked for.

        Args:
            split_special_tokens: take special tokens that stand in the text for plain text.
        """
        backend = self.backend_tokenizer
        backend.encode_special_tokens = split_special_tokens
        encoded = backend.encode(text, add_special_tokens=add_special_tokens)
        found: dict[str, Any] = {"input_ids": encoded.ids}
        if return_offsets_mapping:
            found["offset_mapping"] = encoded.offsets
        return found

    def decode(
        self,
        ids: int | Iterable[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool = False,
    ) -> str:
        """The text of ids, spaces as they are."""
        listed = [ids] if isinstance(ids, int) else [int(id) for id in ids]
        text: str = self.backend_tokenizer.decode(listed, skip_special_tokens=skip_special_tokens)
        return text

    def get_added_vocab(self) -> dict[str, int]:
        """Added tokens with their ids, special ones and others."""
        return dict(self._added)

    @cached_property
    def _added(self) -> Mapping[str, int]:
        decoder = self.backend_tokenizer.get_added_tokens_decoder()
        return {token.content: id for id, token in sorted(decoder.items())}

    def get_vocab(self) -> dict[str, int]:
        """All tokens with their ids."""
        found: dict[str, int] = self.backend_tokenizer.get_vocab(with_added_tokens=True)
        return found

    def get_chat_template(self) -> str:
        """The chat template; ValueError where there is none."""
        if self.chat_template is None:
            raise ValueError("the tokenizer has no chat template")
        return self.chat_template

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str | None]:
        """Tokens as the vocabulary spells them."""
        return [self.backend_tokenizer.id_to_token(id) for id in ids]

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """A token's id; None where there is no such token."""
        found: int | None = self.backend_tokenizer.token_to_id(token)
        return found

    @cached_property
    def vocab_size(self) -> int:
        """Tokens without the added ones."""
        found: int = self.backend_tokenizer.get_vocab_size(with_added_tokens=False)
        return found

    @property
    def bos_token_id(self) -> int | None:
        """The id of the token that begins a text; None where there is none."""
        return self._id("bos_token")

    @property
    def eos_token_id(self) -> int | None:
        """The id of the token that ends a text; None where there is none."""
        return self._id("eos_token")

    def _id(self, role: str) -> int | None:
        token = self.special_tokens_map.get(role)
        return None if token is None else self.convert_tokens_to_ids(token)


def _content(token: Any) -> str | None:
    """A special token, which files give as a text or as an object."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _template(given: Any) -> str | None:
    """A chat template, which files give as a text or as several with names."""
    if isinstance(given, list):
        named = {one.get("name"): one.get("template") for one in given if isinstance(one, Mapping)}
        given = named.get("default")
    return given if isinstance(given, str) else None


def byte_letters() -> dict[int, str]:
    """The character that stands for each byte in byte-level vocabularies (GPT-2's): printable ones stand
    for themselves, the others for those from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {
        byte: chr(0x100 + number) for number, byte in enumerate(others)
    }
