"""Checks that a memory holds what its text gives: `mplus memory verify --deep`.

Every text is cut into tokens again, and the first chunks are read again from the beginning: each is written
behind the one before it, so that a later one alone cannot be read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mplus_cli.errors import MplusError
from mplus_cli.ingest.rebuilding import pieces_again
from mplus_cli.library import Problem, Progress, StoredMemory
from mplus_cli.library.database import FILE
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.memory import Memory, Tokens

SAMPLE = 4
"""Chunks whose memory tokens are compared."""
LARGEST_DIFFERENCE = 0.1
"""Of a layer's tokens, as a share of their norm: machines round differently, other texts give about 1."""


def recompute(session: Session, stored: StoredMemory, progress: Progress) -> list[Problem]:
    """What of a memory that is otherwise ok is not what its text gives.

    Raises:
        MplusError: the memory is empty, damaged, or another model wrote it.
    """
    stored.check(session.identity)
    session.check_dtype(stored)
    view, memory = stored.load_view(session.model.device)
    rows = stored.all_chunks(view)
    ids: dict[int, tuple[int, ...]] = {}
    found = []
    for document in view.documents:
        own = [row for row in rows if row.document_id == document.id]
        try:
            pieces = pieces_again(document, own, session.plain_tokenizer) if own else []
        except MplusError:
            told = f'the text of "{document.title}" does not give the tokens that were read'
            found.append(Problem(FILE, told, (document.title,)))
        else:
            ids |= {row.number: tuple(piece[0]) for row, piece in zip(own, pieces, strict=True)}
    if not found:
        file = (
            view.segments[0].file if view.segments else view.state.stm_file if view.state else FILE
        )
        told = "is not what the text gives that was read first"
        titles = (view.documents[0].title,)
        if not _same_beginning(session, memory, ids, progress):
            found.append(Problem(file, told, titles))
    return found


def _same_beginning(
    session: Session, memory: Memory, ids: dict[int, tuple[int, ...]], progress: Progress
) -> bool:
    """Whether the first chunks, read again, give the memory tokens that are there; True where a memory
    has forgotten its beginning."""
    from models.update import read_chunk

    config = session.model.config
    again = session.loaded.initial_memory or session.model.empty_memory()
    beginning = again.clock
    if config.drop != "oldest" or memory.ltm_tokens + len(memory.stm) != memory.clock:
        return True
    for number in range(len(ids)):
        if again.ltm_tokens >= beginning + SAMPLE * config.new_tokens:
            break
        again = read_chunk(session.model, again, ids[number])
        progress(number + 1, len(ids))
    count = min(again.ltm_tokens, memory.ltm_tokens)
    if not count:  # all of it is in short-term memory still
        return _alike(again.stm.tokens, memory.stm.tokens)
    return _alike(_first(again, count), _first(memory, count))


def _first(memory: Memory, count: int) -> Tokens:
    """The first tokens of long-term memory; only so many of its files are looked at."""
    from models.memory import Segment, merge

    parts: list[Segment] = []
    for segment in memory.segments:
        wanted = min(count, len(segment))
        parts.append(Segment(segment.tokens.slice(0, wanted), segment.born[:, :wanted]))
        count -= wanted
        if not count:
            break
    return merge(parts).tokens.unpack()


def _alike(one: Tokens, other: Tokens) -> bool:
    for name in ("keys", "values", "retriever_keys"):
        mine, theirs = getattr(one, name).float(), getattr(other, name).float()
        if mine.shape != theirs.shape:
            return False
        for layer, kept in zip(mine, theirs, strict=True):
            if float((layer - kept).norm()) > LARGEST_DIFFERENCE * float(kept.norm()):
                return False
    return True
