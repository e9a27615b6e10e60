"""Questions that a model asks of any text: labelled questions are few, text is not.

A copy of the base learns two tasks from labelled passages: to put a question to a text (text ->
answer and question), and to answer one (text and question -> answer). Then it asks of any text,
and a question is kept where reading the text with it gives the answer back: round-trip
consistency, Alberti et al. 2019 (arXiv 1906.05416), with one model for both tasks. Knows text, ids and
a plain causal language model.

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
from models.training.optimiser import MasterAdamW, cosine
from models.training.rows import IGNORED

_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+")
_OPEN = re.compile(r"\b(?:he|she|it|they|him|her|his|them|their|this|these|i|you|we|my|me)\b", re.I)
_SCORED = 4
"""Examples read for their answer's probability take as much room as a quarter of those asked:
their logits are kept."""


@dataclass(frozen=True, slots=True)
class AskingConfig:
    """How questions are learned, asked and chosen."""

    window: int = 1000
    """Characters of text a question is put to, at most."""
    epochs: float = 2.0
    batch: int = 64
    """Examples a training step."""
    learning_rate: float = 1.5e-4
    warmup: int = 40
    each: int = 5
    """Questions asked of every text, before any is left out."""
    asked_at_once: int = 1024
    """Questions asked at a time."""
    temperature: float = 0.9
    top_k: int = 40
    most_ids: int = 44
    """Ids of an answer with its question, at most."""
    most_words: int = 8
    """Words of an answer, at most."""
    least_probability: float = 0.3
    """How likely the answer must be to whoever reads text and question."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """One training step."""

    step: int
    steps: int
    loss: float
    """Nats a target id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A text and those of its questions that were kept."""

    text: str
    questions: tuple[Question, ...]
    tried: int
    """How many questions were asked of it."""


class Asker:
    """A causal language model that learns to ask and to answer; its weights are changed.

    Args:
        llama: a `LlamaForCausalLM`.
        start: the id that texts begin with.
        end: the id that ends what the model writes.
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
            DataError: none of their answers stands in its passage.
        """
        config, draw = self._config, random.Random(self._config.seed)
        torch.manual_seed(config.seed)
        self._llama.requires_grad_(True)
        weights = [weight for weight in self._llama.parameters() if weight.requires_grad]
        optimiser = MasterAdamW([(weights, config.learning_rate)], weight_decay=0.0, clip=1.0)
        examples = [pair for passage in passages for pair in self._examples(passage, draw)]
        if not examples:
            raise DataError("there is nothing to learn from: no answer stands in its passage")
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
    def ask(self, texts: Sequence[str]) -> Iterator[Asked]:
        """Ask of texts of at most `window` characters; yields as many, longest first."""
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
        """Both tasks of every question of a passage whose answer stands in it."""
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
        """Ids (B, T) and what follows each (B, T), IGNORED where nothing is to be told."""
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
        """Nats of each example's target (B,). What pads stands behind: a causal mask is enough."""
        hidden = self._llama.model(input_ids=ids, use_cache=False).last_hidden_state
        asked = targets != IGNORED
        logits = self._llama.lm_head(hidden[asked]).float()
        losses = functional.cross_entropy(logits, targets[asked], reduction="none")
        rows = torch.arange(len(ids), device=ids.device)[:, None].expand(ids.shape)[asked]
        return losses.new_zeros(len(ids)).index_add(0, rows, losses)

    def _written(self, prompts: Sequence[list[int]]) -> list[list[str]]:
        """What the model writes after each prompt, `each` times."""
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
            # What did not come to its end is no question.
            texts.append(self._decode(row[: row.index(self._end)]) if self._end in row else "")
        return [texts[at : at + config.each] for at in range(0, len(texts), config.each)]

    def _parsed(self, written: str, text: str) -> tuple[str, str] | None:
        """Answer and question of what was written, where they are fit to be asked."""
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
    ) -> Iterator[Asked]:
        """Those that a reader of the text would answer so, each answer and question once."""
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
            yield Asked(text, tuple(own.values()), self._config.each)


def stands_alone(question: str) -> bool:
    """Whether a question says whom or what it is about: "What did he say?" cannot be looked up."""
    names = re.findall(r"(?<=\s)[A-Z0-9][\w'’-]+", question)
    return bool(names) or not _OPEN.search(question)


def around(text: str, at: int, size: int) -> str:
    """Whole sentences of a text around a place, at most `size` characters (or `size` of them)."""
    if len(text) <= size:
        return text
    starts = [0, *(match.end() for match in _SENTENCE.finditer(text)), len(text)]
    first = max(number for number, start in enumerate(starts[:-1]) if start <= at)
    last = first + 1
    while True:
        grown = False
        for begin, stop in ((first, last + 1), (first - 1, last)):
            if begin < 0 or stop >= len(starts):
                continue
            if starts[stop] - starts[begin] <= size:
                first, last, grown = begin, stop, True
        if not grown:
            break
    found = text[starts[first] : starts[last]].strip()
    if len(found) <= size:
        return found
    begin = max(min(at - size // 2, len(text) - size), 0)
    return text[begin : begin + size]


def windows(books: Sequence[str], count: int, size: int, seed: int) -> list[str]:
    """Stretches of whole sentences of at most `size` characters from anywhere in books, the longer
    the book the more."""
    draw = random.Random(seed)
    lengths = [len(book) for book in books]
    found: list[str] = []
    for book in draw.choices(books, lengths, k=count) if books else ():
        start = draw.randrange(max(len(book) - 2 * size, 1))
        stretch = " ".join(book[start : start + 2 * size].split())
        found.append(around(stretch, len(stretch) // 2, size))
    return found


def part_of(passage: Passage, size: int, draw: random.Random) -> str:
    """A stretch of a passage of at most `size` characters: all of it where it fits."""
    text = passage.text
    return around(text, draw.randrange(max(len(text), 1)), size)


def with_questions(
    passages: Sequence[Passage], parts: Sequence[str], asked: Sequence[Asked]
) -> list[Passage]:
    """Passages with what was asked of their parts beside their own questions, then other texts with
    theirs; what is left without a question is left out.

    Args:
        parts: of each passage the part that was asked of.
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
