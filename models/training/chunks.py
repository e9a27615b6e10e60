"""Chunks of training text: passages with their questions, made-up facts and pages of books, as ids.

Works with a tokenizer; handles no tensors.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.prompts import REFUSAL
from models.training.cloze import clozes
from models.training.data import Encoder, Passage, Question
from models.training.facts import FactMaker
from models.training.near_misses import leave_out
from models.training.topics import by_topic, tf_idf


@dataclass(frozen=True, slots=True)
class ChunkText:
    """One chunk's ids and the questions that its text answers."""

    ids: tuple[int, ...]
    questions: tuple[Question, ...]
    """Near misses are among them, with the refusal as their answer."""
    following: tuple[int, ...] = ()
    """What follows the chunk's book text in the book; empty without any."""


@dataclass(frozen=True)
class Corpus:
    """The text that chunks are made from; many streams share one."""

    passages: Sequence[Passage]
    books: Sequence[str]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The TF-IDF vectors of the passages, see `models.training.topics`."""
        return tf_idf([passage.text for passage in self.passages])


@dataclass(frozen=True, slots=True)
class Mix:
    """What chunks are mixed of, as `TrainingConfig` describes it."""

    facts: float = 0.0
    """Share of passages that are made-up facts."""
    padding: float = 0.3
    """Chance after each passage that the rest of the chunk is book text."""
    clozes: int = 0
    """Cloze questions made from the sentences of each passage and page, at most."""
    near_misses: float = 0.0
    """Share of passages and facts that lack what one of their questions asks for."""
    sisters: float = 0.0
    """Share of unanswerable questions that are about the next passage."""
    passage_questions: int = 0
    """Questions drawn each time a passage is read, at most; 0: all."""
    topics: int = 0
    """Number of topics to draw passages by, one after the other; 0: in random order."""


class ChunkMaker:
    """Packs chunks of at most `size` ids: passages with their questions, facts, and book text.

    Deterministic for a seed; `state` and `restore` let a run resume.
    """

    def __init__(self, encode: Encoder, corpus: Corpus, size: int, mix: Mix, *, seed: int) -> None:
        self._encode, self._size, self._mix = encode, size, mix
        self._corpus, self._passages, self._books = corpus, corpus.passages, corpus.books
        self._random = random.Random(seed)
        self._fact_maker = FactMaker(seed)
        self._order: list[int] = []

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as JSON values."""
        version, internal, gauss = self._random.getstate()
        return {"order": list(self._order), "random": [version, list(internal), gauss]}

    def restore(self, state: dict[str, Any]) -> None:
        version, internal, gauss = state["random"]
        self._order = list(state["order"])
        self._random.setstate((version, tuple(internal), gauss))
        self._fact_maker = FactMaker(self._random.getrandbits(32))  # new names: theirs are not kept
        self._random.setstate((version, tuple(internal), gauss))

    def chunk(self) -> ChunkText:
        """The next chunk, full."""
        parts: list[tuple[list[int], tuple[Question, ...]]] = []
        following: list[int] = []
        left = self._size
        while left >= 24:
            if self._random.random() < self._mix.facts or not self._passages:
                ids, questions = self._fact_part(left)
            else:
                ids, questions = self._passage_part(left)
            if not ids:
                break
            parts.append((ids, questions))
            left -= len(ids)
            if self._random.random() < self._mix.padding:
                break
        if left > 0:
            page, asked, following = self._book_part(left)
            parts.append((page, asked))
        self._random.shuffle(parts)
        ids = [token for part, _ in parts for token in part][: self._size]
        questions = tuple(question for _, asked in parts for question in asked)
        return ChunkText(tuple(ids), questions, tuple(following))

    def stray_question(self) -> Question | None:
        """A question whose passage is most likely not in memory."""
        if not self._passages:
            return None
        if self._mix.sisters and self._order and self._random.random() < self._mix.sisters:
            passage = self._passages[self._order[-1]]
        else:
            passage = self._random.choice(self._passages)
        return self._random.choice(passage.questions) if passage.questions else None

    def _passage_part(self, room: int) -> tuple[list[int], tuple[Question, ...]]:
        if not self._order and self._mix.topics:
            self._order = by_topic(self._corpus.vectors, self._mix.topics, self._random)
        elif not self._order:
            self._order = list(range(len(self._passages)))
            self._random.shuffle(self._order)
        passage = self._passages[self._order.pop()]
        length = len(self._encode(passage.text + "\n\n"))
        if length > room:
            if room < min(length, self._size // 2):
                return [], ()
            return self._written(*self._window(passage, room), room)
        return self._written(passage, passage.text, room)

    def _written(
        self, passage: Passage, clozed: str, room: int
    ) -> tuple[list[int], tuple[Question, ...]]:
        """A passage as at most `room` ids, perhaps without a sentence, and its questions.

        Args:
            clozed: the text that clozes are made from, unless a sentence is left out.
        """
        missed = self._missed(passage)
        if missed is not None:
            passage, clozed = missed, ""
        asked = passage.questions
        if 0 < self._mix.passage_questions < len(asked):
            asked = tuple(self._random.sample(asked, self._mix.passage_questions))
        ids = self._encode(passage.text + "\n\n")[:room]
        return ids, (*asked, *self._cloze_questions(clozed))

    def _missed(self, passage: Passage) -> Passage | None:
        """The passage without a sentence; None unless it is drawn and has one to leave out."""
        if not self._mix.near_misses or self._random.random() >= self._mix.near_misses:
            return None
        questions = passage.questions
        left = leave_out(passage.text, [question.answers for question in questions], self._random)
        if left is None:
            return None
        missed = (Question(questions[number].text, (REFUSAL,)) for number in left.missed)
        return Passage(left.text, (*missed, *(questions[number] for number in left.kept)))

    def _window(self, passage: Passage, room: int) -> tuple[Passage, str]:
        """An excerpt of a long passage with the questions whose answer it holds word for word, and the
        part of it that is certain to fit `room` ids."""
        text = passage.text
        start = self._random.randrange(max(len(text) - 3 * room, 1))
        start = text.rfind(". ", 0, start) + 1
        kept = text[start : start + 3 * room].lower()
        found = tuple(q for q in passage.questions if any(a.lower() in kept for a in q.answers))
        part = Passage(text[start : start + 6 * room].strip(), found)
        return part, text[start : start + 3 * room]

    def _cloze_questions(self, text: str) -> tuple[Question, ...]:
        made = clozes(text, self._mix.clozes, self._random) if self._mix.clozes else []
        return tuple(Question(question, (answer,)) for question, answer in made)

    def _fact_part(self, room: int) -> tuple[list[int], tuple[Question, ...]]:
        facts = [self._fact_maker.fact() for _ in range(self._random.randint(1, 5))]
        if self._books:
            sentences = [f"{self._book_sentence()} {fact.sentence}" for fact in facts]
        else:
            sentences = [fact.sentence for fact in facts]
        ids: list[int] = []
        questions: list[Question] = []
        for sentence, fact in zip(sentences, facts, strict=True):
            more = self._encode(sentence + "\n\n")
            if len(ids) + len(more) > room:
                break
            ids += more
            questions.append(Question(fact.question, (fact.answer,)))
        if self._mix.near_misses and self._random.random() < self._mix.near_misses:
            questions.append(Question(self._fact_maker.fact().question, (REFUSAL,)))
        return ids, tuple(questions)

    def _book_sentence(self) -> str:
        text = self._random.choice(self._books)
        at = self._random.randrange(max(len(text) - 400, 1))
        start = text.find(". ", at) + 2
        stop = text.find(". ", start + 20)
        return " ".join(text[start : min(stop + 1, start + 300)].split())

    def _book_part(self, room: int) -> tuple[list[int], tuple[Question, ...], list[int]]:
        """Exactly `room` ids of running text, the questions about it, and some ids that follow it."""
        texts = self._books or [passage.text for passage in self._passages]
        ids: list[int] = []
        questions: list[Question] = []
        while (left := room - len(ids)) > 0:
            text = self._random.choice(texts)
            at = self._random.randrange(max(len(text) - 8 * room, 1))
            start = text.find("\n", at) + 1
            page = text[start : start + 8 * room]
            ids += self._encode(" ".join(page.split()) + "\n\n")
            questions += self._cloze_questions(page[: 3 * left])
        return ids[:room], tuple(questions), ids[room:]
