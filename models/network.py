"""The M+ network: two decoders over one base, a retriever, and the few vectors of its own.

Holds weights only; a `Memory` is always passed in and comes back (`models.update`, `models.generate`).
Does no I/O: `models.checkpoints` builds one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.cache import StepDecoder
from models.config import MPlusConfig
from models.decoder import Decoder
from models.forgetting import Forgetting
from models.memory import Memory, ShortTermMemory, Tokens
from models.reranker import Reranker
from models.retriever import Retriever


class DamagedWeights(ValueError):
    """Weights that hold values which are not numbers."""


class BosStates:
    """What enters each layer of the n tokens that lead every prefix, BOS and what stands in front of memory,
    which see themselves alone; worked out layer by layer.

    A pass that asks for them layer by layer needs the weights of one layer at a time.

    Args:
        ids: of these tokens.
        learned: instead of their states (L, n, D).
    """

    def __init__(self, decoder: Decoder, ids: Sequence[int], learned: Tensor | None = None) -> None:
        self._decoder = decoder
        self._ids = list(ids)
        self._states = [] if learned is None else list(learned)
        self._keys_values: dict[int, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def __getitem__(self, index: int) -> Tensor:
        """The states (n, D) that enter a layer.

        Raises:
            DamagedWeights: the layers before it make no numbers.
        """
        decoder, states = self._decoder, self._states
        if not states:
            states.append(decoder.embed(torch.tensor([self._ids], device=decoder.device))[0])
        if index >= len(states):
            rotary, mask = decoder.rotary(0, len(self)), decoder.mask(len(self), 0)
            with decoder.active():
                for at in range(len(states) - 1, index):
                    states.append(decoder.layer(at, states[at][None], rotary, mask, None)[0])
            if not bool(states[index].isfinite().all()):
                raise DamagedWeights(
                    "the weights hold values that are not numbers: fetch them again"
                )
        state: Tensor = states[index]
        return state

    def __len__(self) -> int:
        return len(self._ids)

    def keys_values(self, index: int) -> tuple[Tensor, Tensor]:
        """The keys and values (1, n, H, d) of a layer, not rotated; kept where merged weights are."""
        found = self._keys_values.get(index)
        if found is None:
            found = self._decoder.keys_values(index, self[index][None])
            if self._decoder.keep and self._decoder.apart is not None:
                self._keys_values[index] = found
        return found

    def whole(self) -> Tensor:
        """Those of all layers (L, n, D)."""
        return torch.stack([self[index] for index in range(self._decoder.layers)])


class MPlusModel:
    """Weights of M+ and the shapes that follow from them.

    Args:
        config: memory geometry; checked against the base.
        update: the decoder that writes (reads chunks).
        generate: the decoder that reads memory and answers.
        retriever: scores memory tokens for a question.
        bos_id: the token whose states lead every prefix, unless `bos` is given.
        header: the tokens between it and memory, for a base that reads memory where text would stand.
        bos: a learned state per layer (L, 1, D) that leads every prefix (published checkpoint).
        new_memory_embedding: added to the last K positions at every layer of an update pass
            (1, 1, D) (published checkpoint).
        reranker: ranks the best chunks again by reading them; None: the retriever has the last word.
        forgetting: when long-term memory forgets (published checkpoint, if asked for); None: never.

    Raises:
        ConfigError: the geometry does not fit the base.
    """

    def __init__(
        self,
        config: MPlusConfig,
        update: Decoder,
        generate: Decoder,
        retriever: Retriever,
        *,
        bos_id: int,
        header: Sequence[int] = (),
        bos: Tensor | None = None,
        new_memory_embedding: Tensor | None = None,
        reranker: Reranker | None = None,
        forgetting: Forgetting | None = None,
    ) -> None:
        config.check_base(layers=generate.layers, positions=generate.positions - len(header))
        self.config = config
        self.update = update
        self.generate = generate
        self.step_decoder: StepDecoder = generate
        """What decodes the answer; `models.fast_decode` puts a faster one here."""
        self.retriever = retriever
        self.memory_layers = config.layers_with_memory(generate.layers)
        self.bos_id = bos_id
        self.lead = (bos_id, *header)
        """What stands in front of memory in every prefix."""
        self.learned_bos = bos
        self.new_memory_embedding = new_memory_embedding
        self.reranker = reranker
        self.forgetting = forgetting
        self.update_bos, self.generate_bos = self._bos(update), self._bos(generate)

    @property
    def device(self) -> torch.device:
        """Where the weights of the decoder that answers are."""
        return self.generate.device

    @property
    def dtype(self) -> torch.dtype:
        """Of these weights, and of the memory tokens that are written."""
        return self.generate.dtype

    @property
    def room(self) -> int:
        """Positions that prompt and answer may take behind a full memory."""
        config = self.config
        return self.generate.positions - len(self.lead) - config.recalled_tokens - config.stm_tokens

    def bos_states(self, decoder: Decoder) -> Tensor:
        """What enters each layer of the n leading tokens (L, n, D)."""
        return self._bos(decoder).whole()

    def _bos(self, decoder: Decoder) -> BosStates:
        return BosStates(decoder, self.lead, self.learned_bos)

    def with_fresh_bos(self) -> MPlusModel:
        """The same weights, with the states of BOS computed again: training leaves them stale."""
        return self.with_decoders(self.update, self.generate)

    def with_decoders(self, update: Decoder, generate: Decoder) -> MPlusModel:
        """The same network with other decoders over the same base."""
        return MPlusModel(
            self.config,
            update,
            generate,
            self.retriever,
            bos_id=self.bos_id,
            header=self.lead[1:],
            bos=self.learned_bos,
            new_memory_embedding=self.new_memory_embedding,
            reranker=self.reranker,
            forgetting=self.forgetting,
        )

    def empty_memory(self) -> Memory:
        """A memory that has read nothing."""
        decoder = self.generate
        shape = (len(self.memory_layers), 0, decoder.kv_heads, decoder.head_size)
        rows = len(self.retriever.layers)
        tokens = Tokens(
            self._zeros(shape),
            self._zeros(shape),
            self._zeros((rows, 0, self.retriever.width)),
            torch.zeros((1, 0), dtype=torch.int64, device=self.device),
        )
        ages = torch.zeros((1, 0), dtype=torch.int64, device=self.device)
        tail = self._zeros((decoder.layers, 0, decoder.hidden))
        return Memory(ShortTermMemory(tokens, ages, tail), (), clock=0, chunks=0)

    def modules(self) -> list[nn.Module]:
        """The torch modules that hold the weights, each once."""
        found: list[nn.Module] = [self.generate.stack, self.retriever]
        if self.update.stack is not self.generate.stack:
            found.insert(0, self.update.stack)
        return found

    def _zeros(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)
