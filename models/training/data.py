"""Training text: passages with questions, books and made-up facts, packed into chunks of ids.

Reads JSON lines (plain or gzipped): passages as {"source", "id", "context", "qas": [{"question",
"answers": [...]}]}, books as {"title", "author", "text"}. Knows a tokenizer, no tensors.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.prompts import REFUSAL
from models.training.cloze import clozes
from models.training.facts import FactMaker
from models.training.near_misses import leave_out
from models.training.topics import by_topic, tf_idf


class Encoder(Protocol):
    """Text to ids, no special tokens added."""

    def __call__(self, text: str) -> list[int]: ...


class DataError(ValueError):
    """A data file that is missing or not in the documented form."""


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    text: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class ChunkText:
    """One chunk's ids with the questions its text answers."""

    ids: tuple[int, ...]
    questions: tuple[Question, ...]
    """What the text nearly answers is among them, with the refusal for an answer."""
    following: tuple[int, ...] = ()
    """What comes after the chunk's book text in the book; nothing where it has none."""


def read_lines(paths: Iterable[str | Path]) -> Iterator[dict[str, Any]]:
    """Records of JSON-lines files.

    Raises:
        DataError: a file is missing or a line is not a JSON object.
    """
    for path in map(Path, paths):
        opener: Any = gzip.open if path.suffix == ".gz" else open
        try:
            with opener(path, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise DataError(f"{path}:{number}: not a JSON object")
                    yield record
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None


def read_passages(paths: Iterable[str | Path]) -> list[Passage]:
    """Passages with questions.

    Raises:
        DataError: a record lacks a field.
    """
    passages = []
    for record in read_lines(paths):
        try:
            questions = tuple(
                Question(qa["question"].strip(), tuple(answer.strip() for answer in qa["answers"]))
                for qa in record["qas"]
                if qa["answers"]
            )
            passages.append(Passage(record["context"].strip(), questions))
        except (KeyError, TypeError) as error:
            raise DataError(f"passage {record.get('id', '?')}: missing {error}") from None
    return passages


def spans_only(passages: Iterable[Passage], words: int) -> list[Passage]:
    """Passages with those answers of at most `words` words that stand in them, and their questions."""
    kept = []
    for passage in passages:
        answered = []
        for question in passage.questions:
            spans = tuple(a for a in question.answers if _is_span(a, passage.text, words))
            if spans:
                answered.append(Question(question.text, spans))
        if answered:
            kept.append(Passage(passage.text, tuple(answered)))
    return kept


def _is_span(answer: str, text: str, words: int) -> bool:
    return len(answer.split()) <= words and answer.lower().strip(" .") in text.lower()


def read_books(paths: Iterable[str | Path]) -> list[str]:
    """The texts of whole books."""
    return [str(record["text"]) for record in read_lines(paths)]


@dataclass(frozen=True)
class Corpus:
    """What chunks are made of; many streams share one."""

    passages: Sequence[Passage]
    books: Sequence[str]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The passages by their words, see `models.training.topics`."""
        return tf_idf([passage.text for passage in self.passages])


class ChunkMaker:
    """Packs chunks of at most `size` ids: passages with their questions, facts, and book text.

    Deterministic for a seed; `state` and `restore` carry it over a pause.
    """

    def __init__(
        self,
        encode: Encoder,
        corpus: Corpus,
        size: int,
        *,
        facts: float,
        seed: int,
        topics: int = 0,
        padding: float = 0.3,
        clozes: int = 0,
        near_misses: float = 0.0,
        sisters: float = 0.0,
        passage_questions: int = 0,
    ) -> None:
        """Args:
        clozes: questions made of each passage's and page's own sentences, at most.
        near_misses: share of passages and facts that lack what one of their questions asks for.
        sisters: share of stray questions that are about the passage which comes next.
        passage_questions: questions of a passage at each reading of it, at most; 0: all.
        padding: chance after each passage that the rest of the chunk is book text.
        topics: draw passages topic by topic, of this many; 0: in random order.
        """
        self._encode, self._size, self._facts = encode, size, facts
        self._corpus, self._passages, self._books = corpus, corpus.passages, corpus.books
        self._topics, self._padding, self._clozes = topics, padding, clozes
        self._near_misses, self._sisters = near_misses, sisters
        self._passage_questions = passage_questions
        self._random = random.Random(seed)
        self._fact_maker = FactMaker(seed)
        self._order: list[int] = []

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here, as JSON values."""
        version, internal, gauss = self._random.getstate()
        return {"order": list(self._order), "random": [version, list(internal), gauss]}

    def restore(self, state: dict[str, Any]) -> None:
        version, internal, gauss = state["random"]
        self._order = list(state["order"])
        self._random.setstate((version, tuple(internal), gauss))
        self._fact_maker = FactMaker(self._random.getrandbits(32))

    def chunk(self) -> ChunkText:
        """The next chunk, full."""
        pieces: list[tuple[list[int], tuple[Question, ...]]] = []
        following: list[int] = []
        left = self._size
        while left >= 24:
            if self._random.random() < self._facts or not self._passages:
                ids, questions = self._fact_piece(left)
            else:
                ids, questions = self._passage_piece(left)
            if not ids:
                break
            pieces.append((ids, questions))
            left -= len(ids)
            if self._random.random() < self._padding:
                break
        if left > 0:
            page, asked, following = self._book_piece(left)
            pieces.append((page, asked))
        self._random.shuffle(pieces)
        ids = [token for piece, _ in pieces for token in piece][: self._size]
        questions = tuple(question for _, asked in pieces for question in asked)
        return ChunkText(tuple(ids), questions, tuple(following))

    def stray_question(self) -> Question | None:
        """A question whose passage is most likely nowhere near."""
        if not self._passages:
            return None
        if self._sisters and self._order and self._random.random() < self._sisters:
            passage = self._passages[self._order[-1]]
        else:
            passage = self._random.choice(self._passages)
        return self._random.choice(passage.questions) if passage.questions else None

    def _passage_piece(self, room: int) -> tuple[list[int], tuple[Question, ...]]:
        if not self._order and self._topics:
            self._order = by_topic(self._corpus.vectors, self._topics, self._random)
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
        """A passage as at most `room` ids, perhaps without a sentence, and what is asked of it.

        Args:
            clozed: the text that clozes are made of, where it is whole.
        """
        missed = self._missed(passage)
        if missed is not None:
            passage, clozed = missed, ""
        asked = passage.questions
        if 0 < self._passage_questions < len(asked):
            asked = tuple(self._random.sample(asked, self._passage_questions))
        ids = self._encode(passage.text + "\n\n")[:room]
        return ids, (*asked, *self._cloze_questions(clozed))

    def _missed(self, passage: Passage) -> Passage | None:
        """The passage without a sentence, for its share of passages that have one to leave out."""
        if not self._near_misses or self._random.random() >= self._near_misses:
            return None
        questions = passage.questions
        left = leave_out(passage.text, [question.answers for question in questions], self._random)
        if left is None:
            return None
        missed = (Question(questions[number].text, (REFUSAL,)) for number in left.missed)
        return Passage(left.text, (*missed, *(questions[number] for number in left.kept)))

    def _window(self, passage: Passage, room: int) -> tuple[Passage, str]:
        """A part of a long passage, with the questions whose answer it holds word for word, and what
        of it surely is within `room` ids."""
        text = passage.text
        start = self._random.randrange(max(len(text) - 3 * room, 1))
        start = text.rfind(". ", 0, start) + 1
        kept = text[start : start + 3 * room].lower()
        found = tuple(q for q in passage.questions if any(a.lower() in kept for a in q.answers))
        part = Passage(text[start : start + 6 * room].strip(), found)
        return part, text[start : start + 3 * room]

    def _cloze_questions(self, text: str) -> tuple[Question, ...]:
        made = clozes(text, self._clozes, self._random) if self._clozes else []
        return tuple(Question(question, (answer,)) for question, answer in made)

    def _fact_piece(self, room: int) -> tuple[list[int], tuple[Question, ...]]:
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
        if self._near_misses and self._random.random() < self._near_misses:
            questions.append(Question(self._fact_maker.fact().question, (REFUSAL,)))
        return ids, tuple(questions)

    def _book_sentence(self) -> str:
        text = self._random.choice(self._books)
        at = self._random.randrange(max(len(text) - 400, 1))
        start = text.find(". ", at) + 2
        stop = text.find(". ", start + 20)
        return " ".join(text[start : min(stop + 1, start + 300)].split())

    def _book_piece(self, room: int) -> tuple[list[int], tuple[Question, ...], list[int]]:
        """Exactly `room` ids of running text, what is asked of it, and some ids that follow it."""
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
