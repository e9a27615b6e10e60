"""Text to token ids with offsets, and ids back to text as they arrive. Needs no model."""

from __future__ import annotations

from typing import Any

from models.prompts import markup_of, plain_pieces

_BROKEN = "\ufffd"


class PlainTokenizer:
    """Token ids and offsets of a document's text, in which nothing is a special token."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._markup = markup_of(tokenizer)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and the (start, end) character offsets of each."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, stop in plain_pieces(text, self._markup):
            encoded = self._tokenizer(
                text[start:stop],
                add_special_tokens=False,
                split_special_tokens=True,
                return_offsets_mapping=True,
                verbose=False,
            )
            ids += encoded["input_ids"]
            offsets += [(start + a, start + b) for a, b in encoded["offset_mapping"]]
        return ids, offsets


class AnswerText:
    """An answer's text as its ids arrive: no half characters, and no space around it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._start = 0  # ids from here on are decoded again with each new one
        self._done = 0  # ids before this one are in the text
        self._space = ""  # held back: it may be trailing space
        self.text = ""

    def push(self, id: int) -> str:
        """The text that this id completes; often empty."""
        self._ids.append(id)
        before = self._decode(self._start, self._done)
        after = self._decode(self._start, len(self._ids))
        if after.endswith(_BROKEN) and len(self._ids) - self._done < 8:
            return ""
        self._start, self._done = self._done, len(self._ids)
        return self._emit(after[len(before) :])

    def _emit(self, new: str) -> str:
        held = self._space + new if self.text else new.lstrip()
        kept = held.rstrip()
        self._space = held[len(kept) :]
        self.text += kept
        return kept

    def _decode(self, start: int, stop: int) -> str:
        text: str = self._tokenizer.decode(
            self._ids[start:stop], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
