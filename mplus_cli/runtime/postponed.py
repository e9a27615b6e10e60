"""Puts off the part of torch that no answer needs: a quarter of what importing it takes.

`torch._meta_registrations` registers what operations do with tensors without data (device "meta"), for
compiling, exporting, and for how transformers loads a model. It is imported as soon as a library that may
want it is, or when it is touched, so nothing else changes. For a process of mplus, not for one that uses it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # the class takes milliseconds to import

PART = "torch._meta_registrations"
WANTED_BY = ("transformers", "peft", "accelerate", "torch._dynamo", "torch._inductor")


class Postponed(ModuleType):
    """A module that is executed when anything of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what importing asks of every module
            raise AttributeError(name)
        execute(self)
        return getattr(self, name)


def execute(module: ModuleType) -> None:
    """Import a postponed module, if it was not yet."""
    if isinstance(module, Postponed) and module.__spec__ is not None:
        module.__class__ = ModuleType  # type: ignore[assignment]
        loader = module.__spec__.loader
        assert isinstance(loader, Later), "as `Finder` made it"
        module.__spec__.loader = module.__loader__ = loader.own
        loader.own.exec_module(module)


class Later(Loader):
    """Makes a module without executing it."""

    def __init__(self, own: Loader) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that is executed when something of it is first asked for."""
        return Postponed(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing, for now."""


class Finder:
    """Finds the postponed part, and notices those that want it."""

    def __init__(self) -> None:
        self._is_wanted = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The part's own spec with a loader that waits; None for all others, and once it is wanted."""
        if name in WANTED_BY:
            self._is_wanted = True
            if (part := sys.modules.get(PART)) is not None:
                execute(part)
        if name != PART or self._is_wanted:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = Later(spec.loader)
        return spec


def postpone() -> None:
    """Put it off in this process; before torch is imported."""
    sys.meta_path.insert(0, Finder())
