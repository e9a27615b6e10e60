"""The paragraph and list styles of an OpenDocument text. Works on XML elements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mplus_cli.documents.docx_styles import child, value
from mplus_cli.documents.epub_contents import named
from mplus_cli.documents.list_labels import Rule, Rules

OUTLINE = "\0outline"
"""The name of the list that headings are counted by."""
_FORMS = {
    "1": "decimal",
    "a": "lower-letter",
    "A": "upper-letter",
    "i": "lower-roman",
    "I": "upper-roman",
    "": "none",
}
_MAX_DEPTH = 20  # styles that are based on each other


@dataclass(frozen=True, slots=True)
class Style:
    """A style of paragraphs or characters."""

    hidden: bool = False
    begins_page: bool = False
    is_title: bool = False


class Styles:
    """The styles by name, of the trees that hold some; those of the text itself come last."""

    def __init__(self, roots: Sequence[Any]) -> None:
        self._elements: dict[str, Any] = {}
        self._known: dict[str, Style] = {}
        self._lists: dict[str, Rules] = {}
        for root in roots:
            for one in named(root, "style"):
                self._elements[value(one.attrib, "name")] = one
            for one in named(root, "list-style"):
                self._lists[value(one.attrib, "name")] = _rules(one)
            for one in named(root, "outline-style")[:1]:
                self._lists[OUTLINE] = {
                    level: rule for level, rule in _rules(one).items() if rule.form != "none"
                }

    def get(self, name: str) -> Style:
        """The style of that name, with what it inherits."""
        if name not in self._known:
            self._known[name] = self._resolve(name) if name else Style()
        return self._known[name]

    def rules(self, name: str) -> Rules:
        """How the items of a list are marked."""
        return self._lists.get(name, {})

    def _resolve(self, name: str) -> Style:
        chain: list[Any] = []
        names = [name]
        while (element := self._elements.get(names[-1])) is not None and len(chain) < _MAX_DEPTH:
            chain.append(element)
            names.append(value(element.attrib, "parent-style-name"))
        shown = [_property(one, "text-properties", "display") for one in chain]
        breaks = [_property(one, "paragraph-properties", "break-before") for one in chain]
        own = value(chain[0].attrib, "master-page-name") if chain else ""
        return Style(
            hidden=next(filter(None, shown), "") == "none",
            begins_page=next(filter(None, breaks), "") == "page" or bool(own),
            is_title="Title" in names[:3],
        )


def _property(style: Any, group: str, name: str) -> str:
    found = child(style, group)
    return value(found.attrib, name) if found is not None else ""


def _rules(element: Any) -> dict[int, Rule]:
    rules: dict[int, Rule] = {}
    for one in element.iterchildren():
        level = value(one.attrib, "level")
        if not level.isdecimal() or not 1 <= int(level[:3]) <= 10:
            continue
        index = int(level[:3]) - 1
        if not str(one.tag).endswith(("level-style-number", "outline-level-style")):
            rules[index] = Rule("bullet")
            continue
        form = _FORMS.get(value(one.attrib, "num-format"), "decimal")
        shown = value(one.attrib, "display-levels")
        count = min(int(shown[:2]), index + 1) if shown.isdecimal() else 1
        numbers = ".".join(f"%{number}" for number in range(index + 2 - count, index + 2))
        prefix, suffix = value(one.attrib, "num-prefix"), value(one.attrib, "num-suffix")
        start = value(one.attrib, "start-value")
        pattern = f"{prefix}{numbers}{suffix}" if form != "none" else ""
        rules[index] = Rule(form, pattern, int(start[:9]) if start.isdecimal() else 1)
    return rules
