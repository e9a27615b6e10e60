"""An untrained base over the example story: right answers from memory against those with the same chunks as
text in its prompt, and how often the page is among the first three; one line of JSON.

    python -m benchmarks.untrained --model smollm2-135m-identity
    python -m benchmarks.untrained --model qwen3-0.6b --answers answers.jsonl   # goes on where it stopped
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import Figure, parser, report
from models.cache import KeyValueCache
from models.generate import prefill, read
from models.matching import hit
from models.recall import ChunkRecall
from models.sampling import Sampling, decode
from mplus_cli.api import LoadedMemory, Mplus
from mplus_cli.asking.events import Question
from mplus_cli.asking.prompting import compose, measure
from mplus_cli.asking.retrieving import retrieve
from mplus_cli.settings import Flags, resolve

STORY = Path(__file__).resolve().parents[1] / "examples" / "story"
LONGEST = 24
"""Tokens of an answer."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--home", type=Path, help="where to keep the memory, to ask it again")
    options.add_argument("--answers", type=Path, help="JSON Lines: what was asked before")
    given = options.parse_args()
    with TemporaryDirectory() as folder:
        kept = given.answers or Path(folder) / "answers.jsonl"
        lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
        done = {line["id"]: line for line in map(json.loads, lines)}
        own = resolve(Flags(given.model, given.device, given.dtype, given.home))
        book = Mplus.with_settings(own).memory("untrained")
        book.read(STORY / "story.pdf")
        loaded = book.load()
        asked = json.loads((STORY / "questions.json").read_text(encoding="utf-8"))["questions"]
        with kept.open("a", encoding="utf-8") as out:
            for entry in asked:
                if entry["id"] not in done:
                    done[entry["id"]] = _asked(loaded, entry)
                    out.write(json.dumps(done[entry["id"]]) + "\n")
                    out.flush()
    memory, text, page = (
        sum(line[name] for line in done.values()) for name in ("memory", "text", "page")
    )
    figure = Figure(
        "untrained base: right answers from memory", memory, "of 40", "the same chunks as text", text,
        memory / max(text, 1), "0.9 of it",
    )  # fmt: skip
    report(figure, loaded.session, page_among_three=page)


def _asked(loaded: LoadedMemory, entry: dict[str, Any]) -> dict[str, Any]:
    session, opened = loaded.session, loaded.opened
    draft = measure(session, Question(entry["question"], max_new_tokens=LONGEST))
    found, _ = retrieve(session, opened, draft)
    prompt = compose(session, draft)
    session.model.step_decoder.prepare()
    behind = read(session.model, opened.memory, found, prompt, spare=LONGEST)
    from_memory = _spoken(loaded, behind.logits, behind.cache)
    best = sorted(score.chunk for score in found.ranked[: session.model.config.reading.best_chunks])
    ids = [
        id
        for row in opened.stored.chunks(best)
        for id in session.plain_tokenizer.encode(row.text)[0]
    ]
    empty = session.model.empty_memory()
    nothing = ChunkRecall(empty.stm.tokens)
    logits, cache = prefill(session.model, empty, nothing, [*ids, *prompt], spare=LONGEST)
    from_text = _spoken(loaded, logits, cache)
    first, last = entry["pages"]
    three = opened.stored.chunks([score.chunk for score in found.ranked[:3]])
    return {
        "id": entry["id"],
        "memory": hit(from_memory, entry["answers"]),
        "text": hit(from_text, entry["answers"]),
        "page": any(
            (row.first_page or 0) <= last and first <= (row.last_page or 0) for row in three
        ),
        "from_memory": from_memory,
        "from_text": from_text,
    }


def _spoken(loaded: LoadedMemory, logits: Any, cache: KeyValueCache) -> str:
    """The greedy answer behind a prompt."""
    ids: list[int] = []
    for token in decode(loaded.session.model, cache, logits, Sampling()):
        if token in loaded.session.loaded.stop_ids or len(ids) == LONGEST:
            break
        ids.append(token)
    return _decoded(loaded, ids)


def _decoded(loaded: LoadedMemory, ids: Sequence[int]) -> str:
    text: str = loaded.session.tokenizer.decode(list(ids), skip_special_tokens=True)
    return text


if __name__ == "__main__":
    main()
