"""A question's words in the texts of a memory, and what they add to the scores of its chunks.

Works on texts; asks a session only whether its model was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mplus_cli.asking.confidence import Calibration
from mplus_cli.asking.lexical import Match, match_words
from mplus_cli.asking.question import Question
from mplus_cli.runtime.session import Session

UNTRAINED_WEIGHT = 10.0
"""What a unit of BM25 weighs where the base was never trained on memory. The similarity of a question token
to a chunk is at most 1 beside it, so it decides only between chunks whose words match equally well."""


@dataclass(frozen=True, slots=True)
class Words:
    """The matches of a question's words in the texts of a memory."""

    calibration: Calibration | None = None
    """None: answers have no confidence."""
    matches: tuple[Match, ...] = ()
    """For every chunk, of the question's words alone, as confidence was fitted."""
    prior: Mapping[int, float] | None = None
    """What they add to the chunks' scores."""

    @classmethod
    def find(
        cls,
        weights: tuple[float, float] | None,
        question: Question,
        texts: Sequence[str],
        calibration: Calibration | None,
    ) -> Words:
        """Match a question's words; for finding, those of the question before it in a chat too.

        Args:
            weights: of `word_weights`.
        """
        if weights is None:
            return cls()
        matches = looked_up = match_words(question.text, texts)
        if question.turns:
            looked_up = match_words(f"{question.turns[-1][0]} {question.text}", texts)
        by_score, by_window = weights
        prior = {
            number: by_score * match.bm25 + by_window * match.coverage
            for number, match in enumerate(looked_up)
        }
        return cls(calibration, tuple(matches), prior)


def word_weights(session: Session, calibration: Calibration | None) -> tuple[float, float] | None:
    """What a question's words add to a chunk's score, for their BM25 and for the best window; None: nothing.

    For an untrained base, whose states tell less than words do, they decide.
    """
    if calibration is not None:
        return calibration.words
    is_trained = session.loaded.trained or session.model.config.recall == "tokens"
    return None if is_trained else (UNTRAINED_WEIGHT, 0.0)
