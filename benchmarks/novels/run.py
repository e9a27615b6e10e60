"""Questions about a whole novel, through the functions of `mplus ingest` and `mplus ask`; one line of JSON.

    python -m benchmarks.novels.run benchmarks/novels/moonfleet.json moonfleet.txt

The book is the user's own copy; Project Gutenberg has them (The Lost World is its number 139, Katrine
14263). King Solomon's Mines and The Lost World are the test: nothing was trained, fitted or chosen on them.
The confidence of the default was fitted on the other eight. An answer counts as right where a gold answer
occurs in it (SQuAD's normalisation), a source where it holds the sentence of the evidence.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.matching import hit, normalise
from models.prompts import REFUSAL
from mplus_cli.asking import answering
from mplus_cli.asking.events import Answer
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question
from mplus_cli.ingest.job import Report, ingest, plan
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Flags, resolve

_WORD = re.compile(r"[^\W_]+")
_PART = 8
"""Words in a row of the evidence that tell its place, where a chunk cuts the sentence."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("questions", type=Path, help="a JSON file beside this script")
    options.add_argument("book", type=Path, help="the novel as plain text")
    options.add_argument("--home", type=Path, help="where to keep the memory, to ask it again")
    options.add_argument(
        "--answers", type=Path, help="write every answer to this file, a line each"
    )
    options.add_argument("--no-quote", action="store_true", help="as of `mplus ask`")
    given = options.parse_args()
    asked = json.loads(given.questions.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        settings = resolve(Flags())
        own = given.home or Path(folder)
        if not (own / "base").exists():
            own.mkdir(parents=True, exist_ok=True)
            (own / "base").symlink_to(settings.home / "base")
        session = open_session(replace(settings, home=own), note=_say, progress=lambda *_: None)
        name = given.questions.stem
        if name not in session.library.names():
            _read(session, name, given.book)
        rows = list(_ask(session, name, asked, not given.no_quote))
    if given.answers:
        given.answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(json.dumps({"book": asked["book"], "model": session.loaded.name, **_figures(rows)}))


def _read(session: Session, name: str, book: Path) -> None:
    planned = plan([str(book)], progress=lambda *_: None)
    stored = session.library.open_or_create(name, session.identity)
    report = Report(name)
    for _ in ingest(session, stored, planned.given, report):
        pass
    if report.failed:
        sys.exit(report.failed[0]["error"])


def _ask(
    session: Session, name: str, asked: dict[str, Any], quote: bool
) -> Iterator[dict[str, Any]]:
    opened = load_memory(session, session.library.open(name))
    for entry in (*asked["questions"], *asked["near_misses"]):
        started = time.perf_counter()
        for event in answering.answer(session, opened, Question(entry["question"], quote=quote)):
            if isinstance(event, Answer):
                said = event.to_json()
        texts = [source["text"] for source in said["sources"]]
        evidence = entry.get("evidence")
        yield {
            "id": entry["id"],
            "question": entry["question"],
            "answers": entry.get("answers"),
            "answer": said["answer"],
            "confidence": said.get("confidence"),
            "refused": normalise(REFUSAL) in normalise(said["answer"]),
            "reason": said["reason"],
            "right": hit(said["answer"], entry["answers"]) if evidence else None,
            "found": any(_holds(text, evidence) for text in texts) if evidence else None,
            "echo": _echoes(said["answer"], entry["question"]),
            "stands": any(_words(said["answer"]) in _words(text) for text in texts),
            "seconds": round(time.perf_counter() - started, 2),
            "first": said["usage"]["seconds_to_first_token"],
        }


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    told = [row for row in rows if row["right"] is not None]
    missing = [row for row in rows if row["right"] is None]
    given = [row for row in rows if not row["refused"]]
    right = sum(bool(row["right"]) for row in given)
    return {
        "questions": len(told),
        "given": sum(not row["refused"] for row in told),
        "right": right,
        "wrongly_refused": sum(row["refused"] for row in told),
        "of_these_unsure": sum(row["reason"] == "unsure" for row in told),
        "near_misses": len(missing),
        "refused_near_misses": sum(row["refused"] for row in missing),
        "near_misses_unsure": sum(row["reason"] == "unsure" for row in missing),
        "precision": round(right / len(given), 3) if given else None,
        "repeat_the_question": sum(row["echo"] for row in given),
        "stand_in_no_source": sum(not row["stands"] for row in given),
        "passage_among_three": sum(bool(row["found"]) for row in told),
    }


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _holds(text: str, evidence: str) -> bool:
    """Whether a text has the evidence, or half of its sentence, in a row."""
    words = _words(evidence).split()
    size = min(len(words), max(_PART, len(words) // 2))
    there = _words(text)
    parts = (words[at : at + size] for at in range(len(words) - size + 1))
    return any(f" {' '.join(part)} " in there for part in parts)


def _echoes(answer: str, question: str) -> bool:
    """Whether each word of the answer is in the question, which offers no choice."""
    offered = Counter(_words(question).split())
    words = [word for word in _words(answer).split() if word not in ("the", "a", "an")]
    return "or" not in offered and all(word in offered for word in words)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
