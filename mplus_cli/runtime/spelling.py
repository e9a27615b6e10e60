"""How the tokens of a vocabulary spell text. Works on a tokenizer alone, without text or a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

_METASPACE = "\u2581"


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a vocabulary spells text: bytes as characters of its own, or a mark for the space."""

    find: Callable[[str], int | None]
    """The id of a spelled token; None if there is no such token."""
    special: Collection[int]
    """Ids that spell no text."""
    letters: Mapping[int, str] | None
    """The character that stands for each byte; None: characters stand for themselves."""
    space: str

    @classmethod
    def of(cls, tokenizer: Any) -> Spelling | None:
        """The spelling of a tokenizer; None if its kind is not known."""
        found = tokenizer("a b", add_special_tokens=False)["input_ids"]
        tokens = tokenizer.convert_ids_to_tokens(found)
        special = frozenset(tokenizer.get_added_vocab().values())
        find = tokenizer.backend_tokenizer.token_to_id  # faster than building the whole table
        if any(token.startswith(_METASPACE) for token in tokens):
            return cls(find, special, None, _METASPACE)
        from models.tokenizer import byte_letters

        letters = byte_letters()
        space = letters[ord(" ")]
        known = any(space in token for token in tokens)
        return cls(find, special, letters, space) if known else None

    def spell(self, text: str) -> str:
        """Text as the vocabulary's tokens spell it."""
        if self.letters is None:
            return text.replace(" ", self.space)
        return "".join(self.letters[byte] for byte in text.encode("utf-8"))
