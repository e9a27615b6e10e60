"""Cuts a document's text into chunks of a limited number of tokens, at the best places available.

Any tokenizer that follows the protocol will do; independent of file formats. Nothing is lost and nothing
comes twice: the chunks' ids, one after the other, are the ids of the document, and so are their texts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from mplus_cli.documents.model import Document, DocumentError
from mplus_cli.documents.places import Places
from mplus_cli.documents.sentences import is_sentence_break
from mplus_cli.place import Place

PIECE_CHARACTERS = 1 << 20  # longer texts go through the tokenizer in pieces of about this size
_PARAGRAPH_SHARE = 0.25  # of a window's end searched for a paragraph end, and so on
_SENTENCE_SHARE = 0.4
_WORD_SHARE = 0.5
_MAX_BLANK = 64  # characters of white space looked at around a cut


class Tokenizer(Protocol):
    """The part of a tokenizer that cutting needs."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and the (start, end) character offsets of each; no special tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its number from 0, its text and ids, the first and last page it touches.

    `place` is where it stands in the document's own terms.
    """

    index: int
    text: str
    ids: tuple[int, ...]
    pages: tuple[int, int] | None
    place: Place | None = None


def split_chunks(document: Document, tokenizer: Tokenizer, chunk_tokens: int) -> list[Chunk]:
    """Cut at a paragraph end, else a sentence end, else a word end, else anywhere.

    A paragraph end counts in the last quarter of the window of `chunk_tokens` ids, a sentence end
    in the last two fifths, a word end in the last half.
    """
    if chunk_tokens < 1:
        raise ValueError(f"chunk_tokens must be at least 1, not {chunk_tokens}")
    text = document.text
    ids, ends = encode_text(text, tokenizer)
    places = Places(document)
    chunks: list[Chunk] = []
    start = begin = 0  # of the chunk, in ids and in characters
    while start < len(ids):
        stop = _cut(text, ends, start, chunk_tokens)
        end = len(text) if stop == len(ids) else ends[stop - 1]
        pages, place = places.of(begin, end)
        chunks.append(Chunk(len(chunks), text[begin:end], tuple(ids[start:stop]), pages, place))
        start, begin = stop, end
    return chunks


def count_tokens(document: Document, tokenizer: Tokenizer) -> int:
    """The number of token ids of a text, however it is cut."""
    return len(encode_text(document.text, tokenizer)[0])


def encode_text(text: str, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids of `text`, and for each the character up to which it and those before it reach."""
    ids: list[int] = []
    ends: list[int] = []
    base = 0
    for piece in _pieces(text):
        piece_ids, offsets = tokenizer.encode(piece)
        if len(piece_ids) != len(offsets):
            raise DocumentError("the tokenizer gave no offset for some of its tokens")
        ids += piece_ids
        ends += (min(base + end, len(text)) for _, end in offsets)
        base += len(piece)
    return ids, list(accumulate(ends, max))


def _pieces(text: str) -> Iterator[str]:
    """`text` in pieces a tokenizer takes at once, cut at paragraph ends where there are any."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        limit = start + PIECE_CHARACTERS
        middle = start + PIECE_CHARACTERS // 2
        cut = limit
        for mark in ("\n\n", "\n", " "):
            found = text.rfind(mark, middle, limit)
            if found >= 0:
                cut = found + len(mark)
                break
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def _cut(text: str, ends: list[int], start: int, size: int) -> int:
    """The index of the first id of the next chunk, where this chunk begins with id `start`."""
    limit = start + size
    if limit >= len(ends):
        return len(ends)
    sentence = word = whole = None
    for stop in range(limit, start, -1):
        back = (limit - stop) / size
        if (back > _SENTENCE_SHARE and sentence) or (back > _WORD_SHARE and (word or whole)):
            break
        if ends[stop - 1] == ends[stop]:
            continue  # inside a character of several tokens, or a token without text
        whole = whole or stop
        end, following = _blank_around(text, ends[stop - 1])
        if back <= _PARAGRAPH_SHARE and "\n\n" in text[end:following]:
            return stop
        if back <= _SENTENCE_SHARE and not sentence and is_sentence_break(text, end, following):
            sentence = stop
        if not word and end < following:
            word = stop
    return sentence or word or whole or limit


def _blank_around(text: str, position: int) -> tuple[int, int]:
    """Start and end of the white space that touches `position`; both are `position` if none."""
    low = max(0, position - _MAX_BLANK)
    before = text[low:position]
    after = re.compile(r"\s*").match(text, position, position + _MAX_BLANK)
    end = after.end() if after else position
    return low + len(before.rstrip()), end
