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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.filler import Filler, embed
from mplus_cli.evaluation.values import UNREAD, Question

if TYPE_CHECKING:
    from models.training.data import Encoder

ALONE = "alone"
_OF_PASSAGES, _OF_FACTS = "passages", "facts"


@dataclass(frozen=True, slots=True)
class Distance:
    """How many tokens to read after a target, and how many of the first targets of each kind to ask
    about then (None: all)."""

    tokens: int | None
    """None: the target's chunk alone."""
    questions: int | None = None

    @property
    def setting(self) -> str:
        return ALONE if self.tokens is None else str(self.tokens)


@dataclass(frozen=True, slots=True)
class Target:
    """A question, and the chunk in the stream that its passage is in."""

    question: Question
    chunk: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to ask after `chunks` chunks of the stream."""

    question: Question
    setting: str
    chunks: int
    gold: int | None
    """The chunk with the passage; None: never read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read, and when to ask."""

    chunks: tuple[tuple[int, ...], ...]
    asks: tuple[Ask, ...]
    """In the order in which they fall due."""
    alone: tuple[Target, ...]
    """Targets to ask when their chunk is all that was read."""
    missing: int = 0
    """Questions that were asked for and are not there."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a plan is made for."""

    distances: tuple[Distance, ...]
    fact_distances: tuple[Distance, ...]
    questions: int
    facts: int
    unread: int
    chunk_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Source:
    """A passage with its questions, and the group (article, book) it is from."""

    id: str
    group: str
    text: str
    questions: tuple[tuple[str, tuple[str, ...]], ...]


def parse_distances(text: str, option: str = "--tokens") -> tuple[Distance, ...]:
    """Read "alone,0,20000,1000000:50"; UsageError, which names the option, if it is not that."""
    found: list[Distance] = []
    for part in filter(None, text.replace(" ", "").replace("_", "").split(",")):
        tokens, colon, count = part.partition(":")
        if not (tokens == ALONE or tokens.isdigit()) or (colon and not count.isdigit()):
            raise UsageError(f"{option}: {part} is not understood: for example alone,0,20000:50")
        found.append(
            Distance(None if tokens == ALONE else int(tokens), int(count) if colon else None)
        )
    if not found:
        raise UsageError(f"{option} is empty: for example 0,20000,160000")
    ordered = sorted(found, key=lambda distance: -1 if distance.tokens is None else distance.tokens)
    if len({distance.tokens for distance in found}) != len(found):
        raise UsageError(f"{option} names a number twice: leave one out")
    return tuple(ordered)


def read_sources(lines: Sequence[dict[str, Any]]) -> list[Source]:
    """Passages of the training data's form; UsageError if a line is not of it.

    The part of an id in front of the last "/" is the group.
    """
    sources = []
    for number, line in enumerate(lines):
        try:
            id = str(line.get("id", number))
            asked = tuple(
                (str(qa["question"]).strip(), tuple(map(str, qa["answers"])))
                for qa in line["qas"]
                if qa["answers"]
            )
            text = str(line["context"]).strip()
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"passage {number + 1} of --data has no {error}: correct it"
            ) from error
        sources.append(Source(id, id.rpartition("/")[0] or id, text, asked))
    return sources


def make_plan(
    order: Order,
    sources: Sequence[Source],
    books: Sequence[str],
    encode: Encoder,
) -> Plan:
    """Draw targets, lay out the stream, and say when to ask.

    Raises:
        UsageError: there is not enough text.
    """
    draw = random.Random(order.seed)
    unread, rest = _set_apart(order, sources, draw)
    facts, never = _facts(order, order.unread - len(unread))
    passages = _passages(order, rest, encode, draw)
    if not passages and not facts:
        raise UsageError("there are no questions: give --data, or --facts N")
    used = {question.passage for question in passages}
    others = [source.text for source in rest if source.text and source.text not in used]
    filler = Filler(encode, others, books, size=order.chunk_tokens, seed=order.seed)
    targets, chunks = _lay_out(filler, passages, facts, encode, draw)
    of_passages, of_facts = targets[: len(passages)], targets[len(passages) :]
    asks = _due(order, order.distances, of_passages) + _due(order, order.fact_distances, of_facts)
    whole = [ask.chunks for ask in asks if not _is_capped(order, ask)] or [len(chunks)]
    asks += [Ask(question, UNREAD, max(whole), None) for question in (*unread, *never)]
    length = max(ask.chunks for ask in asks) if asks else 0
    while len(chunks) < length:
        chunks.append(filler.chunk())
    lone = _lone(order.distances, of_passages) + _lone(order.fact_distances, of_facts)
    missing = order.questions - len(passages) if sources else 0
    due = sorted(asks, key=lambda ask: ask.chunks)
    return Plan(tuple(chunks), tuple(due), tuple(lone), missing)


def _lay_out(
    filler: Filler,
    passages: Sequence[Question],
    facts: Sequence[Question],
    encode: Encoder,
    draw: random.Random,
) -> tuple[list[Target], list[tuple[int, ...]]]:
    """The targets, passages first, and the chunks that hold them: a passage and a fact at most each."""
    held: list[list[list[int]]] = [[encode(f"{one.passage}\n\n")] for one in passages]
    targets = [Target(question, number) for number, question in enumerate(passages)]
    start = 0
    for fact in facts:
        ids = encode(f"{fact.passage}\n\n")
        while start < len(passages) and len(held[start][0]) + len(ids) > filler.size:
            start += 1
        if start < len(passages):
            held[start].append(ids)
        else:
            held.append([ids])
        targets.append(Target(fact, start))
        start += 1
    return targets, [embed(filler, pieces, draw) for pieces in held]


def _due(order: Order, distances: Sequence[Distance], targets: Sequence[Target]) -> list[Ask]:
    """When each target is to be asked about."""
    asks = []
    for distance in distances:
        if distance.tokens is not None:
            after = -(-distance.tokens // order.chunk_tokens)
            for target in targets[: distance.questions]:
                at = target.chunk + 1 + after
                asks.append(Ask(target.question, distance.setting, at, target.chunk))
    return asks


def _lone(distances: Sequence[Distance], targets: Sequence[Target]) -> list[Target]:
    """The targets to ask about when their chunk is all that was read."""
    return [t for one in distances if one.tokens is None for t in targets[: one.questions]]


def _is_capped(order: Order, ask: Ask) -> bool:
    """Whether its distance asks some of the questions only."""
    distances = order.fact_distances if ask.question.kind == _OF_FACTS else order.distances
    return any(one.setting == ask.setting and one.questions is not None for one in distances)


def _set_apart(
    order: Order, sources: Sequence[Source], draw: random.Random
) -> tuple[list[Question], list[Source]]:
    """Questions of whole groups that will never be read, and the passages of the others."""
    by_group: dict[str, list[Source]] = {}
    for source in sources:
        if source.questions:
            by_group.setdefault(source.group, []).append(source)
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
    kept = [source for source in sources if source.group not in apart]
    return [replace(question, kind=UNREAD) for question in questions], kept


def _passages(
    order: Order,
    sources: Sequence[Source],
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
        if source.questions and len(encode(f"{source.text}\n\n")) <= order.chunk_tokens:
            chosen.append(_question(source, draw))
    return chosen


def _facts(order: Order, unread: int) -> tuple[list[Question], list[Question]]:
    """Made-up facts to read, and others that are never read; no training drew such ones."""
    from models.training.fact_templates import HELD_OUT
    from models.training.facts import FactMaker

    # A seed of its own kind: streams of training are seeded with numbers, and names must differ too.
    maker = FactMaker(f"evaluation {order.seed}", HELD_OUT)
    facts = [maker.fact() for _ in range(order.facts + unread)]
    questions = [
        Question(f"fact-{number}", _OF_FACTS, fact.question, (fact.answer,), passage=fact.sentence)
        for number, fact in enumerate(facts)
    ]
    never = [replace(question, kind=UNREAD) for question in questions[order.facts :]]
    return questions[: order.facts], never


def _question(source: Source, draw: random.Random) -> Question:
    text, answers = draw.choice(source.questions)
    return Question(source.id, _OF_PASSAGES, text, answers, passage=source.text)
