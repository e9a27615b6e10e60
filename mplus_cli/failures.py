"""From any exception to one line and an exit code. Prints nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from models.durable import meant
from mplus_cli.errors import DISK_FULL, ExitCode, MplusError, is_disk_full
from mplus_cli.visible import one_line

_DAMAGE = (
    ("models.checkpoints.loaded", "CheckpointError"),
    ("models.network", "DamagedWeights"),
    ("models.forgetting", "UnfitMemory"),
)
"""What says that the files of a model, or of a memory for it, are of no use."""


def explain(error: BaseException) -> tuple[str, int]:
    """What went wrong and what to do, as one line, and the exit code."""
    message, code = _explain(error)
    return one_line(message), code


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, MplusError):
        return str(error), error.exit_code
    if any(is_disk_full(cause) for cause in _causes(error)):
        return DISK_FULL, ExitCode.FAILED
    if any(_is_out_of_memory(cause) for cause in _causes(error)):
        return (
            "out of memory: close other programs, use --device cpu, or a smaller model with --model"
        ), ExitCode.FAILED
    for module, name in _DAMAGE:
        if _is_loaded(module, name, error):
            return str(error), ExitCode.MISMATCH
    if isinstance(error, OSError):
        what = f"{meant(str(error.filename))}: " if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        return f"{what}{reason}: check the path and its permissions", ExitCode.FAILED
    if isinstance(error, ModuleNotFoundError):
        return f"{error}: reinstall mplus with its dependencies", ExitCode.FAILED
    name = type(error).__name__
    return f"{name}: {error}: this is a bug of mplus; --debug shows where", ExitCode.FAILED


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def _is_loaded(module: str, name: str, error: BaseException) -> bool:
    """Whether the error's class is in a module; a module that is not imported cannot have raised it."""
    found = sys.modules.get(module)
    return found is not None and isinstance(error, getattr(found, name))
