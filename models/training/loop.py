"""The training loop: batches in, a checkpoint and its curves out; stops and resumes anywhere.

State lives in the run's folder: `config.json` (the settings in force; resuming with others keeps the old
ones as `config-until-<step>.json`), the curves, and `last/` (weights, optimiser, data position and random
states, replaced in one step). Yields typed events; prints nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.config import ConfigError
from models.durable import new_folder
from models.network import MPlusModel
from models.stack import Stack
from models.training.batch import Losses
from models.training.config import LAST, TrainingConfig, has_saved
from models.training.curves import LOG, VALIDATION, append_row, forget_after, replace_text, settle
from models.training.optimiser import MasterAdamW, cosine
from models.training.processes import Processes
from models.training.text_reader import TextTrainee
from models.training.trainee import Trainee
from models.training.weights import load_weights, read_weights, trained_weights


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step: its mean losses in nats, and how fast it went."""

    step: int
    answer: float
    continuation: float
    retriever: float
    recall_at_1: float
    gradient: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Validated:
    """Figures on questions that are never trained on."""

    step: int
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint is on the disk, to continue from."""

    step: int
    folder: Path


Event = Step | Validated | CheckpointSaved


class Batches(Protocol):
    """Where a run's batches come from."""

    def batch(self) -> Any:
        """The next one, as the trainee takes it."""

    def remember(self, written: Any) -> None:
        """Keep what the trainee wrote."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from there."""

    def close(self) -> None:
        """Stop drawing."""


class Run:
    """A run in a folder; `events` continues it from where it stopped."""

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        trainee: Trainee | TextTrainee,
        sampler: Batches,
        validate: Callable[[], dict[str, float]] | None = None,
        processes: Processes | None = None,
    ) -> None:
        self._processes = processes or Processes()
        self.folder, self.config = folder, config
        self._trainee, self._sampler, self._validate = trainee, sampler, validate
        groups = parameter_groups(trainee, config)
        self._learning = [weight for weights, _ in groups for weight in weights]
        self._optimiser = MasterAdamW(groups, weight_decay=config.weight_decay, clip=config.clip)
        self._step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if has_saved(folder):
            self._resume()
        if self._processes.is_main:
            self._record_config()
            for name in (LOG, VALIDATION):
                forget_after(folder / name, self._step)

    @property
    def model(self) -> MPlusModel:
        """What a run that trains memory trains."""
        assert isinstance(self._trainee, Trainee)
        return self._trainee.model

    @property
    def stack(self) -> Stack:
        """The base, with the adapters injected."""
        return self._trainee.llama

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return self._step

    def close(self) -> None:
        """Stop drawing text."""
        self._sampler.close()

    def events(self, until: int | None = None) -> Iterator[Event]:
        """Train up to step `until` (by default the configured end)."""
        config = self.config
        end = config.steps if until is None else min(until, config.steps)
        while self._step < end:
            event = self._one_step()
            self._log(event)
            yield event
            due = self._step % config.validate_every == 0 or self._step == config.steps
            if self._validate and due and self._processes.is_main:
                figures = self._validate()
                self._log_validation(figures)
                yield Validated(self._step, figures)
            if self._step % config.save_every == 0 or self._step == end:
                yield CheckpointSaved(self._step, self.save())

    def _one_step(self) -> Step:
        config, started = self.config, time.perf_counter()
        totals = [0.0] * 4
        for _ in range(config.accumulate):
            losses, written = self._trainee(self._sampler.batch())
            total_loss(losses, config).div(config.accumulate).backward()
            self._sampler.remember(written)
            for at, value in enumerate(_values(losses)):
                totals[at] += value / config.accumulate
        self._processes.average(self._learning)
        share = cosine(self._step, config.steps, config.warmup, config.final_rate)
        gradient = self._optimiser.step(share)
        self._step += 1
        answer, continuation, retriever, recall = totals
        seconds = time.perf_counter() - started
        return Step(self._step, answer, continuation, retriever, recall, gradient, seconds)

    def save(self) -> Path:
        """Write everything the run needs to resume, in one step; only the main process writes."""
        last = self.folder / LAST
        samplers = self._processes.gather(self._sampler.state())
        if not self._processes.is_main:
            return last
        for name in (LOG, VALIDATION):
            settle(self.folder / name)
        with new_folder(last) as new:
            save_file(trained_weights(self._trainee), new / "weights.safetensors")
            state = {
                name: value.contiguous() for name, value in self._optimiser.state_dict().items()
            }
            save_file(state, new / "optimiser.safetensors")
            save_file({"torch": torch.get_rng_state()}, new / "random.safetensors")
            position = {"step": self._step, "samplers": samplers}
            (new / "position.json").write_text(json.dumps(position), encoding="utf-8")
        return last

    def _resume(self) -> None:
        last = self.folder / LAST
        load_weights(self._trainee, read_weights(last / "weights.safetensors"))
        self._optimiser.load_state_dict(load_file(last / "optimiser.safetensors"))
        torch.set_rng_state(load_file(last / "random.safetensors")["torch"])
        position = json.loads((last / "position.json").read_text(encoding="utf-8"))
        self._step = position["step"]
        if len(position["samplers"]) != self._processes.size:
            raise ConfigError(
                f"{last} was written by {len(position['samplers'])} processes: resume with as many"
            )
        streams = sum(len(sampler["streams"]) for sampler in position["samplers"])
        if streams != self.config.streams:
            raise ConfigError(f"{last} was written with {streams} streams: resume with as many")
        self._sampler.restore(position["samplers"][self._processes.rank])

    def _record_config(self) -> None:
        """Write the settings in force; those of an earlier part of the run keep a file of their own."""
        path, text = self.folder / "config.json", self.config.to_json()
        before = path.read_text(encoding="utf-8") if path.exists() else text
        kept = self.folder / f"config-until-{self._step}.json"
        if before != text and self._step and not kept.exists():
            replace_text(kept, before)
        replace_text(path, text)

    def _log(self, event: Step) -> None:
        self._append(LOG, {name: getattr(event, name) for name in Step.__slots__})

    def _log_validation(self, figures: dict[str, float]) -> None:
        self._append(VALIDATION, {"step": self._step, **figures})

    def _append(self, name: str, row: dict[str, float]) -> None:
        if self._processes.is_main:
            append_row(self.folder / name, row)


def total_loss(losses: Losses, config: TrainingConfig) -> torch.Tensor:
    """The weighted sum of the losses, in nats."""
    reading = losses.answer + config.continuation_weight * losses.continuation
    return reading + config.retriever_weight * losses.retriever


def parameter_groups(
    trainee: Trainee | TextTrainee, config: TrainingConfig
) -> list[tuple[list[nn.Parameter], float]]:
    """The weights to train, with their learning rates: adapters, then the retriever."""
    for parameter in trainee.parameters():
        parameter.requires_grad_(False)
    adapters = [
        weight
        for name, weight in trainee.llama.named_parameters()
        if (config.train_update and ".update_lora." in name)
        or (config.train_generate and ".generate_lora." in name)
        or ".text_lora." in name
    ]
    retriever = list(trainee.retriever.parameters()) if config.train_retriever else []
    for weight in (*adapters, *retriever):
        weight.requires_grad_(True)
    return [(adapters, config.learning_rate), (retriever, config.retriever_learning_rate)]


def _values(losses: Losses) -> tuple[float, float, float, float]:
    return (
        float(losses.answer.detach()),
        float(losses.continuation.detach()),
        float(losses.retriever.detach()),
        float(losses.recall_at_1),
    )
