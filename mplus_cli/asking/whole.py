"""Questions about a document as a whole: those that its records answer, and those that no single passage
answers.

Relies on English words, and on documents as a memory records them; needs no model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mplus_cli.asking.question import Question
from mplus_cli.english.texts import TEXT
from mplus_cli.library import DocumentRow
from mplus_cli.wording import count

NOT_TOLD = "This asks about the whole text, but mplus answers from single passages."
"""The answer to questions that no single passage answers."""

PART_NOT_TOLD = "This asks about a whole page or chapter, but mplus answers from single passages."
"""The same of a page or chapter."""


def _exactly(*forms: str) -> re.Pattern[str]:
    """Matches questions that have one of these forms, and nothing else."""
    return re.compile(rf"^(?:{'|'.join(forms)})\W*$")


_LEAD = re.compile(
    r"^(?:(?:and|but|so|ok|okay|well|now|then|please|just|(?:can|could|would|will) you(?: please)?"
    r"|do you know|(?:tell|give) me|i (?:want|would like|need) to know|i(?:'d|’d) like to know)\b,? )+"
)
"""What a question may be put behind: "Can you tell me how the story ends?"."""
_IS, _ARE = r"(?:'s|’s| is| was)", r"(?:'s|’s| is| are| was| were)"
_THIS = rf"(?:this|the|your) (?:whole |entire )?{TEXT}"
# "The report" may be one that the text tells of, with an end and an author of its own.
_WORK = rf"(?:this (?:whole |entire )?{TEXT}|the (?:book|novel|text))"
_TALE = rf"(?:{_WORK}|your {TEXT}|the (?:story|tale|novella|(?:whole|entire) (?:book|novel|text|story)))"
_ALL = r"(?:it all|everything)"
_MOSTLY = r"(?:all |mainly |mostly |really )?"
_END = r"(?: all)? (?:begin|start|end(?: up)?|finish|conclude|turn out)"
_ENDS = (
    r"(?: all)? (?:(?:begin|start|end|conclude)s|finishes|began|(?:start|end|finish)ed|turns out)"
)
_WHEN = r"(?:(?:right )?(?:at|in|near|towards?|by) the (?:very )?(?:end|beginning|start)|finally|eventually)"
_MAIN = r"(?:main|principal|central|leading|key|chief|(?:most )?important)"
_GIST = (
    r"(?:summary|synopsis|outline|overview|plot|storyline|gist|moral|message|premise|themes?"
    rf"|{_MAIN} (?:idea|theme|point|message|topic|argument)s?)"
)
_UNIT = r"(?:word|sentence|line|paragraph)s?(?![\w-])"
# Neither "in" nor a unit stands between the two, so that a text can be taken apart in one way only.
_BRIEFLY = rf"in (?:(?!in |{_UNIT})[\w-]+ ){{1,4}}{_UNIT}"
_ASKED = (
    rf"(?:what(?:(?: do you think| would you say)?{_ARE}| (?:could|might|would) be)"
    r"|how would you (?:describe|explain|put)|is there|do you have|i (?:want|need)|i(?:'d|’d| would) like"
    r"|(?:briefly )?(?:give|tell|write|make|provide|state|describe|explain|discuss|name|identify|show)"
    r"(?: me)?)"
)
_SUM = re.compile(
    r"^(?:summari[sz]e|sum up|recap|outline|retell)\b"
    # Not "who wrote the summary of the story": it is asked for, and nothing else of it.
    rf"|^(?:{_BRIEFLY},? )?(?:{_ASKED} )?(?:(?:an?|the|this) )?"
    rf"(?:(?!(?:of|to|in|on|by|for|from|with|that|the)\b)[\w-]+ ){{0,2}}(?:{_GIST}(?: and|,) (?:the )?)*"
    rf"{_GIST} of {_THIS}(?:,? (?:please|so far|as a whole|for me|then|again|{_BRIEFLY}))*\W*$"
    rf"|^(?:what|who){_IS} {_THIS} {_MOSTLY}about(?:,? (?:please|exactly|then|{_BRIEFLY}))*\W*$"
    r"|^(?:list|count|name|enumerate) (?:all|every|each)\b"
)
_ENDING = _exactly(
    rf"how (?:does|do|did|will) (?:{_TALE}|{_ALL}|things){_END}(?: {_WHEN})?",
    rf"how (?:{_TALE}|{_ALL}){_ENDS}(?: {_WHEN})?",
    rf"what happen(?:s|ed) (?:in|{_WHEN} of) {_TALE}",
    rf"(?:what|how){_IS} the (?:ending|climax)(?: of {_TALE})?(?: like)?",
    rf"(?:does|has|did) {_TALE} (?:have )?an? [\w-]+ end(?:ing)?",
    r"is there an? [\w-]+ ending",
)
_ABOUT = _exactly(
    rf"(?:what|who) {_TALE} (?:is|was) {_MOSTLY}about",
    rf"what does {_TALE} (?:deal with|tell(?: us)?(?: about)?|describe|cover|discuss)",
    rf"(?:describe|explain|(?:what do you know |(?:something |more |all )?)about) {_TALE}",
    rf"what (?:kind|sort|type|genre) of (?:an? )?{TEXT} is (?:it|this)",
    rf"what(?:{_IS} the)? genre (?:is|of) {_TALE}",
    r"(?:what(?:'s|’s| is| are) )?(?:the |its )?(?:plot|storyline|moral|gist|premise)",
    rf"(?:what(?:'s|’s| is| are) )?(?:the |its )?(?:{_MAIN} )?themes?",
    rf"(?:what(?:'s|’s| is| are) )?(?:the |its )?{_MAIN} (?:idea|point|message|topic|argument)s?",
    r"(?:write )?(?:an? |the )?(?:[\w-]+ )?(?:summary|synopsis|overview|tl;?dr)(?:,? please)?",
)
_CAST = rf"(?:{_MAIN} characters?|characters|protagonists?|antagonists?|hero(?:es)?|heroines?|villains?)"
_WHO = _exactly(
    rf"(?:(?:who|what|which){_ARE} |name |list )?(?:the )?(?:names? of (?:all )?the )?{_CAST}"
    rf"(?: here| (?:in|of) {_THIS})?",
    rf"what{_ARE} the {_MAIN} characters?(?:'s|’s|s'|s’)? (?:names?|called)",
)
_NAMED = "(?:mentioned|named)(?: by name)?"
_APPEAR = "(?:appear|occur|come up)"
_OVERALL = "(?: (?:altogether|overall|at all|in all|in total|by name|please))?"
# Not how often somebody mentions something, or comes up from below: a passage may tell that.
_TIMES = (
    rf"(?:is|are) .+ {_NAMED}(?: in {_THIS})?",
    rf"(?:was|were) .+ {_NAMED}(?: in {_TALE})?",
    rf"(?:is|are|was|were) .+ {_NAMED} (?:in|on) (?:the )?(?:[\w-]+ )?(?:chapter|section|part|page)\b.*",
    rf"(?:does|did) (?:{_TALE}|the (?:author|writer|narrator)) (?:mention|name) .+",
    rf"(?:does|do|did) the (?:words?|names?|phrases?|terms?) .+ {_APPEAR}(?: in {_TALE})?",
    rf"(?:does|do) .+ {_APPEAR} in {_THIS}",
    rf"did .+ {_APPEAR} in {_TALE}",
)
_COUNT = re.compile(
    r"\bhow many (?:chapters|sections|parts|volumes|words|sentences|paragraphs|lines|characters|scenes"
    rf"|pages)\b(?:$|\W*$| (?:has|does|do|are there in|are in|is in) {_THIS}\b)"
    rf"|^(?:(?:in|throughout) {_THIS},? )?how (?:often|many times) (?:{'|'.join(_TIMES)}){_OVERALL}\W*$"
)
_TITLE = re.compile(
    rf"^what(?:'s|’s| is| was) the (?:title|name) of {_THIS}\W*$"
    rf"|^what(?:'s|’s| is| was) {_THIS}(?:'s|’s) title\W*$"
    rf"|^what is {_THIS} (?:called|titled|entitled)\W*$"
)
_KINDS = "chapter section part volume book act scene canto".split()
_PARTS = re.compile(
    rf"^(?:(?:in|into|to) )?how many (?!books .*\bbook\b)(?P<kind>{'|'.join(_KINDS)})s "
    rf"(?:(?:has|does|are there in|are in|is in) {_THIS}(?: have| contain| consist of)?"
    rf"|(?:is|was) {_THIS} (?:divided|split)(?: (?:in)?to)?)\W*$"
)
_PAGES = re.compile(rf"^how many pages (?:has|are there in|are in|does) {_THIS}(?: have)?\W*$")

# "It" and "this" mean the text only where nothing else has what is asked for.
_SUM_OF_IT = re.compile(
    rf"^(?:what{_IS} |write )?(?:an? |the )?(?:[\w-]+ )?(?:summary|synopsis) of (?:it|this)\W*$"
    rf"|^(?:what|who){_IS} (?:it|this) {_MOSTLY}about\W*$"
    rf"|^(?:what|who) (?:it|this) is {_MOSTLY}about\W*$"
    r"|^how many (?:chapters|pages) (?:has|does|are there in|are in) (?:it|this)(?: have)?\W*$"
    r"|^how many (?:chapters|volumes|pages|characters) are there\W*$"
    rf"|^what happen(?:s|ed)(?: in it)?(?: {_WHEN})?\W*$"
    rf"|^how (?:does|did|will) (?:it|this){_END}(?: {_WHEN})?\W*$|^how it{_ENDS}(?: {_WHEN})?\W*$"
    r"|^(?:does|has) it (?:have )?an? [\w-]+ ending\W*$|^what genre is (?:it|this)\W*$"
)
_TITLE_OF_IT = re.compile(
    rf"^(?:what|which) {TEXT} is (?:it|this)\W*$|^what(?:'s|’s| is| was) (?:the|its) title\W*$"
)
_PARTS_OF_IT = re.compile(
    r"^how many (?P<kind>chapter)s (?:(?:has|does|are there in|are in) (?:it|this)(?: have)?|are there)\W*$"
)
_PAGES_OF_IT = re.compile(
    r"^how many pages (?:(?:has|are there in|are in|does) (?:it|this)(?: have)?|are there)\W*$"
)
_AUTHOR = re.compile(
    rf"^who(?: wrote|{_IS} the (?:author|writer) of) {_WORK}\W*$"
    rf"|^who{_IS} {_WORK} (?:written )?by\W*$|^by whom (?:is|was) {_WORK}(?: written)?\W*$"
    rf"|^what{_IS} the name of the author of {_WORK}\W*$|^who{_IS} {_WORK}(?:'s|’s) author\W*$"
)
_AUTHOR_OF_IT = re.compile(rf"^who(?: wrote (?:it|this)|{_IS} (?:the|its) author)\W*$")
_DATE = re.compile(
    rf"^(?:when|(?:in )?(?:what|which) year) (?:was|is) {_WORK} (?:written|published|released|issued)\W*$"
    rf"|^what{_IS} the (?:publication )?date of {_WORK}\W*$"
)
_DATE_OF_IT = re.compile(
    r"^(?:when|(?:in )?(?:what|which) year) was (?:it|this) (?:written|published)\W*$"
)
_FROM_FILE = " (the date in the file)"
"""Added to a date, because a book may have been written at another time than its file says."""
_FROM_HEADINGS = " (by the headings)"
"""Added to a number of chapters, because headings may be missing, or stand for something else."""


def spans_the_whole(question: Question) -> bool:
    """Whether a question asks to sum up or to count over a whole text."""
    return _asks(question, (_SUM, _ENDING, _ABOUT, _WHO, _COUNT), _SUM_OF_IT) is not None


def of_itself(
    question: Question,
    documents: Sequence[DocumentRow],
    count_parts: Callable[[Sequence[DocumentRow], str], list[tuple[str, int | None]]],
) -> str | None:
    """The answer to a question about the title, length, author or date of the documents; None where it
    asks for something else, or where they do not say.

    Args:
        count_parts: titles, and how many parts of a kind ("chapter") each has; None if it does not say.
    """
    if _asks(question, (_TITLE,), _TITLE_OF_IT):
        return "; ".join(document.title for document in documents)
    if _asks(question, (_PAGES,), _PAGES_OF_IT):
        return _counted([(row.title, row.pages) for row in documents], "page")
    if parts := _asks(question, (_PARTS,), _PARTS_OF_IT):
        kind = parts["kind"]
        told = _counted(count_parts(documents, kind), kind)
        return told and told + _FROM_HEADINGS
    if _asks(question, (_AUTHOR,), _AUTHOR_OF_IT):
        return _stated([(row.title, row.author) for row in documents])
    if _asks(question, (_DATE,), _DATE_OF_IT):
        return _stated([(row.title, row.date and row.date + _FROM_FILE) for row in documents])
    return None


def _counted(counts: Sequence[tuple[str, int | None]], noun: str) -> str | None:
    """The number of something in each document that says it; None if none does."""
    told = [(title, number) for title, number in counts if number]
    if len(told) == len(counts) == 1:
        return count(told[0][1], noun)
    return "; ".join(f"{title}: {count(number, noun)}" for title, number in told) or None


def _stated(values: Sequence[tuple[str, str | None]]) -> str | None:
    """The statement of all documents, or a line for each; None if one of them does not say."""
    told = [value for _, value in values if value]
    if not told or len(told) < len(values):
        return None
    if len(set(told)) == 1:
        return told[0]
    return "\n".join(f"{title}: {value}" for title, value in values)


def _asks(
    question: Question, named: Sequence[re.Pattern[str]], meant: re.Pattern[str]
) -> re.Match[str] | None:
    """The match of a question that names the text, or refers to it by a pronoun, which in a chat may mean
    anything."""
    text = _LEAD.sub("", " ".join(question.text.lower().split()))
    for pattern in named:
        if match := pattern.search(text):
            return match
    return None if question.turns else meant.search(text)
