"""An answer in a form of the user's own: a Jinja template over the fields of its JSON.

The template sees values and nothing of the program: it runs in Jinja's sandbox. Prints nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from mplus_cli.asking.events import Answer
from mplus_cli.errors import UsageError

NAMES = (*(field.name for field in fields(Answer)), "refused")
"""The fields of `mplus ask --json`, which a template may name."""


def read_template(text: str) -> Callable[[Mapping[str, Any]], str]:
    """What fills in a template. What a value lacks (the pages of a web page) is left empty.

    Raises:
        UsageError: it is not a template, or names a field that there is not; also when it is filled in.
    """
    from jinja2 import ChainableUndefined, TemplateError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=ChainableUndefined, autoescape=False)
    try:
        unknown = sorted(meta.find_undeclared_variables(environment.parse(text)) - {*NAMES})
        template = environment.from_string(text)
    except TemplateError as error:
        raise UsageError(f"--template: {error}") from error
    for name in unknown:
        if name not in environment.globals:
            close = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(NAMES)}"
            raise UsageError(f"--template: there is no field {name}: {hint}")

    def fill(values: Mapping[str, Any]) -> str:
        try:
            return template.render(values)
        except (TemplateError, TypeError, ValueError, ArithmeticError, OverflowError) as error:
            raise UsageError(f"--template: {error}") from error

    return fill
