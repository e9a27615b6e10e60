"""The plan of a retention experiment: one stream of chunks, and when to ask what.

The protocol (M+, section 4.3, with the reading shared). Each target passage stands at a random place
of a full chunk of other text. The chunks with targets come first in the stream, one after the other,
then chunks of other text only; so what follows a target is other passages and running text. A question is
asked when exactly the wanted number of tokens has been read after its target's chunk (the last chunk
is cut to fit). What came before the target in the stream is in memory too, more for later targets; the
update pass reads each target behind the memory tokens of the chunk before it. In the setting `alone`
the chunk is all that was ever read. Questions of `unread` passages are asked when all is read.

Deterministic for a seed. Knows text and ids, no model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.values import UNREAD, Question

if TYPE_CHECKING:
    from models.training.data import Encoder

ALONE = "alone"
_OF_PASSAGES, _OF_FACTS = "passages", "facts"


@dataclass(frozen=True, slots=True)
class Distance:
    """How many tokens to read after a target, and how many targets to ask then (None: all)."""

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
    """A question to ask after `chunks` whole chunks and `rest` tokens of the next one."""

    question: Question
    setting: str
    chunks: int
    rest: int
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


def parse_distances(text: str) -> tuple[Distance, ...]:
    """Read "alone,0,20000,1000000:50"; UsageError if that is not what it is."""
    found: list[Distance] = []
    for part in filter(None, text.replace(" ", "").replace("_", "").split(",")):
        tokens, colon, count = part.partition(":")
        if not (tokens == ALONE or tokens.isdigit()) or (colon and not count.isdigit()):
            raise UsageError(f"--tokens: {part} is not understood: for example alone,0,20000:50")
        found.append(
            Distance(None if tokens == ALONE else int(tokens), int(count) if colon else None)
        )
    if not found:
        raise UsageError("--tokens is empty: for example 0,20000,160000")
    ordered = sorted(found, key=lambda distance: -1 if distance.tokens is None else distance.tokens)
    if len({distance.tokens for distance in found}) != len(found):
        raise UsageError("--tokens names a number twice: leave one out")
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
    chosen = passages + facts
    if not chosen:
        raise UsageError("there are no questions: give --data, or --facts N")
    draw.shuffle(chosen)
    used = {question.passage for question in chosen}
    filler = _Filler(order, [source for source in rest if source.text not in used], books, encode)
    targets, chunks = [], []
    for number, question in enumerate(chosen):
        chunks.append(_embed(filler, encode(f"{question.passage}\n\n"), draw))
        targets.append(Target(question, number))
    asks = _due(order, targets)
    length = max([ask.chunks + bool(ask.rest) for ask in asks], default=0)
    while len(chunks) < length:
        chunks.append(filler.chunk())
    end = [Ask(question, UNREAD, len(chunks), 0, None) for question in (*unread, *never)]
    alone = [distance for distance in order.distances if distance.tokens is None]
    lone = targets[: alone[0].questions] if alone else []
    missing = order.questions - len(passages) if sources else 0
    return Plan(tuple(chunks), (*asks, *end), tuple(lone), missing)


def _due(order: Order, targets: Sequence[Target]) -> list[Ask]:
    """When each target is to be asked, in the order of the stream."""
    asks = []
    for distance in order.distances:
        if distance.tokens is None:
            continue
        whole, rest = divmod(distance.tokens, order.chunk_tokens)
        for target in targets[: distance.questions]:
            at = target.chunk + 1 + whole
            asks.append(Ask(target.question, distance.setting, at, rest, target.chunk))
    return sorted(asks, key=lambda ask: (ask.chunks, ask.rest))


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
    questions: list[Question] = []
    apart: set[str] = set()
    for name in names[: len(names) // 2]:
        if len(questions) >= order.unread:
            break
        apart.add(name)
        questions += [_question(source, draw) for source in by_group[name]]
    kept = [source for source in sources if source.group not in apart]
    return [replace(q, kind=UNREAD) for q in questions[: order.unread]], kept


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


def _embed(filler: _Filler, ids: list[int], draw: random.Random) -> tuple[int, ...]:
    """A full chunk of other text with ids at a random place in it."""
    other = filler.chunk()[: filler.size - len(ids)]
    cut = draw.randint(0, len(other))
    return (*other[:cut], *ids, *other[cut:])[: filler.size]


class _Filler:
    """Chunks of other text: passages, and running text of books."""

    def __init__(
        self,
        order: Order,
        sources: Sequence[Source],
        books: Sequence[str],
        encode: Encoder,
    ) -> None:
        from models.training.data import ChunkMaker, Passage

        passages = [Passage(source.text, ()) for source in sources if source.text]
        if not passages and not any(book.strip() for book in books):
            raise UsageError("there is no text to read besides the targets: give --books FILE")
        self.size = order.chunk_tokens
        self._maker = ChunkMaker(
            encode, passages, books, order.chunk_tokens, facts=0, seed=order.seed
        )

    def chunk(self) -> tuple[int, ...]:
        """The next chunk, full."""
        ids: list[int] = []
        while len(ids) < self.size:
            ids += self._maker.chunk().ids
        return tuple(ids[: self.size])
