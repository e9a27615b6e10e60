"""One training step of M+: write a chunk of every stream, answer from it among others, score recall.

Gradients flow from the answers through the generate adapter and the new memory tokens into the
update adapter. Chunks of earlier steps are in the prefix too, detached: they need not be written again,
and teach the reader to ignore distractors. The retriever is trained alongside, on detached states, to
tell the chunk a question is about from others (contrastive cross-entropy).

Shapes: as in `models.training.batch`; T row tokens, n = 1 + C K prefix tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.cache import Prefix
from models.decoder import Decoder
from models.network import MPlusModel
from models.rotary import rotate
from models.training.batch import Batch, Losses, NewMemory
from models.training.recall import chunk_scores, prefix_relevance, recall_loss
from models.training.rows import IGNORED, Rows
from models.update import memory_states


class Trainee(nn.Module):
    """The network as one module with one forward, so that DDP and FSDP can wrap it."""

    def __init__(self, model: MPlusModel) -> None:
        super().__init__()
        self.llama = model.generate.stack
        self.retriever = model.retriever
        self._model = [model]  # in a list, so that the model is not a submodule of this one

    @property
    def model(self) -> MPlusModel:
        return self._model[0]

    def forward(self, batch: Batch) -> tuple[Losses, NewMemory]:
        states = self._write(batch)
        keys, values, normed = self._encoded(states)
        scores = chunk_scores(self.model, batch, normed)
        hidden = self._read(
            batch, keys, values, prefix_relevance(self.model, batch, scores, normed)
        )
        answer, continuation = reading_losses(self.model.generate, hidden, batch.rows)
        retriever, recall = recall_loss(scores, batch)
        with torch.no_grad():
            written = NewMemory(states.detach(), torch.stack(keys), torch.stack(values), normed)
        return Losses(answer, continuation, retriever, recall), written

    def _write(self, batch: Batch) -> Tensor:
        """Memory states (L, S, K, D) of the batch's chunks."""
        model = self.model
        bos = model.bos_states(model.update)
        return memory_states(model.update, model.config, batch.chunks, batch.tails, bos)

    def _encoded(self, states: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Keys and values (S, K, H, d) of each layer with memory; detached, the normed states
        (R, S, K, D).

        Lists, and `unbind`: the gradient of an indexed stack is a stack of zeros for every layer.
        """
        decoder = self.model.generate
        keys, values, by_layer = [], [], states.unbind(0)
        with decoder.active():
            for index in self.model.memory_layers:
                key, value = decoder.keys_values(index, by_layer[index])
                keys.append(key)
                values.append(value)
        layers = self.model.retriever.layers
        with torch.no_grad():
            normed = [decoder.normed(index, by_layer[index]) for index in layers]
        return keys, values, torch.stack(normed)

    def _read(
        self, batch: Batch, keys: list[Tensor], values: list[Tensor], relevance: Tensor | None
    ) -> Tensor:
        """Hidden states (S, T, D) of the rows after the last layer, behind each stream's prefix.

        Args:
            relevance: of `prefix_relevance`.
        """
        decoder, rows, each = self.model.generate, batch.rows, keys[0].shape[1]
        streams, places = batch.order.shape
        before = 1 + places * each
        lengths = 1 + (batch.order >= 0).sum(dim=1) * each
        seen = torch.arange(before, device=decoder.device) < lengths[:, None]
        rotary = decoder.rotary_at(lengths[:, None] + rows.offsets)
        prefix_rotary = decoder.rotary(0, before)
        mask = rows.mask(seen, decoder.dtype, relevance)
        plain = rows.mask(seen[:, :1], decoder.dtype)
        memory = {index: row for row, index in enumerate(self.model.memory_layers)}
        layout = _Layout(batch)
        bos = self.model.bos_states(decoder)
        with decoder.active():
            hidden = decoder.embed(rows.ids)
            for index in range(decoder.layers):
                lead = decoder.keys_values(index, bos[index][None])
                both = [side.expand(streams, -1, -1, -1) for side in lead]
                row = memory.get(index)
                if row is not None:
                    past = batch.past.keys[row], batch.past.values[row]
                    new = keys[row], values[row]
                    both = [
                        torch.cat([first, layout.laid_out(own, others)], dim=1)
                        for first, own, others in zip(both, new, past, strict=True)
                    ]
                prefix = Prefix(rotate(both[0], prefix_rotary[index]), both[1].transpose(1, 2))
                hidden = decoder.layer(
                    index, hidden, rotary, plain if row is None else mask, prefix
                )
        return hidden


class RetrieverTrainee(Trainee):
    """The same network with only the retriever trained: chunks are written, nothing is answered."""

    def forward(self, batch: Batch) -> tuple[Losses, NewMemory]:
        with torch.no_grad():
            states = self._write(batch)
            keys, values, normed = self._encoded(states)
            written = NewMemory(states, torch.stack(keys), torch.stack(values), normed)
        loss, recall = recall_loss(chunk_scores(self.model, batch, normed), batch)
        nothing = torch.zeros((), device=loss.device)
        return Losses(nothing, nothing, loss, recall), written


class _Layout:
    """The place of each chunk in the prefix, for all layers."""

    def __init__(self, batch: Batch) -> None:
        order, candidates = batch.order, batch.candidates
        self._is_own = (order == 0)[:, :, None, None, None]
        slots = functional.pad(candidates, (1, 0))  # the new chunk's is not used
        self._slots = slots.gather(1, order.clamp(min=0)).clamp(min=0)  # (S, C)
        self._streams = torch.arange(len(order), device=order.device)[:, None]

    def laid_out(self, own: Tensor, past: Tensor) -> Tensor:
        """One side of a layer's prefix (S, C K, H, d) of the new chunks (S, K, H, d) and the past's
        (S, P, K, H, d)."""
        chosen = past[self._streams, self._slots]  # (S, C, K, H, d)
        return torch.where(self._is_own, own[:, None], chosen).flatten(1, 2)


def reading_losses(reader: Decoder, hidden: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Losses of answers and of continuations: every example of a stream counts the same, whatever its
    length.

    Args:
        hidden: what left the last layer (S, T, D).
    """
    asked = rows.targets != IGNORED
    logits = reader.final(hidden[asked])
    losses = functional.cross_entropy(logits.float(), rows.targets[asked], reduction="none")
    streams, kinds, most = len(rows.ids), rows.kinds[asked], int(rows.examples.max()) + 1
    stream = torch.arange(streams, device=kinds.device)[:, None].expand(rows.ids.shape)
    example = (stream * most + rows.examples)[asked]
    return tuple(  # type: ignore[return-value]
        _mean_of_examples(losses, example, kinds == kind, (streams, most)) for kind in (1, 2)
    )


def _mean_of_examples(
    losses: Tensor, example: Tensor, chosen: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Mean over streams of the mean over each one's examples of their mean losses.

    Args:
        example: the example that each loss belongs to, numbered across all streams.
        chosen: which losses count; a stream without one counts 0.
        shape: streams, and the most examples a stream has.
    """
    empty = losses.new_zeros(shape[0] * shape[1])
    sums = empty.index_add(0, example[chosen], losses[chosen])
    counts = empty.index_add(0, example[chosen], torch.ones_like(losses[chosen]))
    means = (sums / counts.clamp(min=1)).view(shape)
    present = (counts > 0).view(shape).sum(dim=1).clamp(min=1)
    return (means.sum(dim=1) / present).mean()
