"""Knowledge retention: one stream of chunks, when to ask what, and the run of that plan.

The protocol (M+, section 4.3, with the reading shared). Each target passage stands at a random place
in a full chunk of other text; a made-up fact stands in such a chunk too, where there is room beside the
passage. The chunks with targets come first in the stream, then chunks of other text only; so what follows
a target is other passages and running text. A question is asked when the wanted number of tokens,
rounded up to whole chunks, has been read after its target's chunk. What came before the target is in
memory too, more for later targets. Questions of `unread` passages are asked once, where the longest
distance that asks every question ends.

Deterministic for a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.layouts import Sample
from mplus_cli.evaluation.reading import Runner
from mplus_cli.evaluation.values import ANY, UNREAD, Event, Notice, Probe, Question, Stream

if TYPE_CHECKING:
    from models.training.data import Encoder


@dataclass(frozen=True, slots=True)
class Distance:
    """How many tokens to read after a target, and how many of the first targets of each kind to ask about
    then (None: all)."""

    tokens: int
    questions: int | None = None


@dataclass(frozen=True, slots=True)
class RetentionOptions:
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

    stream: Stream
    missing: int = 0
    """Questions that were asked for and are not there."""


def parse_distances(text: str, option: str = "--tokens") -> tuple[Distance, ...]:
    """Read "0,20000,1000000:50"; UsageError, which names the option, if it is not that."""
    found: dict[int, Distance] = {}
    for part in filter(None, text.replace(" ", "").replace("_", "").split(",")):
        tokens, colon, count = part.partition(":")
        if not tokens.isdigit() or (colon and not count.isdigit()):
            raise UsageError(f"{option}: {part} is not understood: for example 0,20000:50")
        if int(tokens) in found:
            raise UsageError(f"{option} names a number twice: leave one out")
        found[int(tokens)] = Distance(int(tokens), int(count) if colon else None)
    if not found:
        raise UsageError(f"{option} is empty: for example 0,20000,160000")
    return tuple(found[tokens] for tokens in sorted(found))


def make_plan(
    options: RetentionOptions,
    sources: Sequence[Sample],
    books: Sequence[str],
    size: int,
    encode: Encoder,
    decode: Callable[[Sequence[int]], str],
) -> Plan:
    """Draw targets, lay out the stream in chunks of `size` tokens, and say when to ask.

    Raises:
        UsageError: there is not enough text.
    """
    draw = random.Random(options.seed)
    unread, rest = _set_apart(options, sources, draw)
    facts, never = _facts(options, options.unread - len(unread))
    passages = _passages(options, rest, size, encode, draw)
    if not passages and not facts:
        raise UsageError("there are no questions: give --data, or --facts N")
    used = {question.passage for question in passages}
    others = [one.text for one in rest if one.text and one.text not in used]
    other_text = _other_text(encode, others, books, size, options.seed)
    places, held = _lay_out(passages, facts, size, encode)
    chunks = [_embed(other_text(), targets, size, draw) for targets in held]
    probes, end = list[Probe](), 0
    for kind, own in (("passages", passages), ("facts", facts)):
        for distance in options.distances(kind):
            after = -(-distance.tokens // size)
            for question in own[: distance.questions]:
                chunk = places[question.id]
                at, gold = chunk + 1 + after, frozenset({chunk})
                setting = str(distance.tokens)
                probes.append(Probe(question, setting, at, gold, chunk * size, after * size))
                end = max(end, at) if distance.questions is None else end
    end = end or len(chunks)
    asked = dict.fromkeys(probe.question for probe in probes)
    probes += [Probe(question, UNREAD, end, None, end * size) for question in (*unread, *never)]
    probes.sort(key=lambda probe: probe.chunks)
    while len(chunks) < probes[-1].chunks:
        chunks.append(other_text())
    once = [Probe(question, ANY, 0, None, 0) for question in asked]
    texts = [decode(ids) for ids in chunks]
    missing = options.questions - len(passages) if sources else 0
    return Plan(Stream("stream", chunks, texts, (*once, *probes)), missing)


def run(bench: Bench, plan: Plan, arms: Sequence[Arm], journal: Journal) -> Iterator[Event]:
    """Ask what is not in the journal yet.

    Raises:
        MplusError: the disk has no room for the memory.
    """
    if plan.missing:
        yield Notice(f"{plan.missing} passages fewer than asked for: the others do not fit a chunk")
    runner = Runner(bench, journal, arms, [probe.question for probe in plan.stream.probes])
    yield from runner.announce(plan.stream)
    yield from runner.run(plan.stream)
    journal.clear_work()  # also what a run left that was interrupted after its last question


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
    """Draws full chunks of other passages and running text; UsageError if there is no text."""
    from models.training.chunks import ChunkMaker, Corpus, Mix
    from models.training.data import Passage

    if not passages and not any(book.strip() for book in books):
        raise UsageError("there is no text to read besides the targets: give --books FILE")
    corpus = Corpus([Passage(text, ()) for text in passages], books)
    maker = ChunkMaker(encode, corpus, size, Mix(), seed=seed)

    def chunk() -> tuple[int, ...]:
        ids: list[int] = []
        while len(ids) < size:
            ids += maker.chunk().ids
        return tuple(ids[:size])

    return chunk


def _embed(
    other: tuple[int, ...], targets: Sequence[Sequence[int]], size: int, draw: random.Random
) -> tuple[int, ...]:
    """A full chunk of other text with targets at random places in it."""
    other = other[: max(size - sum(map(len, targets)), 0)]
    cuts = sorted(draw.randint(0, len(other)) for _ in targets)
    ids: list[int] = []
    mixed = draw.sample(targets, len(targets))
    for start, cut, target in zip((0, *cuts), cuts, mixed, strict=False):
        ids += [*other[start:cut], *target]
    return (*ids, *other[cuts[-1] :])[:size]


def _set_apart(
    options: RetentionOptions, sources: Sequence[Sample], draw: random.Random
) -> tuple[list[Question], list[Sample]]:
    """Questions of whole groups (articles, books: the part of an id in front of the last "/") that will
    never be read, and the passages of the others."""
    by_group: dict[str, list[Sample]] = {}
    for source in sources:
        if source.questions:
            by_group.setdefault(_group(source), []).append(source)
    names = sorted(by_group)
    draw.shuffle(names)
    apart: list[str] = []
    for name in names[: len(names) // 2]:
        held = sum(len(by_group[one]) for one in apart)
        if held >= options.unread and (len(apart) >= len(names) // 4 or not options.unread):
            break
        apart.append(name)
    # One of each group in turn: questions about one article are not an independent sample.
    turns = zip_longest(*(by_group[name] for name in apart))
    mixed = [source for turn in turns for source in turn if source is not None]
    questions = [_question(source, draw) for source in mixed[: options.unread]]
    kept = [source for source in sources if _group(source) not in apart]
    return [replace(question, kind=UNREAD) for question in questions], kept


def _passages(
    options: RetentionOptions,
    sources: Sequence[Sample],
    size: int,
    encode: Encoder,
    draw: random.Random,
) -> list[Question]:
    """Questions of passages that fit into a chunk, one a passage."""
    mixed = list(sources)
    draw.shuffle(mixed)
    chosen: list[Question] = []
    for source in mixed:
        if len(chosen) == options.questions:
            break
        if source.questions and len(encode(f"{source.text}\n\n")) <= size:
            chosen.append(_question(source, draw))
    return chosen


def _facts(options: RetentionOptions, unread: int) -> tuple[list[Question], list[Question]]:
    """Made-up facts to read, and others that are never read, of shapes that no training has drawn."""
    from models.training.fact_templates import HELD_OUT
    from models.training.facts import FactMaker

    # Streams of training are seeded with numbers: a text as the seed draws other names.
    maker = FactMaker(f"evaluation {options.seed}", HELD_OUT)
    facts = [maker.fact() for _ in range(options.facts + unread)]
    questions = [
        Question(f"fact-{number}", "facts", fact.question, (fact.answer,), passage=fact.sentence)
        for number, fact in enumerate(facts)
    ]
    never = [replace(question, kind=UNREAD) for question in questions[options.facts :]]
    return questions[: options.facts], never


def _question(source: Sample, draw: random.Random) -> Question:
    asked = draw.choice(source.questions)
    return Question(source.id, "passages", asked.text, asked.answers, passage=source.text)


def _group(source: Sample) -> str:
    return source.id.rpartition("/")[0] or source.id
