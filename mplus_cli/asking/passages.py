"""The sentences of a text that fit a question best, and where its answer stands in them.

A passage is a few whole sentences. It is scored by how much of the question its memory tokens hold, as the
retriever sees them, by the words that it shares with the question, and by where attention heads look that
have read the question behind the text, where the checkpoint has weights for them. Works on text and numbers;
needs no model and no memory.

Shapes: q question tokens of all retriever layers, c memory tokens of the text, F figures of attention heads.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

from mplus_cli.asking.lexical import find_words, match_words
from mplus_cli.documents.headings import looks_like_heading
from mplus_cli.documents.sentences import split_sentences

if TYPE_CHECKING:
    from torch import Tensor

    from models.reranker import Attended

Span = tuple[int, int]
"""A span of characters in a text: start and stop."""

SHARED_WORDS = 4.0
"""Bonus of a passage that holds every word of the question, in standard deviations of the retriever's
scores. Chosen on SQuAD's development passages, as are the next two."""
NAMED = 0.5
"""Bonus of a passage that holds every answer that was considered, likewise: of one that holds some, their
share of the odds. Chosen on FairytaleQA's training stories."""
IN_PART = 100.0
"""Bonus of a passage of the page or chapter that the question names: more than all others together."""
LEAST_SHARE = 0.02
"""Answers with a smaller share are not looked for."""
FEW = 3
"""A passage has up to so many sentences, whatever their length,"""
SENTENCES = 5
"""or up to so many, as those of a dialogue are short,"""
LONGEST = 450
"""if they have no more characters than this."""
CUT = 700
"""Most characters of any passage: a longer sentence is a table or a list."""

_LINE = re.compile(r"([^\n]+)\n\s*")


@dataclass(frozen=True, slots=True)
class Passage:
    """A few whole sentences of a text."""

    span: Span
    answer: Span | None
    """The span of the answer, in the passage or else in the text; None if it is in neither."""
    second: Span | None = None
    """The best passage that does not overlap this one; None if there is none."""


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text whose passages were scored for a question."""

    text: str
    passages: tuple[Span, ...]
    scores: tuple[float, ...]
    coverage: tuple[float, ...]
    """The share of the question's words that each passage holds, 0 to 1."""
    shared: tuple[Span, ...]
    """The spans of these words."""

    def best(
        self, answer: str = "", considered: Sequence[tuple[str, float]] = ()
    ) -> Passage | None:
        """The passage that fits the question best, of those with the answer if there are any; None for a
        text without words.

        Args:
            considered: answers, each with its share of all their odds.
        """
        if not self.passages:
            return None
        places = find_words(self.text, answer)
        held = [next((p for p in places if _holds(span, p)), None) for span in self.passages]
        known, scores = any(held), self._with_answers(considered)
        number = max(range(len(held)), key=lambda at: (known and held[at] is not None, scores[at]))
        span, place = self.passages[number], held[number]
        shown = _shortened(self.text, span, place or self.shared[number])
        return Passage(
            _without_headings(self.text, shown, place),
            place or next(iter(places), None),
            self._second(span, scores),
        )

    def preferring(self, part: Span) -> ScoredText:
        """The same, where passages that begin in a part of the text fit better than all others."""
        scores = tuple(
            score + IN_PART * (part[0] <= start < part[1])
            for score, (start, _) in zip(self.scores, self.passages, strict=True)
        )
        return replace(self, scores=scores)

    def only(self, part: Span) -> ScoredText:
        """The same, with the passages that begin in a part of the text; if none does, with those that go on
        into it."""
        inside = [part[0] <= start < part[1] for start, _ in self.passages]
        if not any(inside):
            inside = [start < part[1] and part[0] < stop for start, stop in self.passages]
        return replace(
            self,
            passages=tuple(compress(self.passages, inside)),
            scores=tuple(compress(self.scores, inside)),
            coverage=tuple(compress(self.coverage, inside)),
            shared=tuple(compress(self.shared, inside)),
        )

    def _with_answers(self, considered: Sequence[tuple[str, float]]) -> list[float]:
        """The scores, with what each passage holds of the answers that were considered."""
        scores = list(self.scores)
        for answer, share in considered:
            places = find_words(self.text, answer) if share >= LEAST_SHARE else []
            for at, span in enumerate(self.passages if places else ()):
                scores[at] += NAMED * share * any(_holds(span, place) for place in places)
        return scores

    def _second(self, first: Span, scores: Sequence[float]) -> Span | None:
        """The best passage that shares nothing with the first."""
        apart = [
            at
            for at, (start, stop) in enumerate(self.passages)
            if stop <= first[0] or first[1] <= start
        ]
        if not apart:
            return None
        number = max(apart, key=scores.__getitem__)
        shown = _shortened(self.text, self.passages[number], self.shared[number])
        return _without_headings(self.text, shown)

    def best_few(self, count: int, most: int = CUT) -> list[Span]:
        """The best passages that share nothing, at most `count`, in the order of the text.

        Args:
            most: characters of each; a longer one is cut around the question's words.
        """
        return sorted(span for _, span in best_of_all([self], [self.scores], count, most))


def best_of_all(
    texts: Sequence[ScoredText],
    scores: Sequence[Sequence[float]],
    count: int,
    most: int = CUT,
    apart: Sequence[tuple[int, Span]] = (),
) -> list[tuple[int, Span]]:
    """The best passages of n texts that share nothing, at most `count` together, best first: each with the
    number of its text.

    Args:
        scores: of each text's passages, comparable between texts.
        most: as of `ScoredText.best_few`.
        apart: with which they share nothing either.
    """
    ranked = sorted(
        (-score, number, at) for number, own in enumerate(scores) for at, score in enumerate(own)
    )
    found: list[tuple[int, Span]] = []
    for _, number, at in ranked:
        text, (start, stop) = texts[number], texts[number].passages[at]
        if len(found) == count:
            break
        if all(stop <= a or b <= start for own, (a, b) in (*apart, *found) if own == number):
            span = _shortened(text.text, (start, stop), text.shared[at], most)
            found.append((number, span))
    return found


def score_text(
    question: str,
    text: str,
    similarities: Tensor | None = None,
    offsets: Sequence[Span] = (),
    *,
    attended: Attended | None = None,
    headings: Sequence[Span] = (),
    longest: int | None = None,
) -> ScoredText:
    """Score the passages of a text for a question.

    Args:
        similarities: of the question's tokens to the text's memory tokens (q, c), in order; None if
            unknown.
        offsets: of the text's tokens.
        attended: how attention heads look at the memory tokens, in order (F, c); None if unknown, and not
            looked at without similarities.
        headings: where there are any in the text, in order; no passage holds one.
        longest: characters of a passage of more than one sentence, at most; None: as in `split_passages`.
    """
    passages = tuple(split_passages(text, headings, longest))
    matches = match_words(question, [text[start:stop] for start, stop in passages])
    scores = [SHARED_WORDS * match.coverage for match in matches]
    if similarities is not None and similarities.numel() and len(passages) > 1 and offsets:
        runs = memory_tokens(passages, similarities.shape[1], [start for start, _ in offsets])
        gains = [_similar(runs, similarities)] + ([attended.of_runs(runs)] if attended else [])
        scores = [sum(parts) for parts in zip(scores, *gains, strict=True)]
    shared = tuple(
        (start + match.start, start + match.stop)
        for (start, _), match in zip(passages, matches, strict=True)
    )
    coverage = tuple(match.coverage for match in matches)
    return ScoredText(text, passages, tuple(scores), coverage, shared)


def split_passages(
    text: str, headings: Sequence[Span] = (), longest: int | None = None
) -> Iterator[Span]:
    """Every sentence of a text, and every few in a row that are not too long together, without headings.

    Args:
        longest: characters of a passage of more than one sentence, at most; None: `CUT` for one of `FEW`
            sentences, else `LONGEST`.
    """
    edges = [0, *(edge for heading in headings for edge in heading), len(text)]
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        sentences = [(begin + a, begin + b) for a, b in split_sentences(text[begin:end])]
        for first, (start, _) in enumerate(sentences):
            for number, (_, stop) in enumerate(sentences[first : first + SENTENCES]):
                most = longest or (CUT if number < FEW else LONGEST)
                if not number or stop - start <= most:
                    yield start, stop


def first_passage(text: str, part: Span, headings: Sequence[Span] = ()) -> Span | None:
    """The longest passage that a part of a text begins with; None if it has no words but its headings."""
    start, stop = part
    inside = [heading for heading in headings if start <= heading[0] and heading[1] <= stop]
    spans = list(split_passages(text, [(0, start), *inside, (stop, len(text))]))
    if not spans:
        return None
    longest = max(span for span in spans if span[0] == spans[0][0])
    return _without_headings(text, _shortened(text, longest, (longest[0], longest[0])))


def memory_tokens(passages: Sequence[Span], count: int, starts: Sequence[int]) -> list[Span]:
    """The first memory token of each passage and the one behind its last, of `count` that stand for equally
    many text tokens each.

    Args:
        starts: of the text's tokens.
    """
    ratio, runs = len(starts) / count, []
    for start, stop in passages:
        first = min(int(bisect_left(starts, start) / ratio), count - 1)
        behind = min(math.ceil(bisect_left(starts, stop) / ratio), count)
        runs.append((first, max(behind, first + 1)))
    return runs


def _similar(runs: Sequence[Span], similarities: Tensor) -> list[float]:
    """How well the memory tokens of each passage fit the question: the sum of each question token's best
    similarity, as a chunk is scored, in standard deviations from the mean."""
    sums = [float(similarities[:, first:behind].amax(dim=1).sum()) for first, behind in runs]
    mean = sum(sums) / len(sums)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in sums) / (len(sums) - 1))
    return [(value - mean) / (deviation or 1.0) for value in sums]


def _shortened(text: str, span: Span, centre: Span, most: int = CUT) -> Span:
    """A span cut to the words around its centre, if it has more characters than `most`."""
    start, stop = span
    if stop - start <= most:
        return span
    middle = (centre[0] + centre[1]) // 2
    low = max(start, min(middle - most // 2, stop - most))
    high = low + most
    words = [found.span() for found in re.finditer(r"\S+", text[low:high])]
    inner = words[low > start : len(words) - (high < stop)] or words
    return low + inner[0][0], low + inner[-1][1]


def _without_headings(text: str, span: Span, answer: Span | None = None) -> Span:
    """A span without the headings that it begins with and no place records, down to the line that holds the
    answer. Above text that is all in capitals, as in a telegram, nothing is a heading."""
    start, stop = span
    while line := _LINE.match(text, start, stop):
        is_text = any(one.isalpha() and not one.isupper() for one in text[line.end() : stop])
        if not (is_text and looks_like_heading(line[1])) or (answer and answer[0] < line.end()):
            break
        start = line.end()
    return start, stop


def _holds(span: Span, place: Span) -> bool:
    return span[0] <= place[0] and place[1] <= span[1]
