"""How answers are scored: the official metrics of the data sets, in code of our own.

SQuAD's normalisation, exact match and F1 (Rajpurkar et al. 2016), which LongBench and InfiniteBench
use too; LongBench's and InfiniteBench's counting metrics; RULER's string match; ROUGE-L as NarrativeQA
reports it. Knows text only.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from models import matching
from models.matching import normalise
from models.prompts import REFUSAL

Metric = Callable[[str, Sequence[str]], float]
"""An answer and the gold answers to a score of 0 to 1."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NUMBER = re.compile(r"\d+")
_LETTERS = "ABCD"
_LEADS = ("answer is:", "answer:", "answer is", "option is")
_NO_MARKS = str.maketrans(dict.fromkeys("\n\"'.,?!{}", " "))
_ROUGE_BETA = 1.2
"""Weight of recall in ROUGE-L, as in the evaluation code of COCO captions, which NarrativeQA used."""


def exact(answer: str, golds: Sequence[str]) -> float:
    """SQuAD's exact match with the best gold answer."""
    return float(matching.exact(answer, golds))


def f1(answer: str, golds: Sequence[str]) -> float:
    """SQuAD's token F1 with the best gold answer; also LongBench's and InfiniteBench's."""
    return max((_f1(answer, gold) for gold in golds), default=0.0)


def hit(answer: str, golds: Sequence[str]) -> float:
    """Whether a gold answer occurs in the answer, word for word after normalisation."""
    return float(matching.hit(answer, golds))


def refused(answer: str) -> bool:
    """Whether the answer is that the text does not say."""
    return normalise(REFUSAL) in normalise(answer)


def first_line_f1(answer: str, golds: Sequence[str]) -> float:
    """F1 of the first line (LongBench's few-shot data sets)."""
    return f1(answer.lstrip("\n").split("\n")[0], golds)


def longbench_count(answer: str, golds: Sequence[str]) -> float:
    """The share of the answer's numbers that are right (LongBench passage_count)."""
    return max((_share_of_numbers(answer, gold) for gold in golds), default=0.0)


def longbench_retrieval(answer: str, golds: Sequence[str]) -> float:
    """The same for the number in "Paragraph 12" (LongBench passage_retrieval_en)."""
    numbers = [re.findall(r"Paragraph (\d+)", gold) for gold in golds]
    return max((_share_of_numbers(answer, found[0]) for found in numbers if found), default=0.0)


def first_number(answer: str, golds: Sequence[str]) -> float:
    """Whether the first number is right (InfiniteBench passkey and number_string)."""
    found = _NUMBER.search(answer)
    return float(found is not None and found.group() in golds)


def choice(answer: str, golds: Sequence[str]) -> float:
    """Whether the right option is chosen (InfiniteBench longbook_choice_eng).

    Args:
        golds: the option's text and its letter.
    """
    if answer[:1] and answer[0] in _LETTERS:
        return float(answer[0] in golds)
    said = re.sub(" +", " ", answer.translate(_NO_MARKS))
    for lead in _LEADS:
        at = said.find(lead)
        if at >= 0:
            return float(said[at + len(lead) + 1 :].startswith(tuple(golds)))
    letters = [word for word in said.split() if word in _LETTERS]
    return float(bool(letters) and letters[0] in golds)


def match_all(answer: str, golds: Sequence[str]) -> float:
    """The share of golds that occur, whatever the case (RULER's string_match_all)."""
    said = answer.lower()
    return sum(gold.lower() in said for gold in golds) / max(len(golds), 1)


def match_any(answer: str, golds: Sequence[str]) -> float:
    """Whether any gold occurs, whatever the case (RULER's string_match_part)."""
    said = answer.lower()
    return float(any(gold.lower() in said for gold in golds))


def rouge_l(answer: str, golds: Sequence[str]) -> float:
    """ROUGE-L over lower-case words without punctuation: best precision and best recall of the golds."""
    said = answer.lower().translate(_PUNCTUATION).split()
    references = [gold.lower().translate(_PUNCTUATION).split() for gold in golds]
    common = [(_common(said, gold), len(gold)) for gold in references if gold]
    if not said or not common:
        return 0.0
    precision = max(length for length, _ in common) / len(said)
    recall = max(length / of for length, of in common)
    if not precision or not recall:
        return 0.0
    square = _ROUGE_BETA**2
    return (1 + square) * precision * recall / (recall + square * precision)


METRICS: dict[str, Metric] = {
    "hit": hit,
    "exact": exact,
    "f1": f1,
    "first-line-f1": first_line_f1,
    "count": longbench_count,
    "retrieval": longbench_retrieval,
    "first-number": first_number,
    "choice": choice,
    "match-all": match_all,
    "match-any": match_any,
    "rouge-l": rouge_l,
}


def _f1(answer: str, gold: str) -> float:
    said, wanted = normalise(answer).split(), normalise(gold).split()
    same = sum((Counter(said) & Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _share_of_numbers(answer: str, gold: str) -> float:
    numbers = _NUMBER.findall(answer)
    return sum(number == gold for number in numbers) / len(numbers) if numbers else 0.0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for at, candidate in enumerate(other, start=1):
            kept = row[at]
            row[at] = before + 1 if word == candidate else max(row[at], row[at - 1])
            before = kept
    return row[-1]
