"""Runs a base's chat template within limits: it is a program that somebody else wrote.

The language is Jinja's, as `transformers` runs it (the same sandbox, options and names), but nothing in
it can run for long or grow large: loops, calls, filters and operators all draw on one budget of work,
paid before the work is done. Works on messages and text; needs no tokenizer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

WORK = 20_000_000
"""Characters that a template may handle in total."""
STEP = 1000
"""Least cost of an iteration and of a call, in characters."""
LONGEST_TEMPLATE = 1 << 18
LONGEST = 1 << 20
"""Most characters of one value, or of the whole prompt."""
LARGEST = 1 << 16
"""The largest number that a filter, a method or an operator may be given."""

TODAY = datetime(2024, 7, 26)
"""The date that every template is told: what stands in front of memory is part of a model's fingerprint, so
with the true date a memory could not be opened the next day. Llama 3's templates fall back on this one."""

_WIDTH = re.compile(r"\d{5}")


class ChatTemplateError(ValueError):
    """A chat template is not valid, or exceeds its limits."""


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, str]],
    special_tokens: Mapping[str, Any],
) -> str:
    """The text of a conversation, ready for the next answer.

    Args:
        template: Jinja, as in a base's `chat_template`.
        messages: `{"role": ..., "content": ...}`, oldest first.
        special_tokens: the tokenizer's, by their names (`bos_token`, ...).

    Raises:
        ChatTemplateError: the template is not valid, refuses the messages, or does too much.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise ChatTemplateError(f"the chat template has more than {LONGEST_TEMPLATE} characters")
    try:
        environment = _Limited()
        program = environment.from_string(_counted(environment, template))
        given = dict(special_tokens) | {"tools": None, "documents": None}
        pieces = program.generate(
            given, messages=[dict(one) for one in messages], add_generation_prompt=True
        )
        return "".join(pieces)
    except ChatTemplateError:
        raise
    except Exception as error:  # a template can raise anything
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ChatTemplateError(f"the chat template fails: {lines[0][:200]}") from error


class _Limited(ImmutableSandboxedEnvironment):
    """The sandbox, with a budget of work."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        self._left = WORK
        self.filters["tojson"] = _tojson
        self.filters = {name: self._paid(function) for name, function in self.filters.items()}
        self.filters |= {"_each": self._each, "_joined": self._joined}
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name)
        self.globals |= {"range": self._range, "raise_exception": _refuse}
        self.globals["strftime_now"] = TODAY.strftime
        self.finalize = self._finalize

    def spend(self, work: int) -> None:
        """Take work from the budget; ChatTemplateError if it is exhausted."""
        self._left -= work
        if self._left < 0:
            raise ChatTemplateError("the chat template takes too long or becomes too large")

    def call(
        *arguments: Any, **named: Any
    ) -> Any:  # positional only, as in Jinja: any name may be a keyword
        self, context, function, *given = arguments
        owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
        if getattr(function, "__name__", "").startswith("format"):
            _check_widths(owner)
        self._pay(
            [owner if isinstance(owner, str | list | dict) else None, *given, *named.values()]
        )
        return ImmutableSandboxedEnvironment.call(self, context, function, *given, **named)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            _check_widths(left)
        self._pay([left, *right] if isinstance(right, tuple) else [left, right])
        return super().call_binop(context, operator, left, right)

    def _paid(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)  # keeps the mark that tells Jinja what to pass to a filter first
        def filtered(*given: Any, **named: Any) -> Any:
            first = 1 if hasattr(function, "jinja_pass_arg") else 0
            if function.__name__ == "do_format":
                _check_widths(given[first])
            self._pay([*given[first:], *named.values()])
            return function(*given, **named)

        return filtered

    def _pay(self, given: Sequence[Any]) -> None:
        """Pay for work on values: a result is no larger than the product of their sizes."""
        work = 1
        for value in given:
            if isinstance(value, int | float) and abs(value) > LARGEST:
                raise ChatTemplateError("the chat template works with too large a number")
            work *= max(abs(int(value)) if isinstance(value, int) else self._size(value), 1)
        self.spend(STEP + work)

    def _size(self, value: Any) -> int:
        """Approximate length of a value when written out; looking at it is paid for."""
        size, open_ones = 0, [value]
        while open_ones:
            one = open_ones.pop()
            size += len(one) if isinstance(one, str) else 8
            if isinstance(one, Mapping):
                open_ones += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple | set):
                open_ones += one
            if size > LONGEST or len(open_ones) > LONGEST:
                raise ChatTemplateError("the chat template makes too long a text")
        self.spend(size)
        return size

    def _finalize(self, value: Any) -> Any:
        self.spend(self._size(value))
        return value

    def _range(self, *bounds: int) -> range:
        found = range(*bounds)
        if len(found) > LARGEST:
            raise ChatTemplateError("the chat template counts too far")
        return found

    def _each(self, values: Iterable[Any]) -> Iterator[Any]:
        """The values of a loop, each iteration paid for."""
        for value in values:
            self.spend(STEP)
            yield value

    def _joined(self, values: Sequence[Any]) -> str:
        """The result of `~`."""
        for value in values:
            self._size(value)
        return "".join(map(str, values))


class _Generation(Extension):
    """`{% generation %}`, which marks an answer for training: here just its content."""

    tags = {"generation"}  # noqa: RUF012 Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Counting(NodeTransformer):
    """Rewrites a template so that every loop and every `~` draws on the budget."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise ChatTemplateError(
                "the chat template has a recursive loop, which is not supported"
            )
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "_each", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_joined", [], [], None, None, lineno=node.lineno)


def _counted(environment: _Limited, template: str) -> nodes.Template:
    program = _Counting().visit(environment.parse(template))
    program.set_environment(environment)
    counted: nodes.Template = program
    return counted


def _check_widths(form: Any) -> None:
    """Refuse a format ("%9d", "{:9}") with a huge width, which is not an argument and so not paid for."""
    if isinstance(form, str) and _WIDTH.search(form):
        raise ChatTemplateError("the chat template works with too large a number")


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own escapes HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: str) -> None:
    raise TemplateError(message)
