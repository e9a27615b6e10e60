"""Replay the reference implementation's numbers: `python -m models.checkpoints.parity FOLDER`.

FOLDER holds a checkpoint in the published layout and `golden.safetensors`, what the reference
computed with it (see the README beside the fixture). Everything runs in float32 on the CPU.

Shapes: L layers, m long-term memory tokens, K new ones, D hidden size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoints.loaded import CheckpointError, explained
from models.checkpoints.published import load_network
from models.generate import prefill
from models.memory import Memory, merge
from models.network import MPlusModel
from models.recall import TokenRecall
from models.sampling import Sampling, decode
from models.update import encode, read_chunk

EXACT = 0.0


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far one quantity is from the reference's at one step."""

    step: int
    quantity: str
    largest: float
    """Largest absolute difference; for ages, indices and ids, how many are not equal."""
    exact: bool
    """Whether the quantity must be equal, whatever the tolerance."""

    def within(self, tolerance: float) -> bool:
        return self.largest <= (EXACT if self.exact else tolerance)


@torch.no_grad()
def check(folder: Path, *, merge_adapters: bool = True) -> list[Deviation]:
    """Every deviation of every step from FOLDER's golden numbers.

    Raises:
        CheckpointError: the folder is not laid out like a parity fixture.
    """
    golden = _read_golden(folder)
    with explained(folder):
        network = load_network(
            folder, device="cpu", dtype=torch.float32, attention="eager", merge=merge_adapters
        )
    return list(_replay(network.model, network.memory, golden))


def ties_as_recorded(folder: Path) -> bool:
    """Whether this machine's NumPy sorts equal ages as the one did that recorded FOLDER.

    The reference lays recalled tokens of equal age out as an unstable sort leaves them, which
    differs between processors (x86 with and without AVX2, ARM). Where this is false, what depends
    on that order deviates: logits, recalled indices and greedy ids.
    """
    golden = _read_golden(folder)
    for name, recorded in golden.items():
        step, dot, layer = name.partition(".ltm_indices.")
        if dot and f"{step}.pending" not in golden:
            indices = recorded.sort().values
            ages = golden[f"{step}.ltm_ages.{layer}"][indices].numpy()
            if not np.array_equal(indices.numpy()[np.argsort(ages)[::-1]], recorded.numpy()):
                return False
    return True


def _read_golden(folder: Path) -> dict[str, Tensor]:
    path = folder / "golden.safetensors"
    if not path.exists():
        raise CheckpointError(f"{folder}: has no golden.safetensors")
    with explained(path):
        return load_file(path)


def _replay(model: MPlusModel, memory: Memory, golden: dict[str, Tensor]) -> Iterator[Deviation]:
    last = 0
    for step in count():
        if f"step{step}.stm" not in golden:
            break
        last = step
        if step:
            # The reference draws from the global generator, seeded so before each update.
            generator = torch.Generator().manual_seed(100 + step)
            ids = golden[f"step{step}.chunk_ids"][0].tolist()
            memory = read_chunk(model, memory, ids, generator)
        yield from _compare_memory(model, memory, golden, step)
        yield from _compare_answer(model, memory, golden, step)
    yield from _compare_greedy(model, memory, golden, last)


def _compare_memory(
    model: MPlusModel, memory: Memory, golden: dict[str, Tensor], step: int
) -> Iterator[Deviation]:
    def expected(name: str) -> Tensor:
        return golden[f"step{step}.{name}"]

    if step:
        new = expected("delta_memory")[0]  # (L, K, D)
        yield Deviation(step, "new memory tokens", _far(memory.stm.tail, new), False)
    keys, values, _ = encode(model, expected("stm")[:, None])
    yield Deviation(step, "STM keys", _far(memory.stm.tokens.keys, keys[:, 0]), False)
    yield Deviation(step, "STM values", _far(memory.stm.tokens.values, values[:, 0]), False)
    ages = memory.stm.ages.expand(keys.shape[0], -1)
    yield Deviation(step, "STM ages", _unequal(ages, expected("stm_ages")), True)

    ltm = merge(memory.segments)
    states, retriever_keys, born_ago = _golden_ltm(golden, step, keys.shape[0])
    keys, values, _ = encode(model, states[:, None])
    held = ltm.tokens.unpack()
    yield Deviation(step, "LTM keys", _far(held.keys, keys[:, 0]), False)
    yield Deviation(step, "LTM values", _far(held.values, values[:, 0]), False)
    found = held.retriever_keys
    yield Deviation(step, "LTM retriever keys", _far(found, retriever_keys), False)
    yield Deviation(step, "LTM ages", _unequal(memory.clock - 1 - ltm.born, born_ago), True)


def _golden_ltm(golden: dict[str, Tensor], step: int, layers: int) -> tuple[Tensor, Tensor, Tensor]:
    """States (L, m, D), retriever keys and ages, with those the reference has not merged yet."""
    parts = []
    for name, pending in (
        ("ltm", "pending"),
        ("ltm_keys", "pending_keys"),
        ("ltm_ages", "pending_ages"),
    ):
        rows = torch.stack([golden[f"step{step}.{name}.{layer}"] for layer in range(layers)])
        waiting = golden.get(f"step{step}.{pending}")
        parts.append(rows if waiting is None else torch.cat([rows, waiting], dim=1))
    return parts[0], parts[1], parts[2]


def _compare_answer(
    model: MPlusModel, memory: Memory, golden: dict[str, Tensor], step: int
) -> Iterator[Deviation]:
    prompt = golden["prompt_ids"][0].tolist()
    recall = TokenRecall(model, memory, model.config.recalled_tokens)
    logits, _ = prefill(model, memory, recall, prompt, spare=0, all_logits=True)
    yield Deviation(step, "logits", _far(logits, golden[f"step{step}.logits"][0]), False)
    wrong = 0.0
    for layer, indices in recall.indices.items():
        merged = len(golden[f"step{step}.ltm.{layer}"])
        mine = indices[indices < merged]
        wanted = golden[f"step{step}.ltm_indices.{layer}"]
        if f"step{step}.pending" in golden:
            # With tokens pending the reference reports them before it sorts them by age.
            mine = mine.sort().values
        wrong += _unequal(mine, wanted)
    yield Deviation(step, "recalled indices", wrong, True)


def _compare_greedy(
    model: MPlusModel, memory: Memory, golden: dict[str, Tensor], step: int
) -> Iterator[Deviation]:
    prompt = golden["prompt_ids"][0].tolist()
    cached = golden["greedy_ids_cache"][0, len(prompt) :]
    recall = TokenRecall(model, memory, model.config.recalled_tokens)
    logits, cache = prefill(model, memory, recall, prompt, spare=len(cached))
    steps = decode(model, cache, logits, Sampling())
    drawn = torch.tensor([next(steps) for _ in cached])
    yield Deviation(step, "greedy ids, cache", _unequal(drawn, cached), True)

    reread = golden["greedy_ids_nocache"][0, len(prompt) :]
    for _ in reread:
        recall = TokenRecall(model, memory, model.config.recalled_tokens)
        logits, _ = prefill(model, memory, recall, prompt, spare=0)
        prompt.append(int(logits[-1].argmax()))
    drawn = torch.tensor(prompt[-len(reread) :])
    yield Deviation(step, "greedy ids, reread", _unequal(drawn, reread), True)


def _far(mine: Tensor, theirs: Tensor) -> float:
    if mine.shape != theirs.shape:
        return float("inf")
    return float((mine.double() - theirs.double()).abs().max())


def _unequal(mine: Tensor, theirs: Tensor) -> float:
    if mine.shape != theirs.shape:
        return float("inf")
    return float((mine.double() != theirs.double()).sum())


def table(deviations: Sequence[Deviation], tolerance: float) -> str:
    """One line a quantity: its largest deviation over all steps, and where that was."""
    lines = [f"{'quantity':<20} {'largest':>10}  {'step':>4}  allowed"]
    for quantity in dict.fromkeys(deviation.quantity for deviation in deviations):
        own = [deviation for deviation in deviations if deviation.quantity == quantity]
        worst = max(own, key=lambda deviation: deviation.largest)
        allowed = EXACT if worst.exact else tolerance
        mark = "" if worst.within(tolerance) else "  <- past it"
        lines.append(f"{quantity:<20} {worst.largest:>10.2e}  {worst.step:>4}  {allowed:g}{mark}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all within the tolerance, 1 not, 2 wrong usage or no fixture there."""
    parser = argparse.ArgumentParser(
        prog="python -m models.checkpoints.parity",
        description="Compare this implementation with the reference's recorded numbers.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    given = parser.parse_args(arguments)
    try:
        deviations = check(given.folder)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(deviations, given.tolerance))
    if not ties_as_recorded(given.folder):
        print(
            "this processor sorts equal ages in another order: expect deviations", file=sys.stderr
        )
    return 0 if all(deviation.within(given.tolerance) for deviation in deviations) else 1


if __name__ == "__main__":
    sys.exit(main())
