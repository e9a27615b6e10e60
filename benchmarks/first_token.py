"""Time to first token, against the base's prefill of the same prompt behind as long a prefix."""

from __future__ import annotations

import torch
from transformers import DynamicCache

from benchmarks.asking import first_token, prompt_ids
from benchmarks.common import Figure, alternate, as_loaded, parser, report, session, story_ids
from benchmarks.synthetic import grown


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=10_000, help="of text in long-term memory")
    given = options.parse_args()
    opened = session(given)
    model = opened.model
    config = model.config
    memory = grown(model, given.tokens, story_ids(opened, config.stm_tokens * config.ratio))
    recalled = min(config.recalled_tokens, memory.ltm_tokens)
    before = 1 + recalled + len(memory.stm)
    ids = torch.tensor([prompt_ids(opened)], device=model.device)
    llama = as_loaded(opened, model.generate)
    shape = (1, model.generate.kv_heads, before, model.generate.head_size)
    prefix = [
        (torch.zeros(shape, dtype=model.dtype, device=model.device),) * 2
        for _ in range(model.generate.layers)
    ]

    @torch.no_grad()
    def base() -> None:
        cache = DynamicCache(prefix)
        llama(ids, past_key_values=cache, logits_to_keep=1).logits.argmax().item()

    mine, theirs, ratio = alternate(given.rounds, first_token(opened, memory), base)
    figure = Figure(
        "time to first token", mine, "s",
        "the base's prefill of the prompt with a key/value prefix of the same length",
        theirs, ratio, "1.3 times it or less",
    )  # fmt: skip
    report(figure, opened, prefix=before, prompt_tokens=ids.shape[1])


if __name__ == "__main__":
    main()
