"""One way through the base: its layers one by one, seen under one adapter, behind keys and values.

Adds to a `Stack` only what memory needs: running the layers behind a prefix of keys and values, and
turning hidden states into such a prefix. Independent of memories, retrieval and training.

Shapes: B batch, T text tokens, n prefix tokens, L layers, D hidden size, H key/value heads,
d head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models import compat
from models.attention import CAUSAL, KERNELS, causal_mask, few, for_heads
from models.cache import KeyValueCache, Paths
from models.layer import (
    Join,
    KeyValues,
    LayerWeights,
    each,
    keys_values_of,
    layer_weights,
    run_layer,
)
from models.merging import Adapter
from models.projections import LayOut, Projection, join, merged, prepack
from models.rotary import Turn, frequencies, turn, turned_at_once
from models.stack import Stack

Rotary = Sequence[Turn | None]
"""The turn of some positions in every layer; None where a layer knows no positions."""


class Decoder:
    """A stack under one adapter, layer by layer.

    Two decoders may share one stack, whatever their adapters.

    Args:
        adapter: the name of one that is injected into the stack and live (training), or one apart, which
            is merged into each layer's weights when the layer is run.
        attention: one of `models.attention.KERNELS`.
        keep: keep merged weights for the next pass, which takes as much memory as the layers do.

    Raises:
        ValueError: there is no such attention.
    """

    def __init__(
        self,
        stack: Stack,
        adapter: str | Adapter | None = None,
        *,
        attention: str = "sdpa",
        keep: bool = True,
    ) -> None:
        if attention not in KERNELS:
            raise ValueError(f"there is no attention {attention!r}: choose {', '.join(KERNELS)}")
        self.stack = stack
        self.adapter = adapter if isinstance(adapter, str) else None
        self.apart = adapter if isinstance(adapter, Adapter) else None
        self.attention = attention
        self.keep = keep
        shape = stack.architecture
        self.layers = len(shape.layers)
        self.hidden, self.vocabulary = shape.hidden, shape.vocabulary
        self.kv_heads, self.head_size = shape.kv_heads, shape.head_size
        self.positions = shape.positions
        self.windows = [kind.window for kind in shape.layers]
        self._weights: dict[int, LayerWeights] = {}
        self._to_prefix: dict[int, Projection] = {}
        self._radians = {
            id(kind.rotary): frequencies(kind.rotary, shape.head_size, shape.positions)
            for kind in shape.layers
            if kind.rotary is not None
        }

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.stack.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights and of hidden states."""
        return self.stack.dtype

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this decoder's live adapter the one the stack's modules apply."""
        if self.adapter is not None:
            compat.activate_adapter(self.stack, self.adapter)
        yield

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) to the hidden states that enter layer 0 (B, T, D)."""
        hidden: Tensor = self.stack.model.embed_tokens(ids)
        scale = self.stack.architecture.embedding_scale
        return hidden if scale == 1.0 else hidden * torch.tensor(scale, dtype=hidden.dtype)

    def rotary(self, start: int, length: int) -> Rotary:
        """Turns of positions start, start + 1, ... in every layer."""
        return self.rotary_at(torch.arange(start, start + length, device=self.device)[None])

    def rotary_at(self, positions: Tensor) -> Rotary:
        """Turns of positions (B, T) in every layer."""
        turns: dict[int, Turn | None] = {}
        for spec, (radians, factor) in self._radians.items():
            turns[spec] = turn((radians.to(self.device), factor), positions, self.dtype)
        return [turns.get(id(kind.rotary)) for kind in self.stack.architecture.layers]

    def layer(
        self,
        index: int,
        hidden: Tensor,
        rotary: Rotary,
        mask: Tensor | None,
        cache: KeyValues | None,
    ) -> Tensor:
        """Run layer `index` over hidden (B, T, D), the states that enter it: those that leave it (B, T, D).

        Args:
            rotary: of the T positions.
            mask: additive (B or 1, 1, T, n + T), see `mask`; a layer's sliding window is added to it.
            cache: the n keys and values the text stands behind; it is given those of the text.
        """
        length, window = hidden.shape[1], self.windows[index]
        before = 0 if cache is None else cache.held(index)
        if window is not None and before + length > window:
            band = causal_mask(length, before, hidden, window)
            mask = band if mask is None else band + mask
        return run_layer(
            self.stack.architecture,
            self.weights(index),
            index,
            hidden,
            rotary[index],
            mask,
            cache,
            KERNELS[self.attention],
        )

    def weights(self, index: int) -> LayerWeights:
        """What layer `index` computes with: the stack's modules, or the same with the adapter merged."""
        found = self._weights.get(index)
        if found is None:
            if not self.keep and self.apart is not None:
                self._weights.clear()  # only the newest is there, which a pass asks for more than once
            found = layer_weights(
                self.stack.model.layers[index], self.stack.architecture, self._join(index)
            )
            self._weights[index] = found
        return found

    def give_back(self) -> None:
        """Between passes: release what can be made again, if weights are not kept from pass to pass."""
        if not self.keep and self.apart is not None:
            self._weights.clear()
            self.apart.give_back()

    def _join(self, index: int) -> Join:
        """Makes projections of layer `index`: of the modules, or of weights with the adapter merged."""
        lay_out = prepack if self.keep else join
        return each if self.apart is None else partial(self.joined, index, lay_out)

    def joined(
        self, index: int, lay_out: LayOut, linears: Sequence[nn.Linear], names: Sequence[str]
    ) -> Projection:
        """One projection of several of layer `index`, the adapter merged in where it is apart.

        Args:
            names: of the projections in the layer.
        """
        whole = [f"model.layers.{index}.{name}" for name in names]
        return merged(linears, whole, self.apart, lay_out, self.stack.give_back)

    def mask(self, queries: int, prefix: int, bias: Tensor | None = None) -> Tensor | None:
        """Causal mask (1, 1, T, n + T), additive; None where the kernel needs none.

        Args:
            bias: added to the logits of the prefix (n,).
        """
        if bias is None and (queries == 1 or self.attention == CAUSAL):
            return None
        like = torch.empty(0, dtype=self.dtype, device=self.device)
        mask = causal_mask(queries, prefix, like)
        if bias is not None:
            mask[..., :prefix] += bias.to(mask)
        return mask

    def normed(self, index: int, states: Tensor) -> Tensor:
        """States as layer `index`'s projections see them (after its input norm, if it has one)."""
        layer: Any = self.stack.model.layers[index]
        if self.stack.architecture.norm_place == "after":
            return states
        out: Tensor = layer.input_layernorm(states)
        return out

    def keys_values(self, index: int, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, n, H, d) of states (B, n, D) entering layer `index`, not rotated."""
        attention: Any = self.stack.model.layers[index].self_attn
        project = self._to_prefix.get(index)
        if project is None:
            names = ("self_attn.k_proj", "self_attn.v_proj")
            project = self._join(index)([attention.k_proj, attention.v_proj], names)
            if self.keep or self.apart is None:
                self._to_prefix[index] = project
        shape = self.stack.architecture
        k_norm = None if shape.head_norms == "none" else attention.k_norm
        return keys_values_of(shape, k_norm, project(self.normed(index, states)))

    def prepare(self) -> None:
        """Nothing to do: steps take the weights of every pass."""

    def release(self) -> None:
        """Nothing to do, likewise."""

    def step(self, token: int, cache: KeyValueCache) -> Tensor:
        """Read one token behind the cache: logits (1, V) in float32."""
        return self.fork([token], cache)

    @torch.no_grad()
    def fork(
        self, tokens: Sequence[int], cache: KeyValueCache, paths: Paths | None = None
    ) -> Tensor:
        """As `StepDecoder.fork`."""
        with self.active():
            hidden = self.embed(torch.tensor([list(tokens)], device=self.device))
            hidden = self.side_by_side(hidden, cache, paths, self.weights)
            return self.final(hidden)[0].float()

    def side_by_side(
        self,
        hidden: Tensor,
        cache: KeyValueCache,
        paths: Paths | None,
        weights: Callable[[int], LayerWeights],
    ) -> Tensor:
        """Run all layers over hidden (1, T, D) of tokens side by side behind the cache: (1, T, D).

        Args:
            paths: as of `StepDecoder.fork`.
            weights: what a layer computes with.
        """
        paths = paths or Paths.apart(hidden.shape[1])
        positions = torch.tensor([cache.positions(paths)], device=self.device)
        masks, rotary, shape = (
            cache.masks(paths),
            self.rotary_at(positions),
            self.stack.architecture,
        )
        if shape.attention_cap is None:
            masks = for_heads(masks, shape.heads // shape.kv_heads)
        for index in range(self.layers):
            hidden = run_layer(
                shape,
                *(weights(index), index, hidden, rotary[index], masks[index], cache, few),
                turner=turned_at_once,
            )
        return hidden

    def final(self, hidden: Tensor) -> Tensor:
        """Logits (B, T, V) of what left the last layer."""
        return self.logits_of(self.head(self.stack.model.norm(hidden)))

    @property
    def head(self) -> Projection:
        """The output head D -> V, prepacked for all decoders of the stack if this one keeps its weights."""
        stack = self.stack
        if not self.keep or self.apart is None:
            return stack.lm_head
        if stack.head is None:
            stack.head = prepack([stack.lm_head.weight], stack.lm_head.bias)
            for name in ("lm_head.weight", "model.embed_tokens.weight"):
                stack.give_back(name)
        return stack.head

    def logits_of(self, projected: Tensor) -> Tensor:
        """What the output head gives (..., V), as the family scales it."""
        shape = self.stack.architecture
        if shape.logit_scale != 1.0:
            projected = projected * shape.logit_scale
        if shape.logit_cap is not None:
            projected = (projected / shape.logit_cap).tanh() * shape.logit_cap
        return projected

    def logits(self, ids: Tensor, last: int | None = None) -> Tensor:
        """Logits (B, T, V) of texts on their own: ids (B, T), of which the first is at position 0.

        Args:
            last: only those of so many tokens at the end.
        """
        rotary, mask = self.rotary(0, ids.shape[1]), self.mask(ids.shape[1], 0)
        with self.active():
            hidden = self.embed(ids)
            for index in range(self.layers):
                hidden = self.layer(index, hidden, rotary, mask, None)
            return self.final(hidden if last is None else hidden[:, -last:])
