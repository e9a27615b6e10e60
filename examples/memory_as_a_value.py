"""The network alone: text to memory tokens, memory tokens to an answer. Nothing is stored.

    python examples/memory_as_a_value.py MODEL

MODEL is what `models.checkpoints.load` takes: a folder (see `mplus model path`) or a Hub id.
"""

from __future__ import annotations

import sys

from models import checkpoints
from models.generate import Generated, Recalled, stream
from models.prompts import encode_plain
from models.recall import look_up
from models.update import read_chunk

TEXT = (
    "The lighthouse on Gull Rock was kept by Orla Finch, who had a goat named Admiral. "
    "Every evening she lit the lamp with a brass key and wrote the weather in a green book. "
)
QUESTION = "What is the goat of the lighthouse keeper called?"


def main(model: str) -> None:
    loaded = checkpoints.load(model)
    memory = loaded.initial_memory or loaded.model.empty_memory()
    ids = encode_plain(loaded.tokenizer, TEXT)
    size = loaded.model.config.chunk_tokens
    for start in range(0, len(ids), size):
        memory = read_chunk(loaded.model, memory, ids[start : start + size])
    print(f"{len(ids)} tokens of text are {len(memory.stm)} memory tokens in each layer")
    prompt, query = loaded.prompt.render(loaded.tokenizer, QUESTION)
    answer: list[int] = []
    found = look_up(loaded.model, memory, query)
    for event in stream(
        loaded.model, memory, found, prompt, max_new_tokens=40, stop_ids=loaded.stop_ids
    ):
        if isinstance(event, Recalled):
            print(f"{event.stm_tokens} short-term and {event.recalled_tokens} recalled tokens")
        elif isinstance(event, Generated):
            answer.append(event.id)
    print(loaded.tokenizer.decode(answer).strip())


if __name__ == "__main__":
    main(sys.argv[1])
