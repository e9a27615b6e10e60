"""Trains a reader of text: an adapter that has no memory and is shown passages in its prompt.

It gives the second opinion on an answer. It reads the same streams as the readers of memory, and is asked the
same questions about them; what differs is that a prompt holds all that it knows. So an answer is the span of
the passages that says what the gold answer says, and a question whose passages do not is not asked.

Shapes: B examples, T tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.attention import GROUPED
from models.decoder import Decoder
from models.merging import TEXT
from models.prompts import REFUSAL
from models.stack import Stack
from models.training.batch import Losses
from models.training.data import DataError, Question
from models.training.rows import Example, Rows, pack
from models.training.sampler import DrawSource
from models.training.stream import Draw, PastChunk, Stream
from models.training.trainee import reading_losses

TRIES = 100
"""Chunks in a row without a question that can be asked, before the data are blamed."""


class TextStream(Stream):
    """A stream whose questions are asked about the text that their prompt shows."""

    def state(self) -> dict[str, Any]:
        """As of `Stream`, with its past, so that a resumed run equals one that was not interrupted."""
        past = [
            [chunk.number, chunk.ids, [[one.text, one.answers] for one in chunk.questions]]
            for chunk in self._past
        ]
        return super().state() | {"past": past, "read": self._read}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._read = state["read"]
        self._past.clear()
        for number, ids, asked in state["past"]:
            questions = tuple(Question(text, tuple(answers)) for text, answers in asked)
            self._past.append(PastChunk(number, tuple(ids), questions))

    def draw(self) -> Draw:
        """The next step's part: examples alone.

        Raises:
            DataError: no question can be asked.
        """
        for _ in range(TRIES):
            text = self._maker.chunk()
            others = self._some(self._random.randint(0, self._config.distractors))
            present = [text.ids, *(chunk.ids for chunk in others)]
            asked = [
                self._shown(one.question, one.answer, present) for one in self._ask(text, others)
            ]
            self._keep(text)
            examples = tuple(example for example in asked if example is not None)
            if examples:
                return Draw(text.ids, (), (0,), examples, (), len(examples))
        raise DataError("no answer stands in the passages that a question is shown: check `qa`")

    def _shown(
        self, question: str, answer: str, present: Sequence[tuple[int, ...]]
    ) -> Example | None:
        """A question with the best passages of these chunks; None if they do not hold the answer."""
        wording = self._wording
        assert wording.passages is not None, "`TrainingConfig` checks"
        passages = wording.passages(question, present)
        target = REFUSAL if answer == REFUSAL else span_of(answer, passages)
        if target is None:
            return None
        prompt = wording.reread(question, passages)
        return Example(tuple(prompt), (*wording.encode(target), wording.end), "answer")


class TextSampler:
    """The batches of a run: the examples of all its streams, one a row."""

    def __init__(self, drawing: DrawSource, device: torch.device, *, pad: int) -> None:
        self._drawing, self._device, self._pad = drawing, device, pad

    def batch(self) -> Rows:
        """The next batch, on the model's device."""
        examples = [example for draw in self._drawing.next() for example in draw.examples]
        return pack([[example] for example in examples], self._pad).to(self._device)

    def remember(self, written: None) -> None:
        """Nothing is written."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as JSON values."""
        return {"streams": self._drawing.states()}

    def restore(self, state: dict[str, Any]) -> None:
        self._drawing.restore(state["streams"])

    def close(self) -> None:
        """Stop drawing."""
        self._drawing.close()


class TextTrainee(nn.Module):
    """A base with the reader's adapter injected, under the names that `Trainee` has.

    Args:
        attention: as of `Decoder`.
    """

    def __init__(self, stack: Stack, attention: str = GROUPED) -> None:
        super().__init__()
        self.llama = stack
        self.retriever = nn.Module()  # it has none
        self._reader = [Decoder(stack, TEXT, attention=attention)]

    def forward(self, rows: Rows) -> tuple[Losses, None]:
        answer, continuation = reading_losses(self._reader[0], self._read(rows), rows)
        nothing = torch.zeros((), device=answer.device)
        return Losses(answer, continuation, nothing, nothing), None

    def _read(self, rows: Rows) -> Tensor:
        """Hidden states (B, T, D) of the rows after the last layer."""
        reader = self._reader[0]
        alone = rows.mask(torch.empty(len(rows.ids), 0, dtype=torch.bool), reader.dtype)
        rotary = reader.rotary_at(rows.offsets)
        with reader.active():
            hidden = reader.embed(rows.ids)
            for index in range(reader.layers):
                hidden = reader.layer(index, hidden, rotary, alone, None)
        return hidden


def span_of(answer: str, text: str) -> str | None:
    """Where an answer stands in a text as whole words, as it is written there; None if it does not."""
    words = re.escape(answer.strip(" ."))
    found = re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) if words else None
    return None if found is None else found[0]


@torch.no_grad()
def held_out_loss(trainee: TextTrainee, batches: Sequence[Rows]) -> dict[str, float]:
    """A check of a run: the mean loss of batches that are never trained on, in nats a token."""
    losses = [float(trainee(rows)[0].answer) for rows in batches]
    return {"answer": sum(losses) / len(losses)}
