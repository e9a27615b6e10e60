"""The kind of answer that a question asks for, and whether an answer is of that kind. English only."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["name", "number", "time", "choice", "verdict"]
"""`choice`: one of the things that the question offers; `verdict`: yes or no."""

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen hundred thousand million billion dozen score half halves quarter "
    "third fifth eighth ninth twelfth twice once none both single double several"
)
_TENS = "twent thirt fort fift sixt sevent eight ninet"
_TIMES = (
    "january february march april may june july august september october november december monday "
    "tuesday wednesday thursday friday saturday sunday second minute hour day night week month year "
    "century decade age morning evening afternoon noon midnight dawn sunrise sunset spring summer autumn "
    "winter christmas easter today tomorrow yesterday tonight before after during since until when while "
    "ago early late now then"
)
_WHOLE = "|".join(_NUMBERS.split())
_COUNTED = rf"\d|\b(?:{_WHOLE})(?:s|ths?|fold)?\b|\b(?:{'|'.join(_TENS.split())})(?:y|ies|ieth)\b"
"""A whole word that is a number, in figures or words: neither "tent" nor "oneself"."""
_NUMBER = re.compile(_COUNTED, re.IGNORECASE)
_TIME = re.compile(rf"{_COUNTED}|\b(?:{'|'.join(_TIMES.split())})s?\b", re.IGNORECASE)
_NAME = re.compile(r"(?<!\w)[A-Z]")

_VERDICT = re.compile(
    r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might)\b(?! you\b)"
)
_NUMERIC = re.compile(
    r"how (?:many|much|old|tall|long|far|high|deep|wide|big|large|often|fast)\b"
    r"|(?:what|which) (?:age|number|percentage|sum|price|distance|height|share|amount)\b"
)
_TIMELY = re.compile(r"when\b|(?:what|which) (?:year|day|date|month|time|century|decade)\b")
_NAMING = re.compile(r"who|(?:what|which)\b.*\b(?:names?|named|called|surname|nickname)\b")
_OFFERING = re.compile(
    r"\bor\b"
    r"|(?:^|, )between\b.+\band\b.+, (?:who|whom|whose|which)\b|\bwh(?:o|ich)\b.+, between\b.+\band\b"
    r"|\bwhich (?:one )?of\b.+\band\b"
)
"""Neither a distance "between A and B" nor "which of the boats", which offers nothing by name."""
_ASKING = re.compile(r"\b(?:who|whom|whose|what|which|when|where|why|how)\b")


def kind_of(question: str) -> Kind | None:
    """The kind of answer that a question asks for; None if its words do not say."""
    text = question.strip().lower()
    if _OFFERING.search(text):
        return "choice"
    if _VERDICT.match(text):
        return "verdict"
    asks = _ASKING.search(text)
    text = text[asks.start() :] if asks else ""
    if _NUMERIC.match(text):
        return "number"
    if _TIMELY.match(text):
        return "time"
    return "name" if _NAMING.match(text) else None


def fits(kind: Kind | None, answer: str) -> bool | None:
    """Whether an answer is of a kind; None if that cannot be decided."""
    if kind == "number":
        return bool(_NUMBER.search(answer))
    if kind == "time":
        return bool(_TIME.search(answer))
    if kind == "name":
        return bool(_NAME.search(answer))
    return None
