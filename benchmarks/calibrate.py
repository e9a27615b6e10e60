"""`asking.json` of a checkpoint: how likely its answers are to be right, fitted on questions and measured.

    python -m benchmarks.calibrate ask questions.jsonl -m NAME --home FOLDER > answers.jsonl
    python -m benchmarks.calibrate fit answers.jsonl more.jsonl --held-out others.jsonl > asking.json

A line of questions is {"question", "answers"}; `answers` is null where the memory does not tell. A file of
`benchmarks/novels` will do too. Ask what the checkpoint was not trained on, with one file for each book; a
fifth or more should have no answer, some of them because the sentence with the answer was deleted before the
passage was read. Each file is left out in turn, to choose the threshold and to measure; a single file is
split into five parts. What is measured goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.matching import f1, hit
from mplus_cli.asking.choosing import Prompted, consider
from mplus_cli.asking.confidence import (
    FEATURES,
    FORMATS,
    SAME,
    SECOND_FEATURES,
    Calibration,
    Considered,
)
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question
from mplus_cli.asking.rereading import compose_with_text
from mplus_cli.asking.words import Words
from mplus_cli.runtime.session import open_session
from mplus_cli.settings import Flags, resolve

WORDS = (1.5, 0.5)
"""What BM25 and the best window's coverage weigh in finding: of a softmax over chunks."""
PRECISION, DECLINED = 0.6, 0.6
"""The threshold below which no answer is given is the lowest, in steps of 0.05, at which this share of the
answers given is right, and this share of each file's questions without an answer gets none."""
DOUBT = 0.5
RIDGE = 1.0

Row = dict[str, Any]
Array = npt.NDArray[np.float64]


class Best(NamedTuple):
    """The likeliest answer to a question."""

    chance: float
    is_right: bool
    is_told: bool
    """Whether the memory tells the answer."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    parts = options.add_subparsers(dest="part", required=True)
    asking = parts.add_parser("ask")
    asking.add_argument("questions", type=Path)
    asking.add_argument("-m", "--memory", required=True)
    asking.add_argument("--home", type=Path)
    asking.add_argument("--model")
    fitting = parts.add_parser("fit")
    fitting.add_argument("answers", type=Path, nargs="+")
    fitting.add_argument("--held-out", type=Path, nargs="*", default=[])
    given = options.parse_args()
    if given.part == "ask":
        for row in ask(given):
            print(json.dumps(row), flush=True)
        return
    files = [_lines(path) for path in given.answers]
    left_out = cross_validate(files)
    refuse = threshold(left_out)
    if refuse is None:
        _say(f"no threshold keeps the rule: {DOUBT} it is")
    rows = [row for file in files for row in file]
    values = to_json(*fit(rows), refuse if refuse is not None else DOUBT)
    calibration = Calibration.from_dict(values)
    measured = {
        "left out": [best for file in left_out for best in file],
        "fitted on": [likeliest(calibration, row) for row in rows],
    }
    for path in given.held_out:
        measured[path.stem] = [likeliest(calibration, row) for row in _lines(path)]
    for name, own in measured.items():
        _say(f"{name}: {json.dumps(figures(own))}")
    print(json.dumps(values, indent=2))


def ask(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every question with what could be answered, and what each answer is judged by."""
    from models.generate import read
    from models.recall import look_up
    from models.spans import BRANCHES, LONGEST

    settings = resolve(Flags(model=given.model, home=given.home))
    session = open_session(settings, note=_say, progress=lambda *_: None)
    opened = load_memory(session, session.library.open(given.memory))
    texts = opened.texts or opened.stored.texts(opened.memory.chunks)

    def read_texts(chunks: Sequence[int]) -> list[str]:
        return [texts[chunk] for chunk in chunks]

    second = SECOND_FEATURES if session.loaded.text_reader else ()
    blank = Calibration(WORDS, (0.0,) * len(FEATURES + second), 0.0, 0.0, 0.0)
    for line in _lines(given.questions):
        question = Question(line["question"])
        draft = measure(session, question)
        words = Words.find(blank.words, question, texts, blank)
        found = look_up(session.model, opened.memory, draft.query_ids, words.prior, draft.bare_ids)
        ids = compose_with_text(session, opened.memory, draft, found, read_texts)
        prompt = read(session.model, opened.memory, found, ids, spare=LONGEST, branches=BRANCHES)
        prompted = Prompted(session, opened.memory, draft, words, found, ids, read_texts)
        answers, refusing = consider(prompted, prompt, LONGEST)
        golds = line["answers"] or []
        yield line | {
            "refusing": refusing,
            "candidates": [
                {
                    "text": one.text,
                    "nats": one.nats,
                    "features": one.features,
                    "right": hit(one.text, golds),
                    "alike": hit(one.text, golds) or f1(one.text, golds) >= SAME,
                }
                for one in answers
            ],
        }


def fit(rows: Sequence[Row]) -> tuple[list[float], float]:
    """Weights and bias of a softmax over the answers to a question and "none of them", with a ridge.

    Most sets have one gold answer a question, and others are as good: all that are `alike` count as right.
    """
    asked = [row for row in rows if row["candidates"]]
    inputs = np.array([one["features"] for row in asked for one in row["candidates"]])
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    sets = []
    for row in asked:
        own = (np.array([one["features"] for one in row["candidates"]]) - mean) / spread
        told = bool(row["answers"])
        right = np.array([float(told and one["alike"]) for one in row["candidates"]])
        sets.append((np.c_[own, np.ones(len(own))], right))
    weights, step = np.zeros(inputs.shape[1] + 1), 1.0
    value, slope, bend = _objective(weights, sets)
    for _ in range(200):  # Newton; where a step goes too far, half of it
        move = step * np.linalg.solve(bend, slope)
        there = _objective(weights + move, sets)
        if there[0] < value:
            step /= 2
            continue
        weights, step = weights + move, min(2 * step, 1.0)
        value, slope, bend = there
        if abs(move).max() < 1e-6:
            break
    scaled = weights[:-1] / spread
    return scaled.tolist(), float(weights[-1] - (mean * scaled).sum())


def _objective(weights: Array, sets: Sequence[tuple[Array, Array]]) -> tuple[float, Array, Array]:
    """What `fit` makes as large as it can; its slope; and minus its curvature, as if it were known which of
    the right answers is meant."""
    bend = np.eye(len(weights)) * RIDGE
    bend[-1, -1] = 1e-6
    slope = -bend @ weights
    value = float(weights @ slope) / 2
    for own, right in sets:
        odds = np.exp(np.clip(own @ weights, -30, 30))
        shares = odds / (1 + odds.sum())
        wanted = (odds * right).sum() or 1.0  # "none of them" where nothing is right
        value += float(np.log(wanted / (1 + odds.sum())))
        slope += (odds * right / wanted - shares) @ own
        bend += (own * shares[:, None]).T @ own - np.outer(shares @ own, shares @ own)
    return value, slope, bend


def to_json(weights: Sequence[float], bias: float, refuse: float) -> dict[str, Any]:
    """The values of `asking.json`."""
    names = (FEATURES + SECOND_FEATURES)[: len(weights)]
    return {
        "format": max(FORMATS),
        "words": {"bm25": WORDS[0], "window": WORDS[1]},
        "confidence": {
            "bias": round(bias, 3),
            "weights": {
                name: round(weight, 3) for name, weight in zip(names, weights, strict=True)
            },
            "refuse": refuse,
            "doubt": DOUBT,
        },
    }


def cross_validate(files: Sequence[Sequence[Row]]) -> list[list[Best]]:
    """The likeliest answers to the questions of each file, by a fit on those of all others."""
    if len(files) == 1:
        files = [files[0][at::5] for at in range(5)]
    found = []
    for number, file in enumerate(files):
        others = [row for at, other in enumerate(files) if at != number for row in other]
        calibration = Calibration.from_dict(to_json(*fit(others), DOUBT))
        found.append([likeliest(calibration, row) for row in file])
    return found


def threshold(files: Sequence[Sequence[Best]]) -> float | None:
    """The lowest that keeps the rule (`PRECISION`, `DECLINED`) and is not above `DOUBT`."""
    for step in range(1, round(DOUBT / 0.05) + 1):
        least = round(step * 0.05, 2)
        given = [best.is_right for file in files for best in file if best.chance >= least]
        missing = [[best for best in file if not best.is_told] for file in files]
        kept = all(
            sum(best.chance < least for best in own) >= DECLINED * len(own) for own in missing
        )
        if kept and given and sum(given) >= PRECISION * len(given):
            return least
    return None


def likeliest(calibration: Calibration, row: Row) -> Best:
    """The likeliest answer to a question that was asked."""
    told = bool(row["answers"])
    if not row["candidates"]:
        return Best(0.0, False, told)
    number, chance = calibration.likeliest(
        [Considered(one["text"], 0, one["nats"], one["features"]) for one in row["candidates"]]
    )
    return Best(chance, told and row["candidates"][number]["right"], told)


def figures(best: Sequence[Best]) -> dict[str, Any]:
    """Log loss in nats, calibration error in five bins, and what is given and right from each chance on."""
    right = np.array([one.is_right for one in best])
    chances = np.array([one.chance for one in best])
    loss = -np.log(np.clip(np.where(right, chances, 1 - chances), 1e-4, 1)).mean()
    error = 0.0
    for low in range(5):
        own = [one for one in best if low == min(int(one.chance * 5), 4)]
        error += abs(sum(one.chance - one.is_right for one in own)) / len(best)
    told = sum(one.is_told for one in best)
    table = []
    for least in (0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6):
        given = [one for one in best if one.chance >= least]
        correct = sum(one.is_right for one in given)
        asked = sum(one.is_told for one in given)
        table.append(
            {
                "from": least,
                "given": len(given),
                "right": correct,
                "precision": round(correct / len(given), 3) if given else None,
                "untold_refused": len(best) - told - (len(given) - asked),
                "told_refused": told - asked,
            }
        )
    return {
        "told": told,
        "untold": len(best) - told,
        "log_loss": round(float(loss), 3),
        "error": round(error, 3),
        "table": table,
    }


def _lines(path: Path) -> list[Row]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        asked = json.loads(text)
        near = [{**row, "answers": None} for row in asked["near_misses"]]
        return [*asked["questions"], *near]
    return [json.loads(line) for line in text.splitlines()]


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
