"""Question generation: labelled questions are few, text is not.

A copy of the base learns two tasks from labelled passages: to ask a question about a text (text -> answer
and question), and to answer one (text and question -> answer). Then it asks about any text, and a
question is kept if reading the text with it gives the answer back: round-trip consistency, Alberti et al.
2019 (arXiv 1906.05416), with one model for both tasks. Works on text, ids and a plain causal language
model.

Shapes: B examples, T ids, V vocabulary.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.training.data import DataError, Encoder, Passage, Question
from models.training.excerpts import around
from models.training.optimiser import MasterAdamW, cosine
from models.training.rows import IGNORED

_OPEN = re.compile(r"\b(?:he|she|it|they|him|her|his|them|their|this|these|i|you|we|my|me)\b", re.I)
_SCORED = 4
"""Scoring an answer's probability keeps logits, so a batch holds a quarter of the examples that
generation does."""


@dataclass(frozen=True, slots=True)
class AskingConfig:
    """How questions are learned, asked and chosen."""

    window: int = 1000
    """Characters of text a question is asked about, at most."""
    epochs: float = 2.0
    batch: int = 64
    """Examples a training step."""
    learning_rate: float = 1.5e-4
    warmup: int = 40
    each: int = 5
    """Questions generated for every text, before any is dropped."""
    asked_at_once: int = 1024
    """Questions generated at a time."""
    temperature: float = 0.9
    top_k: int = 40
    most_ids: int = 44
    """Tokens of an answer with its question, at most."""
    most_words: int = 8
    """Words of an answer, at most."""
    least_probability: float = 0.3
    """How likely the model must find the answer, given the text and the question."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """One training step."""

    step: int
    steps: int
    loss: float
    """Nats a target id."""


@dataclass(frozen=True, slots=True)
class GeneratedQuestions:
    """A text and the questions about it that were kept."""

    text: str
    questions: tuple[Question, ...]
    tried: int
    """How many questions were generated."""


class QuestionGenerator:
    """A causal language model that learns to ask and to answer; training changes its weights.

    Args:
        llama: a causal language model of `transformers`.
        start: the id that begins a text.
        end: the id that ends a generation.
    """

    def __init__(
        self,
        llama: Any,
        encode: Encoder,
        decode: Any,
        *,
        start: int,
        end: int,
        config: AskingConfig,
    ) -> None:
        self._llama, self._encode, self._decode = llama, encode, decode
        self._start, self._end, self._config = start, end, config

    def learn(self, passages: Sequence[Passage]) -> Iterator[Learned]:
        """Train on labelled passages, for the configured epochs.

        Raises:
            DataError: no answer occurs in its passage.
        """
        config, draw = self._config, random.Random(self._config.seed)
        torch.manual_seed(config.seed)
        self._llama.requires_grad_(True)
        weights = [weight for weight in self._llama.parameters() if weight.requires_grad]
        optimiser = MasterAdamW([(weights, config.learning_rate)], weight_decay=0.0, clip=1.0)
        examples = [pair for passage in passages for pair in self._examples(passage, draw)]
        if not examples:
            raise DataError("there is nothing to learn from: no answer occurs in its passage")
        steps = max(int(config.epochs * len(examples) / config.batch), 1)
        order: list[int] = []
        for step in range(steps):
            while len(order) < config.batch:
                order += draw.sample(range(len(examples)), len(examples))
            chosen = [examples[order.pop()] for _ in range(config.batch)]
            losses = self._losses(*self._padded(chosen))
            loss = losses.sum() / sum(len(target) for _, target in chosen)
            loss.backward()
            optimiser.step(cosine(step, steps, config.warmup, 0.05))
            yield Learned(step + 1, steps, float(loss.detach()))
        self._llama.requires_grad_(False)

    @torch.no_grad()
    def ask(self, texts: Sequence[str]) -> Iterator[GeneratedQuestions]:
        """Ask about texts of at most `window` characters; yields one result a text, longest text
        first."""
        config = self._config
        torch.manual_seed(config.seed + 1)
        prompts = [(self._ask_prompt(text), text) for text in texts]
        prompts.sort(key=lambda one: len(one[0]), reverse=True)
        at_once = max(config.asked_at_once // config.each, 1)
        for first in range(0, len(prompts), at_once):
            part = prompts[first : first + at_once]
            written = self._written([prompt for prompt, _ in part])
            pairs = [
                [found for one in own if (found := self._parsed(one, text)) is not None]
                for own, (_, text) in zip(written, part, strict=True)
            ]
            yield from self._chosen([text for _, text in part], pairs)

    def _examples(
        self, passage: Passage, draw: random.Random
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Both tasks for every question whose answer occurs in its passage."""
        for question in passage.questions:
            answers = [answer for answer in question.answers if answer in passage.text]
            if not answers:
                continue
            answer = draw.choice(answers)
            if len(answer.split()) > self._config.most_words:
                continue
            text = around(passage.text, passage.text.index(answer), self._config.window)
            asked = f" {answer}\nQuestion: {question.text}"
            yield self._ask_prompt(text), [*self._encode(asked), self._end]
            prompt = self._answer_prompt(text, question.text)
            yield prompt, [*self._encode(f" {answer}"), self._end]

    def _ask_prompt(self, text: str) -> list[int]:
        return [self._start, *self._encode(f"{text}\n\nAnswer:")]

    def _answer_prompt(self, text: str, question: str) -> list[int]:
        return [self._start, *self._encode(f"{text}\n\nQuestion: {question}\nAnswer:")]

    def _padded(self, examples: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
        """Ids (B, T) and the next ids to predict (B, T), IGNORED where there is no target."""
        longest = max(len(prompt) + len(target) for prompt, target in examples) - 1
        longest += -longest % 32
        ids = torch.full((len(examples), longest), self._end)
        targets = torch.full((len(examples), longest), IGNORED)
        for row, (prompt, target) in enumerate(examples):
            whole = [*prompt, *target]
            ids[row, : len(whole) - 1] = torch.tensor(whole[:-1])
            targets[row, len(prompt) - 1 : len(whole) - 1] = torch.tensor(target)
        return ids.to(self._llama.device), targets.to(self._llama.device)

    def _losses(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Nats of each example's target (B,). Padding is on the right, so a causal mask is enough."""
        hidden = self._llama.model(input_ids=ids, use_cache=False).last_hidden_state
        asked = targets != IGNORED
        logits = self._llama.lm_head(hidden[asked]).float()
        losses = functional.cross_entropy(logits, targets[asked], reduction="none")
        rows = torch.arange(len(ids), device=ids.device)[:, None].expand(ids.shape)[asked]
        return losses.new_zeros(len(ids)).index_add(0, rows, losses)

    def _written(self, prompts: Sequence[list[int]]) -> list[list[str]]:
        """`each` generations for each prompt."""
        config = self._config
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self._end)
        seen = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            seen[row, longest - len(prompt) :] = 1
        out = self._llama.generate(
            input_ids=ids.to(self._llama.device),
            attention_mask=seen.to(self._llama.device),
            do_sample=True,
            temperature=config.temperature,
            top_k=config.top_k,
            num_return_sequences=config.each,
            max_new_tokens=config.most_ids,
            eos_token_id=self._end,
            pad_token_id=self._end,
        )
        texts = []
        for row in out[:, longest:].tolist():
            # A generation that was cut off is not a question.
            texts.append(self._decode(row[: row.index(self._end)]) if self._end in row else "")
        return [texts[at : at + config.each] for at in range(0, len(texts), config.each)]

    def _parsed(self, written: str, text: str) -> tuple[str, str] | None:
        """Answer and question of a generation; None if they are not fit to be asked."""
        answer, found, question = written.partition("\nQuestion:")
        answer, question = answer.strip(), " ".join(question.split())
        words = question.split()
        fit = (
            bool(found and answer)
            and len(answer.split()) <= self._config.most_words
            and answer in text
            and answer.lower() not in question.lower()
            and 4 <= len(words) <= 30
            and stands_alone(question)
        )
        return (answer, question) if fit else None

    def _chosen(
        self, texts: Sequence[str], pairs: Sequence[Sequence[tuple[str, str]]]
    ) -> Iterator[GeneratedQuestions]:
        """The pairs whose answer the model itself finds likely, each answer and question once."""
        flat = [(at, *pair) for at, own in enumerate(pairs) for pair in dict.fromkeys(own)]
        likely: list[float] = []
        size = max(self._config.asked_at_once // _SCORED, 1)
        for first in range(0, len(flat), size):
            part = [
                (self._answer_prompt(texts[at], question), [*self._encode(f" {answer}"), self._end])
                for at, answer, question in flat[first : first + size]
            ]
            likely += torch.exp(-self._losses(*self._padded(part))).tolist()
        kept: list[dict[str, Question]] = [{} for _ in texts]
        ranked = sorted(zip(likely, flat, strict=True), key=lambda one: -one[0])
        for probability, (at, answer, question) in ranked:
            if probability >= self._config.least_probability:
                kept[at].setdefault(answer.lower(), Question(question, (answer,)))
        for text, own in zip(texts, kept, strict=True):
            yield GeneratedQuestions(text, tuple(own.values()), self._config.each)


def stands_alone(question: str) -> bool:
    """Whether a question says whom or what it is about: "What did he say?" cannot be looked up."""
    names = re.findall(r"(?<=\s)[A-Z0-9][\w'’-]+", question)
    return bool(names) or not _OPEN.search(question)


def with_questions(
    passages: Sequence[Passage], parts: Sequence[str], asked: Sequence[GeneratedQuestions]
) -> list[Passage]:
    """Passages with their own questions and those generated about their excerpts, then other texts with
    theirs; those without a question are dropped.

    Args:
        parts: the excerpt of each passage that was asked about.
    """
    by_text: dict[str, list[Question]] = {}
    for one in asked:
        by_text.setdefault(one.text, []).extend(one.questions)
    merged = [
        replace(passage, questions=(*passage.questions, *by_text.pop(part, ())))
        for passage, part in zip(passages, parts, strict=True)
    ]
    merged += [Passage(text, tuple(questions)) for text, questions in by_text.items()]
    return [passage for passage in merged if passage.questions]
