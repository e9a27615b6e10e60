"""The styles and numbering of a Word document, as far as its text needs them. Works on XML elements."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mplus_cli.documents.list_labels import Labels, Rule

_HEADING = re.compile(r"heading ?([1-9])", re.IGNORECASE)
_FORMS = {
    "decimal": "decimal",
    "decimalZero": "decimal",
    "lowerLetter": "lower-letter",
    "upperLetter": "upper-letter",
    "lowerRoman": "lower-roman",
    "upperRoman": "upper-roman",
    "bullet": "bullet",
    "none": "none",
}
_MAX_DEPTH = 20  # styles that are based on each other
_OFF = ("0", "false", "off")


@dataclass(frozen=True, slots=True)
class Style:
    """A paragraph style: its name in lower case, the level of the heading that it makes (0: none),
    whether it hides text, the number and the level of its list ("": none)."""

    name: str = ""
    level: int = 0
    hidden: bool = False
    list: str = ""
    list_level: int | None = None


class Styles:
    """The styles by their ids; `root` is None where a document has no such part."""

    def __init__(self, root: Any) -> None:
        found = [] if root is None else root.iterchildren("{*}style")
        self._elements = {value(one.attrib, "styleId"): one for one in found}
        self._known: dict[str, Style] = {}

    def paragraph(self, name: str) -> Style:
        """The style of that id, with what it inherits."""
        if name not in self._known:
            self._known[name] = self._resolve(name)
        return self._known[name]

    def hides_run(self, name: str) -> bool:
        """Whether a style of characters hides them."""
        return self.paragraph(name).hidden

    def _resolve(self, name: str) -> Style:
        chain: list[Any] = []
        based = name
        while (element := self._elements.get(based)) is not None and len(chain) < _MAX_DEPTH:
            chain.append(element)
            based = child_value(element, "basedOn")
        names = [child_value(one, "name") for one in chain] or [name]
        levels = [child_value(one, "pPr", "outlineLvl") for one in chain]
        told = next((one for one in levels if one.isdecimal()), "")
        titled = next(filter(None, map(_HEADING.fullmatch, names)), None)
        level = int(told) + 1 if told and int(told) < 9 else 0
        hides = next(
            (one for one in (child(e, "rPr", "vanish") for e in chain) if one is not None), None
        )
        lists = [child_value(one, "pPr", "numPr", "numId") for one in chain]
        depths = [child_value(one, "pPr", "numPr", "ilvl") for one in chain]
        depth = next((one for one in depths if one.isdecimal()), None)
        return Style(
            names[0].lower(),
            level or (int(titled[1]) if titled and not told else 0),
            hides is not None and is_on(hides.attrib),
            next(filter(None, lists), ""),
            int(depth[:2]) if depth else None,
        )


class Numbering:
    """The lists by their numbers; `root` is None where a document has no such part."""

    def __init__(self, root: Any) -> None:
        self._lists: dict[str, tuple[str, dict[int, Rule]]] = {}
        if root is None:
            return
        kinds = {
            value(one.attrib, "abstractNumId"): {
                level: rule for each in one.iterchildren("{*}lvl") for level, rule in _rule(each)
            }
            for one in root.iterchildren("{*}abstractNum")
        }
        for one in root.iterchildren("{*}num"):
            number = value(one.attrib, "numId")
            kind = child_value(one, "abstractNumId")
            rules = dict(kinds.get(kind, {}))
            key = f"kind {kind}"
            for change in one.iterchildren("{*}lvlOverride"):
                level = value(change.attrib, "ilvl")
                start = child_value(change, "startOverride")
                for each in change.iterchildren("{*}lvl"):
                    rules |= dict(_rule(each))
                if start.isdecimal() and level.isdecimal() and int(level) in rules:
                    old = rules[int(level)]
                    rules[int(level)] = Rule(old.form, old.pattern, int(start[:9]))
                    key = f"list {number}"  # it counts by itself
            self._lists[number] = (key, rules)

    def label(self, labels: Labels, number: str, level: int) -> str:
        """The label of the next item of a list."""
        key, rules = self._lists.get(number, ("", {}))
        return labels.next(key, rules, level)


def _rule(element: Any) -> list[tuple[int, Rule]]:
    level = value(element.attrib, "ilvl")
    if not level.isdecimal():
        return []
    form = _FORMS.get(child_value(element, "numFmt"), "decimal")
    start = child_value(element, "start")
    first = int(start[:9]) if start.isdecimal() else 0 if start else 1
    return [(int(level[:2]), Rule(form, child_value(element, "lvlText"), first))]


def child(element: Any, *path: str) -> Any:
    """The first element at a path of local names, None if there is none."""
    for name in path:
        element = element.find("{*}" + name) if element is not None else None
    return element


def child_value(element: Any, *path: str) -> str:
    """The value of the element at a path, "" if there is none."""
    found = child(element, *path)
    return value(found.attrib) if found is not None else ""


def value(attributes: Mapping[str, str], name: str = "val") -> str:
    """The attribute of that local name, whatever its namespace, "" if there is none."""
    for key, given in attributes.items():
        if str(key).rpartition("}")[2] == name:
            return str(given)
    return ""


def is_on(attributes: Mapping[str, str]) -> bool:
    """Whether a property that is present is switched on; without a value it is."""
    return value(attributes).lower() not in _OFF
