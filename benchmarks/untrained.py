"""An untrained base: right answers from memory against those with the same chunks as text in its prompt,
question by question, with an interval; where the two answers part and how near a tie the choice was; and how
often the page is among the first three. One line of JSON.

    python -m benchmarks.untrained --model smollm2-135m-identity
    python -m benchmarks.untrained --model qwen3-0.6b --answers answers.jsonl   # goes on where it stopped
    python -m benchmarks.untrained --model smollm2-135m-identity --data squad.jsonl --each 15

Without `--data` the example story is asked, whose 40 questions tell little where a small base answers few of
them: see the interval. The loss of the right answer, behind either, tells the two apart with fewer questions.
"""

from __future__ import annotations

import gzip
import json
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import Figure, parser, report, seconds
from models.cache import KeyValueCache
from models.generate import ReadPrompt, prefill, read
from models.judging import TextPrompt, follow
from models.matching import hit
from models.prompts import encode_plain
from models.recall import ChunkRecall
from models.sampling import Sampling, decode
from mplus_cli.api import LoadedMemory, Mplus
from mplus_cli.asking.prompting import compose, measure
from mplus_cli.asking.question import Question
from mplus_cli.asking.retrieving import retrieve
from mplus_cli.settings import Flags, resolve

STORY = Path(__file__).resolve().parents[1] / "examples" / "story"
LONGEST = 24
"""Tokens of an answer."""
DRAWS = 4000
"""Of as many questions, with replacement, for the interval of the ratio."""
NEAR = 0.25
"""Nats: below that a token is chosen by chance. Two steps of bfloat16 logits."""


@dataclass(frozen=True, slots=True)
class Book:
    """A text to read, and what is asked about it."""

    name: str
    document: Path
    questions: Sequence[dict[str, Any]]
    """Each with an `id`, a `question`, its `answers`, and its `pages` where the text has any."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--home", type=Path, help="where to keep the memories, to ask them again")
    options.add_argument("--answers", type=Path, help="JSON Lines: what was asked before")
    options.add_argument(
        "--data", type=Path, help="JSON Lines of passages with `id`, `context`, `qas`"
    )
    options.add_argument(
        "--each", type=int, default=10, help="questions asked of each article of them"
    )
    options.add_argument("--articles", type=int, default=8, help="how many articles are read")
    given = options.parse_args()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        kept = given.answers or work / "answers.jsonl"
        lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
        done = {line["id"]: line for line in map(json.loads, lines)}
        own = resolve(Flags(given.model, given.device, given.dtype, given.home or work / "home"))
        program = Mplus.with_settings(own)
        books = (
            _articles(given.data, given.articles, given.each, work) if given.data else [_story()]
        )
        with kept.open("a", encoding="utf-8") as out:
            for book in books:
                memory = program.memory(f"untrained-{book.name}")
                memory.read(book.document)
                loaded = memory.load()
                for entry in book.questions:
                    if entry["id"] not in done:
                        done[entry["id"]] = _asked(loaded, entry)
                        out.write(json.dumps(done[entry["id"]]) + "\n")
                        out.flush()
        _report(list(done.values()), loaded)


def _report(lines: Sequence[dict[str, Any]], loaded: LoadedMemory) -> None:
    memory, text = (sum(line[name] for line in lines) for name in ("memory", "text"))
    figure = Figure(
        "untrained base: right answers from memory", memory, f"of {len(lines)}",
        "the same chunks as text", text, memory / max(text, 1), "0.9 of it",
    )  # fmt: skip
    losses = [line["loss_memory"] - line["loss_text"] for line in lines]
    spread = statistics.stdev(losses) if len(losses) > 1 else 0.0
    report(
        figure,
        loaded.session,
        ratio_interval=_interval(lines),
        from_memory_alone=sum(line["memory"] > line["text"] for line in lines),
        from_text_alone=sum(line["text"] > line["memory"] for line in lines),
        more_loss=round(statistics.mean(losses), 3),
        standard_error=round(spread / len(losses) ** 0.5, 3),
        **_parting(lines),
        seconds_memory=round(statistics.median(line["seconds_memory"] for line in lines), 3),
        seconds_text=round(statistics.median(line["seconds_text"] for line in lines), 3),
        page_among_three=sum(line["page"] for line in lines),
    )


def _interval(lines: Sequence[dict[str, Any]]) -> list[float]:
    """Where nine tenths of the ratios lie that other questions of the kind would give."""
    drawn, ratios = random.Random(0), list[float]()
    for _ in range(DRAWS):
        again = drawn.choices(lines, k=len(lines))
        memory, text = (sum(line[name] for line in again) for name in ("memory", "text"))
        ratios.append(memory / max(text, 1))
    ratios.sort()
    return [round(ratios[int(share * DRAWS)], 2) for share in (0.05, 0.95)]


def _parting(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many answers part, at how many of these one side chose by chance, and likewise of those of which
    one is right and the other wrong."""
    parted = [line for line in lines if line.get("parting")]
    apart = [line for line in parted if line["memory"] != line["text"]]

    def near(among: Sequence[dict[str, Any]]) -> int:
        return sum(min(line["parting"]) < NEAR for line in among)

    return {
        "part": len(parted),
        "part_near_a_tie": near(parted),
        "one_is_right": len(apart),
        "one_is_right_near_a_tie": near(apart),
    }


def _story() -> Book:
    asked = json.loads((STORY / "questions.json").read_text(encoding="utf-8"))["questions"]
    return Book("story", STORY / "story.pdf", asked)


def _articles(data: Path, count: int, each: int, folder: Path) -> Iterator[Book]:
    """Articles of a data set, the paragraphs of each as one text; the same ones and questions each time."""
    opened = gzip.open if data.suffix == ".gz" else open
    grouped: dict[str, list[dict[str, Any]]] = {}
    with opened(data, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            grouped.setdefault(row["id"].rsplit("/", 1)[0], []).append(row)
    drawn = random.Random(0)
    for number, name in enumerate(drawn.sample(sorted(grouped), count)):
        document = folder / f"{number}.txt"
        document.write_text("\n\n".join(row["context"] for row in grouped[name]), encoding="utf-8")
        asked = [
            (f"{row['id']}/{at}", qa) for row in grouped[name] for at, qa in enumerate(row["qas"])
        ]
        asked = drawn.sample(asked, min(each, len(asked)))
        yield Book(str(number), document, [{"id": id, **qa} for id, qa in asked])


def _asked(loaded: LoadedMemory, entry: dict[str, Any]) -> dict[str, Any]:
    session, opened = loaded.session, loaded.opened
    model = session.model
    draft = measure(session, Question(entry["question"], max_new_tokens=LONGEST))
    found, _, _ = retrieve(session, opened, draft)
    prompt = compose(session, draft)
    right = encode_plain(session.tokenizer, entry["answers"][0])
    model.step_decoder.prepare()
    spare = max(LONGEST, len(right)) + LONGEST
    behind: list[ReadPrompt] = []
    took = seconds(lambda: behind.append(read(model, opened.memory, found, prompt, spare=spare)))
    best = sorted(score.chunk for score in found.ranked[: model.config.reading.best_chunks])
    ids = [
        id
        for row in opened.stored.chunks(best)
        for id in session.plain_tokenizer.encode(row.text)[0]
    ]
    empty = model.empty_memory()
    nothing = ChunkRecall(empty.stm.tokens)
    shown: list[tuple[Any, KeyValueCache]] = []
    text_took = seconds(
        lambda: shown.append(prefill(model, empty, nothing, [*ids, *prompt], spare=spare))
    )
    sides = [(behind[0].logits, behind[0].cache), shown[0]]
    said = [_spoken(loaded, *side) for side in sides]
    from_memory, from_text = (
        session.tokenizer.decode(list(one), skip_special_tokens=True) for one in said
    )
    losses = [-sum(_nats(loaded, side, [right])[0]) for side in sides]
    three = opened.stored.chunks([score.chunk for score in found.ranked[:3]])
    first, last = entry.get("pages", (1, 0))
    return {
        "id": entry["id"],
        "memory": hit(from_memory, entry["answers"]),
        "text": hit(from_text, entry["answers"]),
        "loss_memory": losses[0],
        "loss_text": losses[1],
        "parting": _margins(loaded, sides, said),
        "seconds_memory": took,
        "seconds_text": text_took,
        "page": any(
            (row.first_page or 0) <= last and first <= (row.last_page or 0) for row in three
        ),
        "from_memory": from_memory,
        "from_text": from_text,
    }


def _nats(
    loaded: LoadedMemory, side: tuple[Any, KeyValueCache], continuations: Sequence[Sequence[int]]
) -> list[tuple[float, ...]]:
    """Log-probabilities of the tokens of continuations of a prompt, whose last logits (T, V) are given."""
    logits, cache = side
    prompt = TextPrompt(len(cache), logits[-1].float().log_softmax(dim=-1), cache)
    stops = sorted(loaded.session.loaded.stop_ids)
    followed = follow(loaded.session.model.generate, [prompt], [continuations], stops)
    return [one.nats for one in followed[0]]


def _margins(
    loaded: LoadedMemory, sides: Sequence[tuple[Any, KeyValueCache]], said: Sequence[Sequence[int]]
) -> list[float] | None:
    """By how many nats each side prefers its own token to the other's where the two answers part; None where
    they do not."""
    place = next((at for at, (one, other) in enumerate(zip(*said)) if one != other), None)  # noqa: B905
    if place is None:
        return None
    ways = [one[: place + 1] for one in said]
    found = [[nats[place] for nats in _nats(loaded, side, ways)] for side in sides]
    return [round(found[0][0] - found[0][1], 3), round(found[1][1] - found[1][0], 3)]


def _spoken(loaded: LoadedMemory, logits: Any, cache: KeyValueCache) -> list[int]:
    """The greedy answer behind a prompt, with what ended it; the cache is left as it was."""
    ids: list[int] = []
    mark = cache.mark()
    for token in decode(loaded.session.model, cache, logits, Sampling()):
        ids.append(token)
        if token in loaded.session.loaded.stop_ids or len(ids) == LONGEST:
            break
    cache.rewind(mark)
    return ids


if __name__ == "__main__":
    main()
