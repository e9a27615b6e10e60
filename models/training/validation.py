"""A quick check during training: exact hits on held-out passages.

The full experiments are in `mplus_cli.evaluation`; this one is small enough to run every few hundred
steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from models.generate import Generated, stream
from models.matching import hit
from models.memory import Memory, ShortTermMemory, Tokens, concatenate
from models.network import MPlusModel
from models.recall import look_up
from models.scan import score_chunks
from models.training.chunks import ChunkMaker
from models.training.data import Encoder, Passage, Question
from models.training.stream import Wording
from models.update import write


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


def validate(
    model: MPlusModel,
    wording: Wording,
    decode: Callable[[list[int]], str],
    probes: Sequence[Probe],
    distractors: int,
) -> dict[str, float]:
    """Exact hits with only the passage's chunk in memory, and with `distractors` others read after it;
    and how often the retriever ranks the right chunk first among those of all probes.

    Every chunk is written once, as the first of a document, and combined with others as needed.
    """
    alone, among, first = 0, 0, 0
    written = [_written(model, probe, number) for number, probe in enumerate(probes)]
    everything = _memory(model, written)
    for number, probe in enumerate(probes):
        prompt, query = wording.prompt(probe.question.text)
        around = [written[(number + step) % len(probes)] for step in range(distractors + 1)]
        for chunks in (around[:1], around):
            memory = _memory(model, chunks)
            found = look_up(model, memory, query)
            events = stream(model, memory, found, prompt, max_new_tokens=24, stop_ids={wording.end})
            said = decode([event.id for event in events if isinstance(event, Generated)])
            right = hit(said, probe.question.answers)
            alone += right and len(chunks) == 1
            among += right and len(chunks) > 1
        first += score_chunks(model, everything, query)[0].chunk == number
    count = max(len(probes), 1)
    return {"alone": alone / count, "among": among / count, "recall_at_1": first / count}


@torch.no_grad()
def _written(model: MPlusModel, probe: Probe, number: int) -> Tokens:
    ids = torch.tensor([probe.ids], device=model.device)
    tail = model.empty_memory().stm.tail[:, None]
    return write(model, ids, tail, chunk=number)[0]


def _memory(model: MPlusModel, chunks: Sequence[Tokens]) -> Memory:
    """A memory that holds these chunks in short-term memory."""
    empty, tokens = model.empty_memory(), concatenate(chunks)
    ages = torch.arange(len(tokens) - 1, -1, -1, device=model.device)[None]
    numbers = int(tokens.chunks.max()) + 1
    return Memory(ShortTermMemory(tokens, ages, empty.stm.tail), (), len(tokens), numbers)
