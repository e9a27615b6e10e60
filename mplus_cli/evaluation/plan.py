"""The plan of a retention experiment: one stream of chunks, and when to ask what.

The protocol (M+, section 4.3, with the reading shared). Each target passage stands at a random place
of a full chunk of other text; a made-up fact stands in such a chunk too, where there is room beside
the passage. The chunks with targets come first in the stream, one after the other, then chunks of other
text only; so what follows a target is other passages and running text. A question is asked when the
wanted number of tokens, rounded up to whole chunks, has been read after its target's chunk. What came
before the target in the stream is in memory too, more for later targets; the update pass reads each
target behind the memory tokens of the chunk before it. In the setting `alone` the chunk is all that was
ever read. Questions of `unread` passages are asked once, where the longest distance that asks every
question ends.

Deterministic for a seed. Knows text and ids, no model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.layouts import Reading
from mplus_cli.evaluation.values import ALONE, ANY, UNREAD, Ask, Question, Stretch

if TYPE_CHECKING:
    from models.training.data import Encoder


@dataclass(frozen=True, slots=True)
class Distance:
    """How many tokens to read after a target (None: its chunk alone), and how many of the first targets
    of each kind to ask about then (None: all)."""

    tokens: int | None
    questions: int | None = None

    @property
    def setting(self) -> str:
        return ALONE if self.tokens is None else str(self.tokens)


@dataclass(frozen=True, slots=True)
class RetentionOrder:
    """What `mplus eval retention` was asked for."""

    data: tuple[Path, ...] = ()
    books: tuple[Path, ...] = ()
    tokens: str = "0"
    questions: int = 0
    facts: int = 0
    fact_tokens: str | None = None
    """As `tokens`, of made-up facts; None: the same."""
    unread: int = 0
    seed: int = 0

    def distances(self, kind: str) -> tuple[Distance, ...]:
        """When targets of a kind are asked about; UsageError if that is not understood."""
        if kind == "facts" and self.fact_tokens is not None:
            return parse_distances(self.fact_tokens, "--fact-tokens")
        return parse_distances(self.tokens)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read, and when to ask."""

    stream: Stretch
    alone: tuple[Stretch, ...]
    """The chunks of targets that are asked about when their chunk is all that was read."""
    missing: int = 0
    """Questions that were asked for and are not there."""


Target = tuple[Question, int]
"""A question, and the chunk in the stream that its passage is in."""


def parse_distances(text: str, option: str = "--tokens") -> tuple[Distance, ...]:
    """Read "alone,0,20000,1000000:50"; UsageError, which names the option, if it is not that."""
    found: dict[int | None, Distance] = {}
    for part in filter(None, text.replace(" ", "").replace("_", "").split(",")):
        tokens, colon, count = part.partition(":")
        if not (tokens == ALONE or tokens.isdigit()) or (colon and not count.isdigit()):
            raise UsageError(f"{option}: {part} is not understood: for example alone,0,20000:50")
        key = None if tokens == ALONE else int(tokens)
        if key in found:
            raise UsageError(f"{option} names a number twice: leave one out")
        found[key] = Distance(key, int(count) if colon else None)
    if not found:
        raise UsageError(f"{option} is empty: for example 0,20000,160000")
    return tuple(found[key] for key in sorted(found, key=lambda key: -1 if key is None else key))


def make_plan(
    order: RetentionOrder,
    sources: Sequence[Reading],
    books: Sequence[str],
    size: int,
    encode: Encoder,
    decode: Callable[[Sequence[int]], str],
) -> Plan:
    """Draw targets, lay out the stream in chunks of `size` tokens, and say when to ask.

    Raises:
        UsageError: there is not enough text.
    """
    draw = random.Random(order.seed)
    unread, rest = _set_apart(order, sources, draw)
    facts, never = _facts(order, order.unread - len(unread))
    passages = _passages(order, rest, size, encode, draw)
    if not passages and not facts:
        raise UsageError("there are no questions: give --data, or --facts N")
    used = {question.passage for question in passages}
    others = [one.text for one in rest if one.text and one.text not in used]
    other_text = _other_text(encode, others, books, size, order.seed)
    places, held = _lay_out(passages, facts, size, encode)
    chunks = [_embed(other_text(), pieces, size, draw) for pieces in held]
    asks, lone, whole = list[Ask](), list[Target](), [0]
    for kind, own in (("passages", passages), ("facts", facts)):
        for distance in order.distances(kind):
            for question in own[: distance.questions]:
                chunk = places[question.id]
                if distance.tokens is None:
                    lone.append((question, chunk))
                    continue
                after = -(-distance.tokens // size)
                at, gold = chunk + 1 + after, frozenset({chunk})
                asks.append(Ask(question, distance.setting, at, gold, chunk * size, after * size))
                if distance.questions is None:
                    whole.append(at)
    end = max(whole) or len(chunks)
    asks += [Ask(question, UNREAD, end, None, end * size) for question in (*unread, *never)]
    asks.sort(key=lambda ask: ask.chunks)
    while asks and len(chunks) < asks[-1].chunks:
        chunks.append(other_text())
    texts = [decode(ids) for ids in chunks]
    alone = tuple(
        Stretch(ALONE, (chunks[at],), (texts[at],), (Ask(one, ALONE, 1, frozenset({0}), 0, 0),))
        for one, at in lone
    )
    asked = [one for one, _ in lone] + [ask.question for ask in asks if ask.setting != UNREAD]
    once = [Ask(question, ANY, 0, None, 0) for question in dict.fromkeys(asked)]
    missing = order.questions - len(passages) if sources else 0
    return Plan(Stretch("stream", chunks, texts, (*once, *asks)), alone, missing)


def _lay_out(
    passages: Sequence[Question], facts: Sequence[Question], size: int, encode: Encoder
) -> tuple[dict[str, int], list[list[list[int]]]]:
    """The chunk of each question's target, passages first, and the targets' ids in each chunk: a
    passage and a fact at most."""
    held = [[encode(f"{one.passage}\n\n")] for one in passages]
    places = {question.id: number for number, question in enumerate(passages)}
    at = 0
    for fact in facts:
        ids = encode(f"{fact.passage}\n\n")
        while at < len(passages) and len(held[at][0]) + len(ids) > size:
            at += 1
        if at < len(passages):
            held[at].append(ids)
        else:
            held.append([ids])
        places[fact.id] = at
        at += 1
    return places, held


def _other_text(
    encode: Encoder, passages: Sequence[str], books: Sequence[str], size: int, seed: int
) -> Callable[[], tuple[int, ...]]:
    """What draws full chunks of other passages and running text; UsageError if there is no text."""
    from models.training.data import ChunkMaker, Corpus, Passage

    if not passages and not any(book.strip() for book in books):
        raise UsageError("there is no text to read besides the targets: give --books FILE")
    corpus = Corpus([Passage(text, ()) for text in passages], books)
    maker = ChunkMaker(encode, corpus, size, facts=0, seed=seed)

    def chunk() -> tuple[int, ...]:
        ids: list[int] = []
        while len(ids) < size:
            ids += maker.chunk().ids
        return tuple(ids[:size])

    return chunk


def _embed(
    other: tuple[int, ...], pieces: Sequence[Sequence[int]], size: int, draw: random.Random
) -> tuple[int, ...]:
    """A full chunk of other text with ids at random places in it."""
    other = other[: max(size - sum(map(len, pieces)), 0)]
    cuts = sorted(draw.randint(0, len(other)) for _ in pieces)
    ids: list[int] = []
    for start, cut, piece in zip((0, *cuts), cuts, draw.sample(pieces, len(pieces)), strict=False):
        ids += [*other[start:cut], *piece]
    return (*ids, *other[cuts[-1] :])[:size]


def _set_apart(
    order: RetentionOrder, sources: Sequence[Reading], draw: random.Random
) -> tuple[list[Question], list[Reading]]:
    """Questions of whole groups (articles, books: the part of an id in front of the last "/") that will
    never be read, and the passages of the others."""
    by_group: dict[str, list[Reading]] = {}
    for source in sources:
        if source.questions:
            by_group.setdefault(_group(source), []).append(source)
    names = sorted(by_group)
    draw.shuffle(names)
    apart: list[str] = []
    for name in names[: len(names) // 2]:
        held = sum(len(by_group[one]) for one in apart)
        if held >= order.unread and (len(apart) >= len(names) // 4 or not order.unread):
            break
        apart.append(name)
    # One of each group in turn: questions of one article are no independent sample.
    turns = zip_longest(*(by_group[name] for name in apart))
    mixed = [source for turn in turns for source in turn if source is not None]
    questions = [_question(source, draw) for source in mixed[: order.unread]]
    kept = [source for source in sources if _group(source) not in apart]
    return [replace(question, kind=UNREAD) for question in questions], kept


def _passages(
    order: RetentionOrder,
    sources: Sequence[Reading],
    size: int,
    encode: Encoder,
    draw: random.Random,
) -> list[Question]:
    """Questions of passages that fit into a chunk, one a passage."""
    mixed = list(sources)
    draw.shuffle(mixed)
    chosen: list[Question] = []
    for source in mixed:
        if len(chosen) == order.questions:
            break
        if source.questions and len(encode(f"{source.text}\n\n")) <= size:
            chosen.append(_question(source, draw))
    return chosen


def _facts(order: RetentionOrder, unread: int) -> tuple[list[Question], list[Question]]:
    """Made-up facts to read, and others that are never read; no training drew such ones."""
    from models.training.fact_templates import HELD_OUT
    from models.training.facts import FactMaker

    # A seed of its own kind: streams of training are seeded with numbers, and names must differ too.
    maker = FactMaker(f"evaluation {order.seed}", HELD_OUT)
    facts = [maker.fact() for _ in range(order.facts + unread)]
    questions = [
        Question(f"fact-{number}", "facts", fact.question, (fact.answer,), passage=fact.sentence)
        for number, fact in enumerate(facts)
    ]
    never = [replace(question, kind=UNREAD) for question in questions[order.facts :]]
    return questions[: order.facts], never


def _question(source: Reading, draw: random.Random) -> Question:
    asked = draw.choice(source.questions)
    return Question(source.id, "passages", asked.text, asked.answers, passage=source.text)


def _group(source: Reading) -> str:
    return source.id.rpartition("/")[0] or source.id
