"""Decode, tokens/s, against `transformers.generate` with the same prefix; and how far they agree.

The commands decode with the layers' weights in 8 bits (`models.fast_decode`); `--exact` leaves them as
they are.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from benchmarks.asking import QUESTION, prompt_ids
from benchmarks.common import Figure, alternate, as_loaded, parser, report, session, story_ids
from benchmarks.synthetic import grown
from models.fast_decode import FastDecoder, join
from models.generate import prefill
from models.recall import look_up
from models.sampling import Sampling, decode, draw


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--new-tokens", type=int, default=32)
    options.add_argument("--exact", action="store_true", help="decode with weights as they are")
    given = options.parse_args()
    opened = session(given)
    if given.exact:
        opened.model.step_decoder = FastDecoder(opened.model.generate, join)
    model, count = opened.model, given.new_tokens
    config = model.config
    memory = grown(model, 10_000, story_ids(opened, config.stm_tokens * config.ratio))
    recall = look_up(model, memory, opened.plain_tokenizer.encode(QUESTION)[0]).recall
    logits, cache = prefill(model, memory, recall, prompt_ids(opened), spare=count + 1)
    held, lengths = len(cache), list(cache._lengths)
    parts = zip(cache._keys, cache._values, lengths, strict=True)
    # A layer without memory gets zeros: transformers' cache is of one length.
    prefix = [
        tuple(pad(side[:, :, :length], (0, 0, held - length, 0)).clone() for side in (keys, values))
        for keys, values, length in parts
    ]
    first = draw(logits[-1], Sampling(), torch.Generator())
    ids = torch.full((1, held + 1), first, device=model.device)
    said: dict[str, list[int]] = {}
    base_llama = as_loaded(opened, model.generate)

    def mine() -> None:
        cache._lengths = list(lengths)
        steps = decode(model, cache, logits, Sampling())
        said["mine"] = [next(steps) for _ in range(count + 1)][1:]

    def theirs() -> None:
        out = base_llama.generate(
            ids, past_key_values=DynamicCache(prefix), do_sample=False,
            min_new_tokens=count, max_new_tokens=count,
            attention_mask=torch.ones_like(ids), pad_token_id=0,
        )  # fmt: skip
        said["theirs"] = out[0, held + 1 :].tolist()

    seconds, base, ratio = alternate(given.rounds, mine, theirs)
    pairs = list(zip(said["mine"], said["theirs"], strict=True))
    same = next((place for place, pair in enumerate(pairs) if pair[0] != pair[1]), count)
    figure = Figure(
        "decode", count / seconds, "tokens/s", "transformers.generate with the same prefix",
        count / base, 1 / ratio, "2.5 times it or more",
    )  # fmt: skip
    how = "exact" if given.exact else "8 bits"
    report(figure, opened, weights=how, prefix=held, same_tokens=same, of_tokens=count)


if __name__ == "__main__":
    main()
