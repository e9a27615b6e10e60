"""One training step of M+: write a chunk of every stream, read it back among others, score recall.

Gradients flow from the answers through the generate adapter and the new memory tokens into the
update adapter. Chunks of earlier steps are in the prefix too, detached: they cost no writing, and
teach the readers to find their way among distractors. The retriever learns beside them, on detached
states, to tell the chunk a question is about from others (contrastive cross-entropy).

Shapes: S streams, T text tokens, K memory tokens a chunk, n prefix tokens, L layers, D hidden size,
R retriever layers.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.decoder import Prefix, rotate
from models.network import MPlusModel
from models.training.batch import Batch, Losses, Written
from models.training.recall import prefix_relevance, recall_loss
from models.training.rows import IGNORED, Rows
from models.update import memory_states


class Trainee(nn.Module):
    """The network as one module with one forward, so that DDP and FSDP can wrap it."""

    def __init__(self, model: MPlusModel) -> None:
        super().__init__()
        self.llama = model.generate.llama
        self.retriever = model.retriever
        self._model = [model]  # a list: the model is no submodule of this one

    @property
    def model(self) -> MPlusModel:
        return self._model[0]

    def forward(self, batch: Batch) -> tuple[Losses, Written]:
        model = self.model
        states = self._write(batch)
        keys, values, normed = self._encoded(states)
        hidden = self._read(batch, keys, values, normed)
        answer, continuation = self._reading_losses(hidden, batch.rows)
        retriever, recall = recall_loss(model, batch, normed)
        with torch.no_grad():
            written = Written(states.detach(), torch.stack(keys), torch.stack(values), normed)
        return Losses(answer, continuation, retriever, recall), written

    def _write(self, batch: Batch) -> Tensor:
        """Memory states (L, S, K, D) of the batch's chunks."""
        model, config = self.model, self.model.config
        if batch.whole:
            size = config.chunk_tokens
            config = replace(config, new_tokens=size, stm_tokens=max(size, config.stm_tokens))
        bos = model.bos_states(model.update)
        return memory_states(
            model.update, config, batch.chunks, batch.tails, bos, salience=model.salience
        )

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
        self, batch: Batch, keys: list[Tensor], values: list[Tensor], normed: Tensor
    ) -> Tensor:
        """Hidden states (S, T, D) of the rows after the last layer, behind each stream's prefix."""
        decoder, rows = self.model.generate, batch.rows
        streams = rows.ids.shape[0]
        longest = max(sum(part.keys.shape[1] for part in parts) for parts in batch.distractors)
        own = keys[0].shape[1]
        before = 1 + longest + own
        seen = torch.zeros(streams, before, dtype=torch.bool, device=decoder.device)
        lengths = []
        for stream, parts in enumerate(batch.distractors):
            length = 1 + own + sum(part.keys.shape[1] for part in parts)
            seen[stream, :length] = True
            lengths.append(length)
        starts = torch.tensor(lengths, device=decoder.device)
        positions = starts[:, None] + rows.offsets
        sample = torch.empty(0, dtype=decoder.dtype, device=decoder.device)
        rotary = decoder.llama.model.rotary_emb(sample, position_ids=positions)
        prefix_rotary = decoder.rotary(0, before)
        relevance = prefix_relevance(self.model, batch, normed, before)
        mask = rows.mask(seen, decoder.dtype, relevance)
        plain = rows.mask(seen[:, :1], decoder.dtype)
        memory = {index: row for row, index in enumerate(self.model.memory_layers)}
        bos = self.model.bos_states(decoder)
        with decoder.active():
            hidden = decoder.embed(rows.ids)
            for index in range(decoder.layers):
                lead = decoder.keys_values(index, bos[index][None])
                row = memory.get(index)
                if row is None:
                    both = [side.expand(streams, -1, -1, -1) for side in lead]
                else:
                    layer, first = (keys[row], values[row]), [side[0] for side in lead]
                    both = [_lay_out(batch, first, layer, part, row, before) for part in (0, 1)]
                prefix = Prefix(rotate(both[0], prefix_rotary), both[1].transpose(1, 2))
                hidden = decoder.layer(
                    index, hidden, rotary, plain if row is None else mask, prefix
                )
        return hidden

    def _reading_losses(self, hidden: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Of answers and of continuations: every piece of a stream counts the same, however long."""
        asked = rows.targets != IGNORED
        logits = self.model.generate.final(hidden[asked])
        losses = functional.cross_entropy(logits.float(), rows.targets[asked], reduction="none")
        streams, kinds, most = len(rows.ids), rows.kinds[asked], int(rows.pieces.max()) + 1
        stream = torch.arange(streams, device=kinds.device)[:, None].expand(rows.ids.shape)
        piece = (stream * most + rows.pieces)[asked]
        return tuple(  # type: ignore[return-value]
            _mean_of_pieces(losses, piece, kinds == kind, (streams, most)) for kind in (1, 2)
        )


class RetrieverTrainee(Trainee):
    """The same network where the retriever alone learns: chunks are written, nothing is read."""

    def forward(self, batch: Batch) -> tuple[Losses, Written]:
        model = self.model
        with torch.no_grad():
            states = self._write(batch)
            keys, values, normed = self._encoded(states)
            written = Written(states, torch.stack(keys), torch.stack(values), normed)
        loss, recall = recall_loss(model, batch, normed)
        nothing = torch.zeros((), device=loss.device)
        return Losses(nothing, nothing, loss, recall), written


def _lay_out(
    batch: Batch,
    lead: list[Tensor],
    layer: tuple[Tensor, Tensor],
    part: int,
    index: int,
    before: int,
) -> Tensor:
    """One side (keys or values) of every stream's prefix (S, n, H, d), padded on the right."""
    rows = []
    for stream, others in enumerate(batch.distractors):
        sides = [(other.keys if part == 0 else other.values)[index] for other in others]
        own = layer[part][stream]
        place = batch.places[stream]
        row = torch.cat([lead[part], *sides[:place], own, *sides[place:]])
        rows.append(functional.pad(row, (0, 0, 0, 0, 0, before - row.shape[0])))
    return torch.stack(rows)


def _mean_of_pieces(
    losses: Tensor, piece: Tensor, chosen: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Mean over streams of the mean over each one's pieces of their mean losses.

    Args:
        piece: the piece each loss belongs to, counted through all streams.
        chosen: which losses count; a stream without one counts 0.
        shape: streams, and pieces a stream at most.
    """
    empty = losses.new_zeros(shape[0] * shape[1])
    sums = empty.index_add(0, piece[chosen], losses[chosen])
    counts = empty.index_add(0, piece[chosen], torch.ones_like(losses[chosen]))
    means = (sums / counts.clamp(min=1)).view(shape)
    present = (counts > 0).view(shape).sum(dim=1).clamp(min=1)
    return (means.sum(dim=1) / present).mean()
