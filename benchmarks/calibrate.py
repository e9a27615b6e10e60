"""`asking.json` of a checkpoint: how likely its answers are to be right, fitted on questions and measured.

    python -m benchmarks.calibrate ask questions.jsonl -m NAME --home FOLDER > answers.jsonl
    python -m benchmarks.calibrate fit answers.jsonl --held-out others.jsonl > asking.json

A line of questions is {"question", "answers"}; `answers` is null where the memory does not tell. Ask what
the checkpoint was not trained on; a fifth or more should have no answer, some of them because the sentence
with the answer was deleted before the passage was read. What is measured goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.matching import f1, hit
from mplus_cli.asking.choosing import Prompted, consider
from mplus_cli.asking.confidence import FEATURES, FORMAT, SECOND_FEATURES, Calibration
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question
from mplus_cli.asking.rereading import compose_with_text
from mplus_cli.asking.words import Words
from mplus_cli.runtime.session import open_session
from mplus_cli.settings import Flags, resolve

ALIKE = 0.6
"""Token F1 with a gold answer from which on an answer counts as right in fitting: most sets have one gold
answer a question, and others are as good."""
WORDS = (1.5, 0.5)
"""What BM25 and the best window's coverage weigh in finding: of a softmax over chunks."""
REFUSE, DOUBT = 0.3, 0.5
RIDGE = 1.0


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
    rows = [row for path in given.answers for row in _lines(path)]
    weights, bias = fit(rows)
    values = {
        "format": FORMAT,
        "words": {"bm25": WORDS[0], "window": WORDS[1]},
        "confidence": {
            "bias": round(bias, 3),
            "weights": {
                name: round(weight, 3)
                for name, weight in zip(FEATURES + SECOND_FEATURES, weights, strict=False)
            },
            "refuse": REFUSE,
            "doubt": DOUBT,
        },
    }
    calibration = Calibration.from_dict(values)
    for name, own in (
        ("fitted on", rows),
        ("held out", [r for p in given.held_out for r in _lines(p)]),
    ):
        if own:
            print(f"{name}: {json.dumps(figures(calibration, own))}", file=sys.stderr)
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
        found = look_up(session.model, opened.memory, draft.query_ids, words.prior)
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
                    "alike": hit(one.text, golds) or f1(one.text, golds) >= ALIKE,
                }
                for one in answers
            ],
        }


def fit(rows: Sequence[dict[str, Any]]) -> tuple[list[float], float]:
    """Weights and bias of a ridge logistic regression; the six likeliest candidates of a question, to each
    reader, count as one question."""
    states, right, counts = [], [], []
    for row in rows:
        best = _likeliest(row["candidates"])
        states += [one["features"] for one in best]
        right += [float(one["alike"]) for one in best]
        counts += [1 / max(len(best), 1)] * len(best)
    inputs, wanted, weigh = np.array(states), np.array(right), np.array(counts)
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    scaled = np.c_[(inputs - mean) / spread, np.ones(len(inputs))]
    weights, ridge = np.zeros(scaled.shape[1]), np.eye(scaled.shape[1]) * RIDGE
    ridge[-1, -1] = 1e-6
    for _ in range(60):  # Newton
        chance = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (weigh * (wanted - chance)) - ridge @ weights
        bend = (scaled * (weigh * chance * (1 - chance))[:, None]).T @ scaled + ridge
        weights = weights + np.linalg.solve(bend, slope)
    own = weights[:-1] / spread
    return own.tolist(), float(weights[-1] - (mean * own).sum())


def _likeliest(candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The six likeliest to the reader of memory, and to that of text where there is one."""
    behind = len(FEATURES) + SECOND_FEATURES.index("text_behind")
    chosen = set(sorted(range(len(candidates)), key=lambda at: -candidates[at]["nats"])[:6])
    if candidates and len(candidates[0]["features"]) > behind:
        by_text = sorted(range(len(candidates)), key=lambda at: -candidates[at]["features"][behind])
        chosen |= set(by_text[:6])
    return [candidates[at] for at in sorted(chosen)]


def figures(calibration: Calibration, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Calibration error in five bins, and what is given and right from each chance on."""
    best = []
    for row in rows:
        judged = [(calibration.chance(one["features"]), one["right"]) for one in row["candidates"]]
        chance, right = max(judged, key=lambda entry: entry[0], default=(0.0, False))
        best.append((chance, right, bool(row["answers"])))
    error = 0.0
    for low in range(5):
        own = [entry for entry in best if low / 5 <= entry[0] < (low + 1) / 5]
        error += abs(sum(chance - right for chance, right, _ in own)) / len(best)
    told = sum(entry[2] for entry in best)
    table = []
    for least in (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6):
        given = [entry for entry in best if entry[0] >= least]
        right = sum(entry[1] for entry in given)
        refused = sum(not entry[2] for entry in best) - sum(not entry[2] for entry in given)
        table.append(
            {
                "from": least,
                "given": len(given),
                "right": right,
                "precision": round(right / len(given), 3) if given else None,
                "untold_refused": refused,
                "told_refused": told - sum(entry[2] for entry in given),
            }
        )
    untold = len(best) - told
    return {"told": told, "untold": untold, "error": round(error, 3), "table": table}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
