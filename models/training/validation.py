"""A quick look at how well a checkpoint in training reads: exact hits on held-out passages.

The full experiments are another module's; this one is small enough to run every few hundred steps.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.generate import Generated, stream
from models.network import MPlusModel
from models.recall import score_chunks
from models.training.data import ChunkMaker, Encoder, Passage, Question
from models.training.sampler import Wording
from models.update import compact, read_chunk


@dataclass(frozen=True, slots=True)
class Probe:
    """A chunk with a passage inside, and a question about it."""

    ids: tuple[int, ...]
    question: Question


def make_probes(
    encode: Encoder,
    passages: Sequence[Passage],
    filler: ChunkMaker,
    size: int,
    count: int,
    seed: int,
) -> list[Probe]:
    """Probes of full chunks: one passage each, at a random place in other text."""
    draw = random.Random(seed)
    probes: list[Probe] = []
    for passage in draw.sample(list(passages), min(2 * count, len(passages))):
        ids = encode(passage.text + "\n\n")
        if len(ids) > size or not passage.questions or len(probes) == count:
            continue
        other = list(filler.chunk().ids)[: size - len(ids)]
        cut = draw.randint(0, len(other))
        whole = (*other[:cut], *ids, *other[cut:])
        probes.append(Probe(whole, draw.choice(passage.questions)))
    return probes


def normalise(text: str) -> str:
    """SQuAD's normalisation: lower case, no punctuation, no articles, single spaces."""
    text = "".join(" " if char in string.punctuation else char for char in text.lower())
    return " ".join(word for word in text.split() if word not in ("a", "an", "the"))


def hit(answer: str, golds: Sequence[str]) -> bool:
    """Whether a gold answer occurs in the answer, word for word after normalisation."""
    said = f" {normalise(answer)} "
    return any(f" {normalise(gold)} " in said for gold in golds if normalise(gold))


def validate(
    model: MPlusModel,
    wording: Wording,
    decode: Callable[[list[int]], str],
    probes: Sequence[Probe],
    crowd: int,
) -> dict[str, float]:
    """Exact hit with the passage's chunk alone in memory, and with `crowd` others read after it;
    and how often the retriever puts the right chunk first among all probes' chunks."""
    alone, among, first = 0, 0, 0
    everything = model.empty_memory()
    for probe in probes:
        everything = compact(read_chunk(model, everything, probe.ids))
    for number, probe in enumerate(probes):
        prompt, query = wording.prompt(probe.question.text)
        for others in (0, crowd):
            memory = read_chunk(model, model.empty_memory(), probe.ids)
            for step in range(others):
                memory = read_chunk(model, memory, probes[(number + 1 + step) % len(probes)].ids)
            events = stream(model, memory, prompt, query, max_new_tokens=24, stop_ids={wording.end})
            said = decode([event.id for event in events if isinstance(event, Generated)])
            right = hit(said, probe.question.answers)
            alone += right and not others
            among += right and others > 0
        first += score_chunks(model, everything, query)[0].chunk == number
    count = max(len(probes), 1)
    return {"alone": alone / count, "among": among / count, "recall_at_1": first / count}
