"""The retriever: the similarity of a question and memory tokens, layer by layer.

Two small perceptrons a layer, f_q for the question and f_k for memory tokens, and one way to score them
per `RetrieverShape.scorer`. Independent of where keys are stored and of what is done with scores.

Shapes: n or m memory tokens, q question tokens, R layers with a retriever, D hidden size,
P retriever width. States come in as the layer's projections see them (after its input norm).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from models.config import RetrieverShape


class Perceptron(nn.Module):
    """D -> hidden -> P with one non-linearity and no bias."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, activation: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, hidden, bias=False)
        self.outer = nn.Linear(hidden, outputs, bias=False)
        self.activation = activation

    def forward(self, states: Tensor) -> Tensor:
        """States (..., D) to outputs (..., P)."""
        out: Tensor = self.outer(self.activation(self.inner(states)))
        return out


class SigmoidRetriever(nn.Module):
    """The paper's (M+, section 3.2): a memory token scores the mean over the question's tokens of
    sigmoid(f_q(h) . f_k(m))."""

    def __init__(self, shape: RetrieverShape, layers: int, hidden: int) -> None:
        super().__init__()
        self.layers = shape.of_layers(layers)
        form = (hidden, shape.hidden, shape.width, functional.silu)
        self.query = nn.ModuleList(Perceptron(*form) for _ in self.layers)
        self.key = nn.ModuleList(Perceptron(*form) for _ in self.layers)
        self.width = shape.width

    def keys(self, row: int, states: Tensor) -> Tensor:
        """Memory tokens (..., n, D) of the row-th retriever layer to keys (..., n, P)."""
        out: Tensor = self.key[row](states)
        return out

    def queries(self, row: int, states: Tensor) -> Tensor:
        """Question tokens (..., q, D) to queries (..., q, P)."""
        out: Tensor = self.query[row](states)
        return out

    def token_scores(self, row: int, queries: Tensor, keys: Tensor) -> Tensor:
        """Scores (m,) of memory tokens with keys (m, P) for queries (q, P)."""
        return (queries @ keys.to(queries).T).sigmoid().mean(dim=0)


class MaxSimRetriever(nn.Module):
    """Late interaction: each question token looks for its best memory token in a chunk.

    A chunk's score is the sum over layers and question tokens of gate(h) * max_j cos(f_q(h), f_k(m_j)):
    the form of ColBERT (arXiv 2004.12832), with a learned gate that weighs the question tokens.
    f_q and f_k are perceptrons beside a linear path, so that they start as useful projections.
    """

    def __init__(self, shape: RetrieverShape, layers: int, hidden: int) -> None:
        super().__init__()
        self.layers = shape.of_layers(layers)
        self.width = shape.width
        inner = shape.hidden
        self.query = nn.ModuleList(_Tower(hidden, inner, self.width) for _ in self.layers)
        self.key = nn.ModuleList(_Tower(hidden, inner, self.width) for _ in self.layers)
        self.gate = nn.ModuleList(_zero_linear(hidden) for _ in self.layers)
        for row in range(len(self.layers)):
            self.query[row].load_state_dict(self.key[row].state_dict())

    def keys(self, row: int, states: Tensor) -> Tensor:
        """Memory tokens (..., n, D) of the row-th retriever layer to unit keys (..., n, P)."""
        return functional.normalize(self.key[row](states), dim=-1)

    def queries(self, row: int, states: Tensor) -> Tensor:
        """Question tokens (..., q, D) to queries (..., q, P); their length is their gate."""
        gate = functional.softplus(self.gate[row](states))
        return functional.normalize(self.query[row](states), dim=-1) * gate

    def token_scores(self, row: int, queries: Tensor, keys: Tensor) -> Tensor:
        """Similarities (q, m) of every question token and memory token."""
        return queries @ keys.to(queries).T


class CosineRetriever(nn.Module):
    """Untrained: MaxSim over the hidden states themselves, every question token weighing the same.

    At layer 0 this counts which of the question's tokens occur in a chunk.
    """

    def __init__(self, shape: RetrieverShape, layers: int, hidden: int) -> None:
        super().__init__()
        self.layers = shape.of_layers(layers)
        self.width = hidden

    def keys(self, row: int, states: Tensor) -> Tensor:
        """Memory tokens (..., n, D) to unit keys (..., n, D)."""
        return functional.normalize(states, dim=-1)

    def queries(self, row: int, states: Tensor) -> Tensor:
        """Question tokens (..., q, D) to unit queries (..., q, D)."""
        return functional.normalize(states, dim=-1)

    def token_scores(self, row: int, queries: Tensor, keys: Tensor) -> Tensor:
        """Similarities (q, m) of every question token and memory token."""
        return queries @ keys.to(queries).T


def _zero_linear(inputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, 1)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class _Tower(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.perceptron = Perceptron(inputs, hidden, outputs, functional.relu) if hidden else None
        if self.perceptron is not None:
            nn.init.zeros_(self.perceptron.outer.weight)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.linear(states)
        return out if self.perceptron is None else out + self.perceptron(states)


Retriever = SigmoidRetriever | MaxSimRetriever | CosineRetriever


def make_retriever(shape: RetrieverShape, layers: int, hidden: int) -> Retriever:
    """The retriever of a shape, freshly initialised, for a base of so many layers and hidden size D."""
    kinds: dict[str, type[SigmoidRetriever] | type[MaxSimRetriever] | type[CosineRetriever]] = {
        "sigmoid": SigmoidRetriever,
        "maxsim": MaxSimRetriever,
        "cosine": CosineRetriever,
    }
    return kinds[shape.scorer](shape, layers, hidden)
