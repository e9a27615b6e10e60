"""The networks of an experiment: the checkpoint's, and those built on its base, loaded when needed.

The base is loaded apart from the checkpoint, whose adapters may be merged into its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.asking.confidence import Calibration, read_calibration
from mplus_cli.errors import MismatchError, UsageError
from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.extras import require
from mplus_cli.library import ModelIdentity
from mplus_cli.runtime.find_base import find_base
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.checkpoints.base import Base
    from models.memory import Memory
    from models.network import MPlusModel

_UNTRAINED: tuple[Reader, ...] = ("identity", "base")


class Bench:
    """A session's checkpoint and what is compared with it."""

    def __init__(self, session: Session, base: Path | None = None) -> None:
        """Take `base` as the folder of the base, where the checkpoint does not say."""
        self.session = session
        self._base_path = base

    @property
    def chunk_tokens(self) -> int:
        """Text tokens of a full chunk."""
        return self.session.model.config.chunk_tokens

    @property
    def budget(self) -> int:
        """Text tokens the base's prompts get at most: the positions that memory takes in M+'s."""
        return self.session.model.config.prefix_tokens - 1

    def check(self, arms: Sequence[Arm]) -> None:
        """Check, before hours of reading, that what these arms need is there.

        Raises:
            UsageError: the base cannot be found, or the model recalls no chunks.
            MplusError: a library is not installed.
        """
        chosen = [arm.name for arm in arms if arm.recall in ("oracle", "random", "newest")]
        if chosen and self.session.model.config.recall == "tokens":
            raise UsageError(
                f"{', '.join(chosen)} recall chunks, and this model tokens: leave them out"
            )
        if any(arm.context == "bm25" for arm in arms):
            require("bm25s")
            require("Stemmer")
        if self._base_path is None and any(arm.reader in _UNTRAINED for arm in arms):
            self._base_path = find_base(self.session.choice)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What the checkpoint adds for a question's words, and how sure it is of an answer."""
        return read_calibration(Path(self.session.choice.reference))

    @cached_property
    def base(self) -> Base:
        """The base without adapters.

        Raises:
            UsageError: the checkpoint does not say where it is.
            MismatchError: it is damaged.
        """
        from models.checkpoints import CheckpointError
        from models.checkpoints.base import load_base

        model = self.session.model
        path = self._base_path or find_base(self.session.choice)
        try:
            return load_base(path, device=model.device, dtype=model.dtype)
        except CheckpointError as error:
            raise MismatchError(str(error)) from error

    def session_of(self, reader: Reader) -> Session:
        """What a reader reads and answers with: its network, prompt and stop tokens."""
        if reader in ("mplus", "trained"):
            return self.session
        return self._swapped if reader == "swapped" else self._untrained[reader]

    def network(self, reader: Reader) -> MPlusModel:
        """The network that a reader reads and answers with."""
        return self.session_of(reader).model

    def start(self, reader: Reader) -> Memory:
        """The memory that a reader begins with."""
        loaded = self.session_of(reader).loaded
        initial = loaded.initial_memory
        return loaded.model.empty_memory() if initial is None else initial

    def identity(self, reader: Reader) -> ModelIdentity:
        """What a reader's memories record of it."""
        own = self.session.identity
        digest = hashlib.sha256(f"{own.fingerprint}-{reader}".encode()).hexdigest()
        return replace(own, fingerprint=digest)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, special tokens spelled out."""
        return self.session.plain_tokenizer.encode(text)[0]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids."""
        text: str = self.session.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    @cached_property
    def _untrained(self) -> dict[Reader, Session]:
        from models.prompts import PromptFormat
        from mplus_cli.evaluation.network import identity_network

        base, loaded = self.base, self.session.loaded
        network = _quick(identity_network(base.stack, loaded.model.config, base.bos_id))
        identity = replace(loaded, model=network, initial_memory=None)
        plain = replace(
            identity, tokenizer=base.tokenizer, prompt=PromptFormat(), stop_ids=base.stop_ids
        )
        return {
            "identity": replace(self.session, loaded=identity),
            "base": replace(self.session, loaded=plain),
        }

    @cached_property
    def _swapped(self) -> Session:
        """It writes with the generate adapter and reads with the update adapter."""
        loaded, model = self.session.loaded, self.session.model
        swapped = _quick(model.with_decoders(model.generate, model.update))
        return replace(self.session, loaded=replace(loaded, model=swapped))


def _quick(network: MPlusModel) -> MPlusModel:
    """The network, decoding by the fast path as the checkpoint's own does."""
    from models.fast_decode import optimise_for_device

    optimise_for_device(network)
    return network
