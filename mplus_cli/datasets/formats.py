"""Public sets in their published layouts, each to passages with questions.

Layouts: SQuAD v1.1 (rajpurkar.github.io/SQuAD-explorer), DPR's retriever data for Natural Questions
(github.com/facebookresearch/DPR), the FairytaleQA release on the Hub (WorkInTheDark/FairytaleQA),
github.com/google-deepmind/narrativeqa, and COVID-QA (github.com/deepset-ai/COVID-QA).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mplus_cli.datasets.files import layout, read_json, read_table
from mplus_cli.datasets.values import LabelledQuestion, Passage, passages_of
from mplus_cli.datasets.windows import Span, windows
from mplus_cli.errors import UsageError

NARRATIVE_SPLITS = ("train", "valid", "test")
_NARRATIVE = ("document_id", "set", "question", "answer1", "answer2")
_FAIRYTALE = ("story_name", "story_section", "question", "answer1", "answer2")


def squad(paths: Sequence[Path]) -> list[Passage]:
    """SQuAD's JSON, version 1.1; the unanswerable questions of 2.0 are left out.

    Raises:
        DataSetError: as for all functions here, a file is missing or has another layout.
    """
    return passages_of("squad", [one for path in paths for one in _squad(path)])


def natural_questions(paths: Sequence[Path]) -> list[Passage]:
    """DPR's `biencoder-nq-dev.json`: each question with the first positive passage that holds an
    answer."""
    return passages_of("nq", [one for path in paths for one in _natural_questions(path)])


def fairytale_qa(paths: Sequence[Path]) -> list[Passage]:
    """FairytaleQA's tables (CSV, JSON or JSON lines), one row per question."""
    rows = [row for path in paths for row in read_table(path, _FAIRYTALE)]
    return passages_of(
        "fairytaleqa",
        (
            LabelledQuestion(
                row["story_name"],
                row["story_section"],
                row["question"],
                (row["answer1"], row["answer2"]),
            )
            for row in rows
        ),
    )


def narrative_qa(folder: Path, split: str) -> list[Passage]:
    """A clone of NarrativeQA's repository: a split's questions about summaries of the stories.

    Raises:
        UsageError: no such split.
    """
    if split not in NARRATIVE_SPLITS:
        raise UsageError(f"no split {split}: give one of {', '.join(NARRATIVE_SPLITS)}")
    where = folder / "third_party" / "wikipedia" / "summaries.csv"
    summaries = {
        row["document_id"]: row["summary"] for row in read_table(where, ("document_id", "summary"))
    }
    return passages_of(
        "narrativeqa",
        (
            LabelledQuestion(
                row["document_id"],
                summaries.get(row["document_id"], ""),
                row["question"],
                (row["answer1"], row["answer2"]),
            )
            for row in read_table(folder / "qaps.csv", _NARRATIVE)
            if row["set"] == split
        ),
    )


def covid_qa(paths: Sequence[Path], size: int, seed: int) -> list[Passage]:
    """COVID-QA's JSON: windows of about `size` characters of the articles around the answers."""
    asked: list[LabelledQuestion] = []
    for path in paths:
        with layout(path, "COVID-QA"):
            for article, number in _paragraphs(read_json(path)):
                group, context = str(article.get("document_id", number)), article["context"]
                spans = [span for qa in article["qas"] for span in _spans(context, qa)]
                for window, inside in windows(context, spans, size, f"{seed} {group}"):
                    asked += [
                        LabelledQuestion(group, window, span.question, (span.answer,))
                        for span in inside
                    ]
    return passages_of("covidqa", asked)


def _squad(path: Path) -> Iterator[LabelledQuestion]:
    with layout(path, "SQuAD"):
        for article in _dictionary(read_json(path))["data"]:
            for paragraph in article["paragraphs"]:
                context = paragraph["context"]
                for qa in paragraph["qas"]:
                    answers = _inside(context, [answer["text"] for answer in qa["answers"]])
                    yield LabelledQuestion(article["title"], context, qa["question"], answers)


def _natural_questions(path: Path) -> Iterator[LabelledQuestion]:
    with layout(path, "DPR's retriever data"):
        for entry in read_json(path):
            for positive in entry["positive_ctxs"]:
                answers = _inside(positive["text"], entry["answers"])
                if answers:
                    context = f"{positive['title']}\n{positive['text']}"
                    yield LabelledQuestion(positive["title"], context, entry["question"], answers)
                    break


def _paragraphs(whole: Any) -> Iterator[tuple[dict[str, Any], int]]:
    number = 0
    for article in _dictionary(whole)["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph, number
            number += 1


def _spans(context: str, qa: dict[str, Any]) -> list[Span]:
    """The first answer of a question that stands where the set says, or failing that anywhere."""
    for answer in qa["answers"]:
        text, start = answer["text"].strip(), int(answer["answer_start"])
        lead = len(answer["text"]) - len(answer["text"].lstrip())
        start = start + lead if context.startswith(text, start + lead) else context.find(text)
        if text and start >= 0:
            return [Span(start, start + len(text), qa["question"], text)]
    return []


def _inside(context: str, answers: Sequence[str]) -> tuple[str, ...]:
    """The answers that occur in a context, whatever their case."""
    text = context.lower()
    return tuple(answer for answer in answers if answer.strip().lower() in text)


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("the file is not an object")
    return value
