"""The networks of an experiment: the checkpoint's, and those built on its base, loaded when needed.

The base is loaded apart from the checkpoint, whose adapters may be merged into its weights.
"""

from __future__ import annotations

import hashlib
import json
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
from mplus_cli.runtime.catalog import CARD, ModelChoice
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.checkpoints.base import Base
    from models.memory import Memory
    from models.network import MPlusModel

_UNTRAINED: tuple[Reader, ...] = ("identity", "base")


class Bench:
    """A session's checkpoint and what is compared with it."""

    def __init__(self, session: Session, base: Path | None = None) -> None:
        """Take `base` as the folder of the base, where it cannot be told from the checkpoint."""
        self.session = session
        self._base_path = base
        self._plain = session.plain_tokenizer

    @property
    def chunk_tokens(self) -> int:
        return self.session.model.config.chunk_tokens

    @property
    def budget(self) -> int:
        """Text tokens the base's prompts get at most: the positions that memory takes in M+'s."""
        return self.session.model.config.prefix_tokens - 1

    def check(self, arms: Sequence[Arm]) -> None:
        """Check, before hours of reading, that what these arms need is there.

        Raises:
            UsageError: the base is not to be found.
            MplusError: a library is not installed.
        """
        if any(arm.context == "bm25" for arm in arms):
            require("bm25s")
            require("Stemmer")
        if self._base_path is None and any(arm.reader in _UNTRAINED for arm in arms):
            self._base_path = find_base(self.session.choice)

    @cached_property
    def calibration(self) -> Calibration | None:
        """How the checkpoint finds by words and how sure it is (`mplus_cli.asking.confidence`)."""
        return read_calibration(Path(self.session.choice.reference))

    @cached_property
    def base(self) -> Base:
        """The base, untouched by adapters.

        Raises:
            UsageError: the checkpoint does not say where it is.
            MismatchError: it is damaged.
        """
        from models.checkpoints import CheckpointError
        from models.checkpoints.base import load_base

        model = self.session.model
        path = self._base_path or find_base(self.session.choice)
        try:
            return load_base(path, device=model.device, dtype=model.dtype, attention="sdpa")
        except CheckpointError as error:
            raise MismatchError(str(error)) from error

    def network(self, reader: Reader) -> MPlusModel:
        """The network that a reader reads and is asked with."""
        if reader in _UNTRAINED:
            return self._identity
        return self._swapped if reader == "swapped" else self.session.model

    def stop_ids(self, reader: Reader) -> frozenset[int]:
        """What ends a reader's answer."""
        return self.base.stop_ids if reader == "base" else self.session.loaded.stop_ids

    def start(self, reader: Reader) -> Memory:
        """What a reader's memory begins with."""
        initial = self.session.loaded.initial_memory
        if reader in _UNTRAINED or initial is None:
            return self.network(reader).empty_memory()
        return initial

    def identity(self, reader: Reader) -> ModelIdentity:
        """What the memories of a reader record of it."""
        own = self.session.identity
        digest = hashlib.sha256(f"{own.fingerprint}-{reader}".encode()).hexdigest()
        return replace(own, fingerprint=digest)

    def encode(self, text: str) -> list[int]:
        """Ids of a text in which nothing is special."""
        return self._plain.encode(text)[0]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids."""
        text: str = self.session.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    # As the checkpoint's own network does, both decode by the fast path.
    @cached_property
    def _identity(self) -> MPlusModel:
        from models.fast_decode import optimise_for_device
        from mplus_cli.evaluation.network import identity_network

        config = self.session.model.config
        network = identity_network(self.base.llama, config, self.base.bos_id)
        optimise_for_device(network)
        return network

    @cached_property
    def _swapped(self) -> MPlusModel:
        from models.fast_decode import optimise_for_device
        from mplus_cli.evaluation.network import swapped_network

        network = swapped_network(self.session.model)
        optimise_for_device(network)
        return network


def find_base(choice: ModelChoice) -> Path:
    """The base of a model that was chosen; UsageError if that cannot be told."""
    from models.checkpoints import CheckpointError
    from models.checkpoints.base import fetch_from_hub

    if choice.base is not None:
        return choice.base
    path = Path(choice.reference)
    try:
        if not path.exists():
            path = fetch_from_hub(str(choice.reference))
        if not (path / CARD).is_file():
            config = {} if path.is_file() else json.loads((path / "config.json").read_text())
            if "num_blocks" not in config:
                return path
        else:
            reference = str(json.loads((path / CARD).read_text(encoding="utf-8"))["base"])
            near = (path / reference).resolve()
            return near if near.exists() else fetch_from_hub(reference)
    except (OSError, ValueError, KeyError, CheckpointError):
        pass
    raise UsageError(
        f"the base of {choice.name} is not to be found: give --base FOLDER, or arms that need none"
    )
