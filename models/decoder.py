"""One way through the base model: its Llama decoder stack, seen under one adapter.

Adds to `transformers`' Llama only what memory needs: running the layers one by one behind a prefix
of keys and values, and turning hidden states into such a prefix. Knows nothing of memories,
retrieval or training.

Shapes: B batch, T text tokens, n prefix tokens, L layers, D hidden size, H key/value heads,
d head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaForCausalLM, rotate_half

from models import compat
from models.attention import CAUSAL

Rotary = tuple[Tensor, Tensor]


class KeyValues(Protocol):
    """What a decoder layer attends to besides its own tokens (a `transformers` cache, in part)."""

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Take a layer's new keys and values (B, H, T, d); return all it shall attend to."""


class Prefix:
    """Keys and values of one layer in front of the text; keeps nothing, so gradients flow."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys  # (B, H, n, d), rotated
        self.values = values

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)


class KeyValueCache:
    """Keys and values of every layer in buffers of fixed size, filled from the left.

    Layers may hold a prefix of different lengths; the longest says where the next token stands.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, int, int, int]],
        dtype: torch.dtype,
        device: Any,
        bias: Tensor | None = None,
        forks: int = 1,
    ) -> None:
        """Buffers of a shape (B, H, capacity, d) for each layer.

        Args:
            bias: added to the attention logits of the first n tokens (n,) by all that come later, in
                the layers of the longest prefix.
            forks: tokens that `StepDecoder.fork` is given at most; there is room for them at the end too.
        """
        wide = [(*shape[:2], shape[2] + forks - 1, shape[3]) for shape in shapes]
        self._keys = [torch.empty(shape, dtype=dtype, device=device) for shape in wide]
        self._values = [torch.empty(shape, dtype=dtype, device=device) for shape in wide]
        self._lengths = [0] * len(shapes)
        self.capacity = max(shape[2] for shape in shapes)
        self._bias = None if bias is None else bias.to(dtype)

    def masks(self, tokens: int = 1) -> list[Tensor | None]:
        """For each layer the additive mask (1, 1, T, n + T) for T tokens that each stand behind the n
        held and see none of the others; None: none needed."""
        masks = {length: self._mask(length, tokens) for length in set(self._lengths)}
        return [masks[length] for length in self._lengths]

    def _mask(self, length: int, tokens: int) -> Tensor | None:
        """That of a layer which holds so many."""
        bias = self._bias if length == len(self) else None
        if bias is None and tokens == 1:
            return None
        like = self._keys[0]
        mask = like.new_zeros(tokens, length + tokens)
        mask[:, length:] = torch.finfo(like.dtype).min
        mask[:, length:].fill_diagonal_(0)
        if bias is not None:
            mask[:, : len(bias)] = bias
        return mask[None, None]

    def __len__(self) -> int:
        """Tokens the layers with the longest prefix hold, between passes."""
        return max(self._lengths)

    def keep(self, index: int, tokens: int) -> None:
        """Of the last `tokens` tokens, which stood side by side, keep the index-th."""
        for layer, length in enumerate(self._lengths):
            first = length - tokens
            for rows in (self._keys[layer], self._values[layer]):
                rows[:, :, first] = rows[:, :, first + index]
            self._lengths[layer] = first + 1

    def mark(self) -> tuple[int, ...]:
        """Where the cache ends now, to come back to."""
        return tuple(self._lengths)

    def rewind(self, mark: Sequence[int]) -> None:
        """Forget what came after a mark."""
        self._lengths = list(mark)

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        start = self._lengths[layer_idx]
        stop = start + keys.shape[2]
        if stop > (capacity := self._keys[layer_idx].shape[2]):
            raise ValueError(f"the cache holds {capacity} tokens, {stop} were given")
        self._keys[layer_idx][:, :, start:stop] = keys
        self._values[layer_idx][:, :, start:stop] = values
        self._lengths[layer_idx] = stop
        return self._keys[layer_idx][:, :, :stop], self._values[layer_idx][:, :, :stop]


class StepDecoder(Protocol):
    """Decodes step by step: reads one token at a time behind a cache."""

    def step(self, token: int, cache: KeyValueCache) -> Tensor:
        """Read one token behind the cache: logits (1, V) in float32."""

    def fork(self, tokens: Sequence[int], cache: KeyValueCache) -> Tensor:
        """Read T tokens, each as the next one behind the cache: logits (T, V) in float32.

        The cache holds all of them until it is told which one to `keep`.
        """


class Decoder:
    """A Llama model under one adapter, layer by layer.

    Two decoders may share one model (adapters kept apart) or each hold its own (adapters merged).
    """

    def __init__(self, llama: LlamaForCausalLM, adapter: str | None = None) -> None:
        self.llama = llama
        self.adapter = adapter
        config = llama.config
        self.layers: int = config.num_hidden_layers
        self.hidden: int = config.hidden_size
        self.kv_heads = int(config.num_key_value_heads or config.num_attention_heads)
        head_size = getattr(config, "head_dim", None)
        self.head_size = int(head_size or config.hidden_size // config.num_attention_heads)
        self.positions: int = config.max_position_embeddings
        self._cache_argument = compat.cache_argument(llama.model.layers[0])

    @property
    def device(self) -> torch.device:
        device: torch.device = self.llama.model.embed_tokens.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.llama.model.embed_tokens.weight.dtype
        return dtype

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this decoder's adapter the one the model's layers apply."""
        if self.adapter is not None:
            compat.activate_adapter(self.llama, self.adapter)
        yield

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) to the hidden states that enter layer 0 (B, T, D)."""
        embedded: Tensor = self.llama.model.embed_tokens(ids)
        return embedded

    def rotary(self, start: int, length: int) -> Rotary:
        """Cosines and sines (1, length, d) of positions start, start + 1, ..."""
        positions = torch.arange(start, start + length, device=self.device)[None]
        sample = torch.empty(0, dtype=self.dtype, device=self.device)
        rotary: Rotary = self.llama.model.rotary_emb(sample, position_ids=positions)
        return rotary

    def layer(
        self,
        index: int,
        hidden: Tensor,
        rotary: Rotary,
        mask: Tensor | None,
        cache: KeyValues | None,
    ) -> Tensor:
        """Run decoder layer `index` over hidden (B, T, D) behind what `cache` holds."""
        out: Tensor = self.llama.model.layers[index](
            hidden,
            attention_mask=mask,
            position_embeddings=rotary,
            **{self._cache_argument: cache},
        )
        return out

    def mask(self, queries: int, prefix: int, bias: Tensor | None = None) -> Tensor | None:
        """Causal mask (1, 1, T, n + T), additive; None where the kernel needs none.

        SDPA's own causal mask is aligned top-left, so a prefix needs this one.

        Args:
            bias: added to the logits of the prefix (n,).

        Raises:
            ValueError: a bias, and a kernel that takes no mask.
        """
        kernel = compat.attention_kernel(self.llama)
        if kernel.startswith("flash") and bias is not None:
            raise ValueError("flash attention cannot weigh memory: use sdpa or eager")
        if bias is None and (queries == 1 or kernel == CAUSAL or kernel.startswith("flash")):
            return None
        allowed = torch.ones(queries, prefix + queries, dtype=torch.bool, device=self.device)
        zeros = torch.zeros((), dtype=self.dtype, device=self.device)
        least = torch.finfo(self.dtype).min
        mask = torch.where(allowed.tril(diagonal=prefix), zeros, least)[None, None]
        if bias is not None:
            mask[..., :prefix] += bias.to(mask)
        return mask

    def normed(self, index: int, states: Tensor) -> Tensor:
        """States as layer `index`'s projections see them (after its input norm)."""
        out: Tensor = self.llama.model.layers[index].input_layernorm(states)
        return out

    def keys_values(self, index: int, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, n, H, d) of states (B, n, D) entering layer `index`, not rotated."""
        normed = self.normed(index, states)
        attention = self.llama.model.layers[index].self_attn
        shape = (*states.shape[:-1], self.kv_heads, self.head_size)
        return attention.k_proj(normed).view(shape), attention.v_proj(normed).view(shape)

    def step(self, token: int, cache: KeyValueCache) -> Tensor:
        """Read one token behind the cache: logits (1, V) in float32."""
        return self.fork([token], cache)

    @torch.no_grad()
    def fork(self, tokens: Sequence[int], cache: KeyValueCache) -> Tensor:
        """As `StepDecoder.fork`.

        Raises:
            ValueError: several tokens, and a kernel that takes no mask.
        """
        masks = cache.masks(len(tokens))
        if len(tokens) > 1 and compat.attention_kernel(self.llama).startswith("flash"):
            raise ValueError("flash attention cannot look ahead: use sdpa or eager")
        rotary = self.rotary(len(cache), 1)
        with self.active():
            hidden = self.embed(torch.tensor([list(tokens)], device=self.device))
            for index in range(self.layers):
                hidden = self.layer(index, hidden, rotary, masks[index], cache)
            return self.final(hidden)[0].float()

    def final(self, hidden: Tensor) -> Tensor:
        """Logits (B, T, V) of what left the last layer."""
        logits: Tensor = self.llama.lm_head(self.llama.model.norm(hidden))
        return logits


def rotate(keys: Tensor, rotary: Rotary) -> Tensor:
    """Rotate keys (B, n, H, d) to the first n positions given, laid out for attention: (B, H, n, d)."""
    cos, sin = (part[:, None, : keys.shape[1]] for part in rotary)  # (1, 1, n, d)
    keys = keys.transpose(1, 2)
    rotated: Tensor = keys * cos + rotate_half(keys) * sin
    return rotated
