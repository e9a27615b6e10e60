"""Rules for values from outside: their kind, their range, and the error message of one line.

Every value from a file, a flag or another program is checked by a rule before it is used, so that it
cannot fail later because of its type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

LARGEST = 1 << 24
"""The largest count of tokens: beyond any base's positions."""

Counts = Literal["always", "where it is not the default", "never"]
"""Whether a setting is part of the fingerprint. `where it is not the default`: settings younger than the
first memories, whose fingerprints must stay."""


class ConfigError(ValueError):
    """A setting that is not valid; the message names it and what it may be."""


class Rule(Protocol):
    """What a value may be."""

    @property
    def wanted(self) -> str:
        """The end of the sentence that begins with "give"."""

    def allows(self, value: Any) -> bool:
        """Whether a value is of the right kind and in range. Never raises."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number; no bool, no float."""

    least: int = 0
    most: int = LARGEST
    optional: bool = False

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.least} to {self.most}" + _or_null(self.optional)

    def allows(self, value: Any) -> bool:
        if value is None:
            return self.optional
        return type(value) is int and self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number, whole or not."""

    least: float = 0.0
    most: float = 1e6
    optional: bool = False

    @property
    def wanted(self) -> str:
        return f"a number from {self.least:g} to {self.most:g}" + _or_null(self.optional)

    def allows(self, value: Any) -> bool:
        if value is None:
            return self.optional
        # NaN and infinity are in no range.
        return type(value) in (int, float) and self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few texts."""

    options: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return f"one of {', '.join(self.options)}"

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.options


@dataclass(frozen=True, slots=True)
class Boolean:
    """Yes or no."""

    optional: bool = False

    @property
    def wanted(self) -> str:
        return "true or false" + _or_null(self.optional)

    def allows(self, value: Any) -> bool:
        return isinstance(value, bool) or (self.optional and value is None)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a bounded length."""

    most: int = 1 << 16
    optional: bool = False

    @property
    def wanted(self) -> str:
        return f"a text of up to {self.most} characters" + _or_null(self.optional)

    def allows(self, value: Any) -> bool:
        if value is None:
            return self.optional
        return isinstance(value, str) and len(value) <= self.most and _is_unicode(value)


@dataclass(frozen=True, slots=True)
class LayerNumbers:
    """Layers by number, or null for every layer."""

    most: int = 4095

    @property
    def wanted(self) -> str:
        return f"a list of layer numbers from 0 to {self.most}, or null for every layer"

    def allows(self, value: Any) -> bool:
        if value is None:
            return True
        each = Integer(0, self.most)
        listed = isinstance(value, tuple) and 0 < len(value) <= self.most + 1
        return listed and all(each.allows(layer) for layer in value)


def setting(default: Any, rule: Rule, *, counts: Counts = "always", name: str | None = None) -> Any:
    """A dataclass field with a rule.

    Args:
        counts: whether it is part of the fingerprint.
        name: its name in files, if that differs.
    """
    return field(default=default, metadata={"rule": rule, "counts": counts, "name": name})


def check_fields(value: Any) -> None:
    """Check every field of a dataclass that has a rule.

    Raises:
        ConfigError: for the first field whose rule does not allow its value.
    """
    for entry in dataclasses.fields(value):
        if "rule" in entry.metadata:
            check(file_name(entry), getattr(value, entry.name), entry.metadata["rule"])


def check(name: str, value: Any, rule: Rule) -> None:
    """Check a value by a rule; ConfigError where it is not allowed."""
    if not rule.allows(value):
        raise ConfigError(f"{name} is {shown(value)}: give {rule.wanted}")


def check_values(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Check the values of a mapping that have a rule; a missing value is checked as null."""
    for name, rule in rules.items():
        check(name, values.get(name), rule)


def file_name(entry: dataclasses.Field[Any]) -> str:
    """The name of a field in files."""
    return entry.metadata.get("name") or entry.name


def shown(value: Any) -> str:
    """A value as an error message shows it: always short."""
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a huge number"  # Python refuses to print thousands of digits
    if isinstance(value, dict | list | tuple | set) and value:
        return f"a {type(value).__name__} of {len(value)}" if len(value) > 8 else _cut(value)
    return _cut(value)


def _cut(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _or_null(optional: bool) -> str:
    return ", or null" if optional else ""


def _is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogates, which no file and no tokenizer accepts."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
