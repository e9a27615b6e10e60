"""A loaded model and the library it works with: what every command that reads or answers needs.

Puts settings, the catalog and the library together; prints nothing. Imports torch only when a model is
loaded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import MismatchError, MplusError, UsageError
from mplus_cli.library import Library, ModelIdentity, StoredMemory
from mplus_cli.library.tensors import read_header
from mplus_cli.runtime import (
    allocator,
    catalog,
    control_groups,
    embedded_base,
    garbage,
    interrupts,
)
from mplus_cli.runtime.spelling import Spelling
from mplus_cli.runtime.tokens import PlainTokenizer
from mplus_cli.settings import Settings
from mplus_cli.wording import count

if TYPE_CHECKING:
    import torch

    from models.checkpoints import Loaded
    from models.decoder import Decoder
    from models.network import MPlusModel

Note = Callable[[str], None]
"""Called with a line to show to the user."""

_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True)
class Session:
    """A loaded model and a library."""

    loaded: Loaded
    choice: catalog.ModelChoice
    library: Library

    @property
    def model(self) -> MPlusModel:
        """The network that reads and answers."""
        return self.loaded.model

    @property
    def tokenizer(self) -> Any:
        """Of its base; takes special tokens in a text for what they are, as prompts need."""
        return self.loaded.tokenizer

    @property
    def plain_tokenizer(self) -> PlainTokenizer:
        """The same for text that others wrote: special tokens in it are plain text."""
        return PlainTokenizer(self.loaded.tokenizer)

    @cached_property
    def spelling(self) -> Spelling | None:
        """How the model's vocabulary spells text; None if that is not known."""
        return Spelling.of(self.loaded.tokenizer)

    @property
    def identity(self) -> ModelIdentity:
        """What memories record about this model."""
        loaded = self.loaded
        config = loaded.model.config.to_dict()
        return ModelIdentity(loaded.name, loaded.fingerprint, config, loaded.earlier_fingerprints)

    def text_reader(self) -> Decoder:
        """The reader of text of a model whose answers are judged by one too.

        Raises:
            MismatchError: it is missing or damaged.
        """
        from models.checkpoints import CheckpointError

        if self.loaded.text_reader is None:
            raise MismatchError(
                f"{self.choice.reference} has no reader of text (text_lora), which its asking.json was "
                "fitted with: fetch the model again"
            )
        try:
            return self.loaded.text_reader()
        except CheckpointError as error:
            raise MismatchError(str(error)) from error

    def end_steps(self) -> None:
        """Give back what decode steps take, if the session is for a single question and no more will come."""
        if not self.model.generate.keep:
            self.model.step_decoder.release()
            allocator.give_back_freed_memory()

    def check_dtype(self, stored: StoredMemory) -> None:
        """Check that a memory holds tensors of the model's type; UsageError if not."""
        held, own = memory_dtype(stored), str(self.model.dtype).removeprefix("torch.")
        if held is not None and held != own:
            raise UsageError(
                f'memory "{stored.name}" is in {held}, not {own}: give --dtype {held}, '
                "or another memory with -m"
            )


def open_session(
    settings: Settings,
    *,
    note: Note,
    progress: embedded_base.Progress,
    memory: StoredMemory | None = None,
    once: bool = False,
) -> Session:
    """Load the model that the settings name, fetching its base if necessary.

    Args:
        memory: the memory to read: its dtype is used unless another was asked for.
        once: for a single question: merged weights are not kept, which takes less memory.

    Raises:
        UsageError: there is no such model or device.
        MismatchError: the model is damaged, or cannot be fetched offline.
    """
    choice = catalog.find(settings.model, settings.home)
    if memory is not None:
        memory.check_before_loading(choice.name, choice.geometry)
    dtype = settings.dtype
    if dtype == "auto" and memory is not None:
        dtype = memory_dtype(memory) or "auto"
    loaded = load_model(settings, choice, dtype, note=note, progress=progress, once=once)
    choice = replace(choice, trained=loaded.trained)  # a folder's files may not say
    interrupts.check()  # imports sometimes swallow it
    if not choice.trained:
        note(f"{choice.name} is {choice.note}: expect wrong answers, and check the pages")
    return Session(loaded, choice, Library(settings.home))


def load_model(
    settings: Settings,
    choice: catalog.ModelChoice,
    dtype: str,
    *,
    note: Note,
    progress: embedded_base.Progress,
    once: bool = False,
) -> Loaded:
    """Load a model under the name that was given; raises as `open_session` does."""
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if choice.base is not None:
        if not catalog.is_base_present(settings.home) and not settings.offline:
            note(embedded_base.BEFORE)
        embedded_base.ensure(settings.home, offline=settings.offline, progress=progress)
    progress("loading the model", 0, None)
    with garbage.held_back():
        return _load(settings, choice, dtype, once)


def _load(settings: Settings, choice: catalog.ModelChoice, dtype: str, once: bool) -> Loaded:
    import torch

    device = find_device(settings.device)
    torch.set_num_threads(thread_count())
    allocator.keep_freed_memory()
    if once:
        allocator.share_arena()
    allocator.keep_few_kernels()
    is_own = choice.base is not None and choice.reference != choice.base

    from models import checkpoints
    from models.fast_decode import optimise_for_device, optimise_reading

    try:
        loaded = checkpoints.load(
            choice.reference,
            base=choice.base if is_own else None,
            device=device,
            dtype=None if dtype == "auto" else getattr(torch, dtype),
            keep=not once or device.type != "cpu",
        )
    except checkpoints.CheckpointError as error:
        if isinstance(error.__cause__, MemoryError):
            raise
        raise MismatchError(str(error)) from error
    optimise_for_device(loaded.model)
    if (load_reader := loaded.text_reader) is not None:
        loaded = replace(loaded, text_reader=lambda: optimise_reading(load_reader()))
    return replace(loaded, name=choice.name)


def find_device(wanted: str) -> torch.device:
    """The device that was asked for; UsageError if it is not available."""
    import torch

    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    kind, _, number = wanted.partition(":")
    there = {"cpu": True, "cuda": has_cuda, "mps": has_mps}
    if kind not in there:
        raise UsageError(f"there is no device {wanted}: choose auto, cpu, cuda or mps")
    if not there[kind] or (kind == "cuda" and int(number or 0) >= torch.cuda.device_count()):
        raise UsageError(f"there is no {wanted} device here: use --device cpu")
    return torch.device(wanted)


def thread_count() -> int:
    """Threads to compute with: one per physical core, but no more than a container's quota rounded to the
    nearest whole number, and at least one. OMP_NUM_THREADS overrides this."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if re.fullmatch("[0-9]{1,4}", asked) and int(asked) > 0:
        return int(asked)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = {
        path.read_text()
        for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/core_cpus_list")
    }
    found = min(usable or 1, len(cores) or usable or 1)
    quota = control_groups.processor_quota()
    return max(1, found if quota is None else min(found, int(quota + 0.5)))


def open_memory(library: Library, name: str, *, note: Note = lambda _: None) -> StoredMemory:
    """A memory that can be asked; `note` is told which documents it has not read to the end.

    Raises:
        MplusError: there is no memory of this name, or it is empty.
    """
    stored = library.open(name)
    is_read_now = stored.is_being_written
    for document, page in stored.unfinished():
        known = f"its first {document.chunks_read} of {count(document.chunks, 'chunk')}"
        known += f" (up to page {page})" if page is not None else ""
        state = "is being read" if is_read_now else "was not read to its end"
        note(f"{document.title} {state}: answers come only from {known}")
    if stored.is_empty and is_read_now:
        raise MplusError(
            f'memory "{name}" is being read, and nothing is kept of it yet: ask again in a few '
            "seconds"
        )
    if stored.is_empty:
        again = "" if name == "default" else f" -m {name}"
        raise MplusError(
            f'memory "{name}" is empty: read something first, for example: '
            f"mplus ingest{again} book.pdf"
        )
    return stored


def memory_dtype(stored: StoredMemory) -> str | None:
    """The dtype of a memory's tensors, from the header of a file; None if unknown."""
    state = stored.view().state
    if state is None:
        return None
    try:
        with open(stored.folder / state.stm_file, "rb") as file:
            entries = json.loads(read_header(file)[8:])
        return _DTYPES.get(entries["keys"]["dtype"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
