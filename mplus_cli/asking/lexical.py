"""Matches a question's words in texts: BM25 over stemmed words, and the window with most of them.

There is no index: a question has few content words, and searching the texts for them takes milliseconds,
whichever version wrote them. Works on text alone.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

K1, B = 1.5, 0.75
"""BM25's constants, the usual ones (Robertson and Zaragoza 2009)."""
WINDOW = 240
"""Characters of a window, some forty words."""

WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(
    "a about all also an and any are as at be been being but by can could did do does for from get give "
    "had has have he her hers him his how i if in into is it its kind many may me might more most much my "
    "name no not of on one or other our out over she should so some such than that the their them then "
    "there these they this those to two type up upon us was we were what when where which while who whom "
    "whose why will with would you your s t d ll re ve".split()
)
_BEGIN = re.compile(r"(?<!\S)\S")
_VOWEL = re.compile(r"[aeiouy]")
_ARTICLE = re.compile(r"^(?:the|an?)\s+", re.IGNORECASE)


def end_of(text: str, start: int) -> str:
    """The end of a text, from the first word that begins at a place or behind it; all behind that place if
    none does."""
    word = _BEGIN.search(text, start)
    return text[word.start() if word else start :]


@dataclass(frozen=True, slots=True)
class Match:
    """How a text matches a question's words."""

    bm25: float
    coverage: float
    """The share of the question's words, weighed by how rare they are, in the best window: 0 to 1."""
    start: int
    stop: int
    """The span of that window's words in the text; both 0 if it has none."""
    places: tuple[tuple[int, int, int], ...]
    """The span of each of its words, and which word it is, in order."""
    weights: tuple[float, ...]
    """The rarity of each of the question's words, the same in all texts; they add up to 1."""

    def near(self, start: int, stop: int) -> float:
        """The share of the question's words around a stretch of the text, but not in it: 0 to 1."""
        around = {
            word
            for begin, end, word in self.places
            if start - WINDOW // 2 <= begin < stop + WINDOW // 2 and not start <= begin < stop
        }
        return sum(self.weights[word] for word in around)

    def share(self, start: int, stop: int) -> float:
        """The share of the question's words in a stretch of the text: 0 to 1."""
        inside = {word for begin, _, word in self.places if start <= begin < stop}
        return sum(self.weights[word] for word in sorted(inside))


def telling_words(question: str) -> list[str]:
    """The stems of a question's content words, each once."""
    words = [word for word in WORD.findall(question.lower()) if word not in _STOP]
    return list(dict.fromkeys(map(stem, words)))


def match_words(question: str, texts: Sequence[str]) -> list[Match]:
    """The match of the question's words in each text."""
    starts = [0, *accumulate(len(text) + 1 for text in texts)]
    whole = "\n".join(texts).lower()
    if len(whole) != max(starts[-1] - 1, 0):  # a letter whose lower-case form is two characters
        whole = "\n".join(map(_lower, texts))
    found: list[list[tuple[int, int, int]]] = [[] for _ in texts]
    words = telling_words(question)
    weights = []
    for number, wanted in enumerate(words):
        holders = set()
        for start, stop in _places(whole, wanted):
            owner = bisect_right(starts, start) - 1
            holders.add(owner)
            found[owner].append((start - starts[owner], stop - starts[owner], number))
        weights.append(math.log(1 + (len(texts) - len(holders) + 0.5) / (len(holders) + 0.5)))
    mean = sum(map(len, texts)) / max(len(texts), 1)
    total = sum(weights)
    shares = tuple(weight / total for weight in weights)
    matches = []
    for text, places in zip(texts, found, strict=True):
        counts = Counter(number for _, _, number in places)
        length = K1 * (1 - B + B * len(text) / mean) if mean else K1
        score = sum(
            weights[number] * count * (K1 + 1) / (count + length)
            for number, count in sorted(counts.items())
        )
        places.sort()
        held, (start, stop) = _best_window(places, shares)
        matches.append(Match(score, held, start, stop, tuple(places), shares))
    return matches


def stem(word: str) -> str:
    """A word in lower case without its common English endings."""
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        left = word.removesuffix(ending)
        if left != word and len(left) > 2 and _VOWEL.search(left):
            twice = left[-1] == left[-2] and left[-1] not in "lsz"
            word = left[:-1] if twice else left
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def find_words(text: str, answer: str) -> list[tuple[int, int]]:
    """Where the words of an answer stand in a text one after the other, whatever is between them
    besides words; without its leading article where the text has it nowhere with it."""
    found: list[tuple[int, int]] = []
    for wanted in (answer.strip(), _ARTICLE.sub("", answer.strip())):
        if not found and (words := WORD.findall(wanted)):
            pattern = r"[\W_]+".join(map(re.escape, words))
            places = re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)
            found = [place.span() for place in places]
    return found


def _places(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    """Where words (start, stop) with a stem stand in a text in lower case."""
    known: dict[str, bool] = {}
    for prefix in (wanted, wanted[:-1] + "i") if wanted.endswith("y") else (wanted,):
        for place in re.finditer(rf"{prefix}[^\W_]*", text):
            at, stop = place.span()
            if not at or not text[at - 1].isalnum():
                word = place[0]
                if word not in known:
                    known[word] = stem(word) == wanted
                if known[word]:
                    yield at, stop


def _best_window(
    places: Sequence[tuple[int, int, int]], weights: Sequence[float]
) -> tuple[float, tuple[int, int]]:
    """The weight of the different words that a window holds at most, and where these stand."""
    best, window = 0.0, (0, 0)
    counts: Counter[int] = Counter()
    first = 0
    for start, stop, word in places:
        counts[word] += 1
        while stop - places[first][0] > WINDOW and places[first][0] < start:
            counts[places[first][2]] -= 1
            first += 1
        held = sum(weights[number] for number in sorted(+counts))
        if held > best + 1e-9:
            best, window = held, (places[first][0], stop)
    return best, window


def _lower(text: str) -> str:
    """A text in lower case, of the same length."""
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
