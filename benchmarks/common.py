"""What the benchmarks share: the model, timing in alternation with a baseline, one line of JSON.

Machines are noisy: a figure and its baseline take turns in one process, and what counts is the
median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.decoder import Decoder
from mplus_cli.runtime.machine import cpu_name
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Flags, Settings, resolve

TEXT = Path(__file__).resolve().parents[1] / "examples" / "story" / "story.pdf"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table of `docs/performance.md`."""

    figure: str
    value: float
    unit: str
    baseline: str
    baseline_value: float | None
    ratio: float | None
    """As the mark counts it."""
    mark: str


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all scripts have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--model", help="as of `mplus --model`; by default the default model")
    options.add_argument("--device", help="as of `mplus --device`")
    options.add_argument("--dtype", help="as of `mplus --dtype`")
    options.add_argument("--rounds", type=int, default=5, help="alternations with the baseline")
    return options


def settings(given: argparse.Namespace) -> Settings:
    """The settings that `mplus` would have."""
    return resolve(Flags(given.model, given.device, given.dtype))


def environment(home: Path) -> dict[str, str]:
    """For commands that are timed: they run from bytecode, as installed ones do, and fetch nothing.

    Where PYTHONDONTWRITEBYTECODE is set, Python would compile the project at every start (0.3 s).
    """
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {"PYTHONPYCACHEPREFIX": str(home / "bytecode"), **given, "HF_HUB_OFFLINE": "1"}


def session(given: argparse.Namespace) -> Session:
    """The model, as `mplus` loads it: with its threads, allocator and decoder."""
    return open_session(settings(given), note=_say, progress=lambda *_: None)


def as_loaded(opened: Session, decoder: Decoder) -> Any:
    """The same weights as a model of `transformers`, as a baseline; its own attention."""
    from torch import nn

    from models.checkpoints.gguf import transformers_model
    from models.merging import merge

    base = Path(opened.choice.base or opened.choice.reference)
    model = transformers_model(base, device=decoder.device, dtype=decoder.dtype)
    adapter = decoder.apart
    for name, (a, b) in ({} if adapter is None else adapter.weights).items():
        linear = model.get_submodule(name)
        total = merge(linear.weight, a, b, adapter.scale)
        linear.weight = nn.Parameter(total, requires_grad=False)
    return model


def story_ids(opened: Session, count: int) -> list[int]:
    """Token ids of the example story, over and over."""
    from mplus_cli.documents import find_sources, read_document

    document = read_document(find_sources([str(TEXT)])[0])
    text = "\n".join(page.text for page in document.pages)
    ids = opened.plain_tokenizer.encode(text)[0]
    return [ids[place % len(ids)] for place in range(count)]


def alternate(
    rounds: int, one: Callable[[], object], other: Callable[[], object]
) -> tuple[float, float, float]:
    """Median seconds of `one` and of `other`, and the median of one's time over its neighbour's."""
    one(), other()
    pairs = [(seconds(one), seconds(other)) for _ in range(rounds)]
    mine, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(first / second for first, second in pairs)
    return statistics.median(mine), statistics.median(theirs), ratio


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(figure: Figure, opened: Session | None = None, **more: Any) -> None:
    """Print the one line."""
    import torch

    line: dict[str, Any] = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(figure).items()
    }
    if opened is not None:
        line |= {
            "model": opened.loaded.name,
            "device": str(opened.model.device),
            "dtype": str(opened.model.dtype).removeprefix("torch."),
            "ltm_format": opened.model.config.ltm_format,
        }
    line |= {
        "threads": torch.get_num_threads(),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        **more,
    }
    print(json.dumps(line))


def _say(line: str) -> None:
    print(line, file=sys.stderr)
