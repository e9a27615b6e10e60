"""Tables of models. Builds what `rich` draws; prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from mplus_cli.terminal.memory_view import plain_table
from mplus_cli.visible import one_line


def models_table(listed: Iterable[dict[str, Any]]) -> Table:
    """The table of `mplus model list`."""
    table = plain_table(("", False), ("name", False), ("kind", False), ("", False))
    for model in listed:
        notes = [model["note"], "" if model["here"] else "base not fetched yet: mplus model pull"]
        table.add_row(
            "*" if model["current"] else "",
            Text(one_line(model["name"])),
            model["kind"],
            "; ".join(note for note in notes if note),
        )
    return table


def model_description(described: dict[str, Any]) -> Table:
    """The table of `mplus model show`."""
    config = described["config"]
    layers = config["retriever_layers"]
    with_retriever = f"layers {', '.join(map(str, layers))}" if layers else "every layer"
    rows = {
        "name": described["name"],
        "": described["note"],
        "base": described["base"],
        "licence": described["licence"] or "not known: see where the model came from",
        "layers": f"{described['layers']} of {described['hidden']}, "
        f"{described['positions']:,} positions",
        "chunks": f"of {config['chunk_tokens']} tokens of text, each kept as {config['new_tokens']} "
        f"memory tokens per layer ({described['ratio']}:1)" + _in_layers(config["memory_layers"]),
        "short-term": f"{config['stm_tokens']:,} tokens (N)",
        "recalled": f"{config['recalled_tokens']:,} tokens a question (K0)",
        "memory": f"{config['memory_positions']} {config['memory_state']} states, "
        f"drops the {config['drop']}" + ("" if config["drop"] == "oldest" else " ones"),
        "adapters": f"update rank {config['update_lora_rank']}, "
        f"generate rank {config['generate_lora_rank']}",
        "retriever": f"{config['scorer']}, {config['retriever_width']} wide, {with_retriever}",
        "fingerprint": described["fingerprint"],
    }
    table = plain_table(("", False), ("", False))
    table.show_header = False
    for label, value in rows.items():
        if value:
            table.add_row(Text(label, style="dim"), Text(one_line(str(value))))
    return table


def _in_layers(layers: Sequence[int] | None) -> str:
    """The layers with memory, if not all of them."""
    if layers is None:
        return ""
    first, last = min(layers), max(layers)
    if 1 < len(layers) == last - first + 1:
        return f", in layers {first} to {last}"
    return f", in layers {', '.join(map(str, layers))}"
