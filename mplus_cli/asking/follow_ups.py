"""Questions that follow others in a chat: which of them can be understood alone, and whom "he" refers to.

After "Who is the sexton?" and the answer "Ratsey", the question "Where did he live?" is answered as "Where
did Ratsey live?" would be. Relies on English words; needs no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from mplus_cli.asking.lexical import telling_words
from mplus_cli.asking.question import Question

Turn = tuple[str, str]
LONGEST = 500
"""Characters of a text that is looked at for names and pronouns; a longer one is left as it is."""

ENOUGH = 4
"""Words of a question besides "who", "the" and their kind with which it finds its place in a text by itself,
whoever "they" are."""

_WORD = r"[A-ZÀ-ÖØ-Þ](?:[a-z]{0,2}\.|[\w’'-]+)"
_NAME = rf"{_WORD}(?: (?:(?:of|the|de|da|van|von) )*{_WORD})*"
_BE = r"(?:is|are|was|were|be|been|being)"
_HELPING = "do|does|did|has|have|had|can|could|will|would|should|may|might|must"
_AUXILIARY = rf"(?:{_HELPING}|is|are|was|were)"
_THING = r"(?:the|an?|this|that|his|her|their|its|my|which|whose) \w+(?<!s)\b"
"""What may be a person; in the plural it is not "he"."""
_PREPOSITION = (
    r"(?:to|in|at|from|on|for|with|about|by|of|into|over|under|through|near|after|before)"
)
_CONJUNCTION = r"(?:when|before|after|while|because|since|if|that|where|as|until|so|and|but)"
_BEHIND_HER = rf"(?:{_PREPOSITION}|{_CONJUNCTION}|or|out|up|down|off|away|back|then|there)"

_LEAD = re.compile(r"^(?:(?:and|but|so|then|ok|okay|also|yes|no)\b[\s,]*)+", re.I)
_ASKING = re.compile(
    rf"\b(?:who|whom|whose|what|which|when|where|why|how)\b(?! about\b)|^{_AUXILIARY}\b", re.I
)
_MORE = re.compile(r"\b(?:else|instead)\b|\b(?:next|then|again|too|same)\W*$", re.I)
_SHORT = re.compile(rf"(?:\w+ )?(?:what|which|whose|how)(?: (?!{_AUXILIARY}\b)[\w-]+){{1,3}}", re.I)
"""A question without a verb, such as "In which town?"."""

_REFERENCE = re.compile(
    rf"\b(?P<subject>he|she)\b|\b(?P<owner>his|her(?= (?!{_BEHIND_HER}\b)[a-z]))\b"
    r"|\b(?P<object>him|her)\b|\b(?P<belonging>their|its)\b"
    r"|\b(?P<thing>it)\b|\b(?:they|them|hers|theirs)\b"
    rf"|(?<!is )(?<!are )(?<!was )(?<!were )(?<!be )\bthere\b(?! {_BE}\b)"
    r"|\b(?:that|this|those|these) (?:man|woman|boy|girl|child|men|women|children|person|gentleman|lady|"
    r"place|town|village|city|country|house|room|inn|island|ship|boat|book|letter|animal|thing|day|night|year|"
    r"time)\b|\b(?:that|this|those|these)\W*$|\b(?:do|does|did) (?:that|this)\b",
    re.I,
)
_EMPTY_IT = re.compile(
    rf"\btime (?:is|was) it\b|\bit (?:{_BE} )?(?:to|that|who|from|between|possible|true|rain|snow)\w*"
    r"|\b(?:do|does|did) it (?:take|matter|seem)\b",
    re.I,
)
_CLAUSE = re.compile(rf",|(?<=\w) (?=(?:{_CONJUNCTION}|which|who|whom)\b)", re.I)
_WHAT = re.compile(rf"(?:what|which)\b.* {_CONJUNCTION} $", re.I)
"""What "it" refers to in "What was he firing when it burst?"."""
_PERSON = re.compile(rf"(?<=\s)(?:{_NAME}|{_THING})|^[Ww]ho ")
_NOUN = re.compile(r"\b(?:the|an?|this|that|his|her|their|its|my|which|whose) \w+")
_SUBJECT = re.compile(
    rf"\b{_AUXILIARY} {_NAME}|\b(?:{_HELPING}) {_THING}|(?<=\s)(?:{_NAME}|{_THING}) (?:\w+ )*?{_AUXILIARY} \w"
)
"""What a pronoun later in the same clause may refer to."""

_NAMED = re.compile(rf"(?<=\s){_NAME}")
_ASKED_OF = re.compile(rf"\b{_AUXILIARY} (?P<name>{_NAME})")
_AS_OBJECT = re.compile(rf"\b(?!{_PREPOSITION}\b|the\b|an?\b)[a-z]+ {_NAME}")
_NAMING = re.compile(rf"((?:the )?{_NAME})(?<!['’]s)(?:(?:,| the\b| of\b).*)?", re.S)
_OWNER = re.compile(r"['’]s\b")
_WHO = re.compile(r"(?:who|whom|which)\b", re.I)
_WHO_OF_ANOTHER = re.compile(r"(?:who|whom)\b (?!is\b|was\b)", re.I)


def resolve(question: Question) -> Question:
    """A question as it would be asked on its own, without its earlier turns, with a name for a pronoun that
    refers to one person; with them, where it cannot be understood alone."""
    turns: list[Turn] = []
    for asked, answer in question.turns:
        turns.append((_with_name(asked, turns[-1]) if turns else asked, answer))
    text = _with_name(question.text, turns[-1]) if turns else question.text
    needed = tuple(turns) if _leans(text) else ()
    return replace(question, text=text, turns=needed)


def _leans(question: str) -> bool:
    """Whether a question is not to be answered without the turn before it."""
    if len(telling_words(question)) >= ENOUGH:
        return False
    if len(question) > LONGEST:
        return True
    core = _LEAD.sub("", question.strip())
    bare = core.rstrip(" ?!.")
    return bool(
        not _ASKING.search(core)
        or _MORE.search(core)
        or _SHORT.fullmatch(bare)
        or len(bare.split()) < 3
        or any(_references(core))
    )


def _references(question: str) -> Iterator[re.Match[str]]:
    """The pronouns, and words of their kind, that refer to nothing in the question itself."""
    empty = [match.span() for match in _EMPTY_IT.finditer(question)]
    has_own_person = False
    for match in _REFERENCE.finditer(question):
        if any(start <= match.start() < stop for start, stop in empty):
            continue
        if _refers_back(question, match, has_own_person):
            has_own_person = has_own_person or match["subject"] is not None
        else:
            yield match


def _refers_back(question: str, match: re.Match[str], has_own_person: bool) -> bool:
    """Whether a pronoun refers to something in its own question.

    Args:
        has_own_person: whether a "he" in front of it does.
    """
    before, behind = question[: match.start()], question[match.end() :]
    earlier = before[: [0, *(one.start() for one in _CLAUSE.finditer(before))][-1]]
    if match["object"] is not None:
        return has_own_person or bool(_NAMED.search(earlier))
    if match["subject"] is not None or match["owner"] is not None:
        found = _PERSON.search(earlier) or _SUBJECT.search(before)
        return bool(found) or _is_fronted(before, behind)
    if match["belonging"] is not None and _SUBJECT.search(before):
        return True
    return bool(_NOUN.search(earlier) or (match["thing"] is not None and _WHAT.match(before)))


def _is_fronted(before: str, behind: str) -> bool:
    """Whether the subject comes later: "In what, besides his pockets, did John carry it?"."""
    _, comma, rest = behind.partition(",")
    return bool(comma and not _ASKED_OF.search(before) and _ASKED_OF.search(rest))


def _with_name(question: str, turn: Turn) -> str:
    """A question with the name for its first pronoun, if that refers to a person of the turn before."""
    if max(map(len, (question, *turn))) > LONGEST:
        return question
    lead = _LEAD.match(question)
    start = lead.end() if lead else 0
    found = next(_references(question[start:]), None)
    if found is None or found[0].lower() not in ("he", "she", "him", "his", "her"):
        return question
    name = _person(*turn)
    if not name:
        return question
    core = question[start:]
    meant = name if found["owner"] is None else f"{name}'s"
    core = f"{core[: found.start()]}{meant}{core[found.end() :]}"
    return core[0].upper() + core[1:]


def _person(asked: str, answer: str) -> str:
    """The one person that a turn is about; empty where there is none, or may be several."""
    subject = _ASKED_OF.search(asked)
    if subject and not _WHO_OF_ANOTHER.match(asked):
        name, rest = subject["name"], asked[subject.end() :]
        return "" if _OWNER.search(name) or _AS_OBJECT.search(rest) else name
    naming = _NAMING.fullmatch(answer.strip())
    is_named = naming is not None and bool(telling_words(naming[1].split()[0]))
    if _WHO.match(asked):
        return naming[1] if naming and is_named and not subject else ""
    names = {match[0] for match in _NAMED.finditer(asked)}
    only = names.pop() if len(names) == 1 and not is_named else ""
    return "" if _OWNER.search(only) else only
