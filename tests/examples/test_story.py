"""The example book: its length, its PDF, and the questions asked about it."""

import importlib
import json
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypedDict

import pypdfium2  # type: ignore[import-untyped]
import pytest

STORY = Path(__file__).resolve().parents[2] / "examples" / "story"
QUESTION_COUNT = 40
LEAST_WORDS = 12_000
LEAST_PAGES_ASKED = 25
LEAST_PER_QUARTER = 7
MOST_ANSWER_WORDS = 4


class Question(TypedDict):
    """One entry of ``questions.json``."""

    id: int
    question: str
    answers: list[str]
    pages: list[int]


def normal(text: str) -> str:
    """Lower-case ``text``, with plain apostrophes and single spaces."""
    text = text.replace("\u2018", "'").replace("\u2019", "'")
    return " ".join(text.lower().split())


@cache
def page_texts() -> tuple[str, ...]:
    """Return the normalised text of every page of the PDF in the folder."""
    with pypdfium2.PdfDocument(STORY / "story.pdf") as document:
        return tuple(normal(page.get_textpage().get_text_range()) for page in document)


@cache
def questions() -> tuple[Question, ...]:
    """Return the questions about the story."""
    data = json.loads((STORY / "questions.json").read_text(encoding="utf-8"))
    assert data["document"] == "story.pdf"
    return tuple(data["questions"])


def contains(text: str, answer: str) -> bool:
    """Say whether ``answer`` stands in ``text`` as whole words."""
    return re.search(rf"(?<!\w){re.escape(normal(answer))}(?!\w)", text) is not None


@pytest.fixture(scope="module", params=["pdf", "epub"])
def built(request: pytest.FixtureRequest) -> tuple[ModuleType, str]:
    """Load a script that builds a book as a module, or skip where ReportLab is not installed."""
    pytest.importorskip("reportlab")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STORY))
        for name in ("build_pdf", "build_epub"):
            patch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(f"build_{request.param}"), f"story.{request.param}"


def test_story_is_long_enough() -> None:
    """The story has the length of a short book."""
    assert len((STORY / "story.md").read_text(encoding="utf-8").split()) >= LEAST_WORDS


def test_a_book_equals_a_fresh_build(built: tuple[ModuleType, str], tmp_path: Path) -> None:
    """The PDF and the EPUB in the folder are exactly what the scripts build from the text."""
    builder, name = built
    builder.build(target=tmp_path / name)
    assert (tmp_path / name).read_bytes() == (STORY / name).read_bytes()


def test_printed_page_numbers_are_the_physical_ones() -> None:
    """Every page after the title page prints its own number in the file."""
    for number, text in enumerate(page_texts()[1:], start=2):
        assert str(number) in (text.split()[0], text.split()[-1]), number


def test_ids_and_wording() -> None:
    """Ids run from 1 to 40, and the questions are distinct questions in page order."""
    asked = questions()
    assert [item["id"] for item in asked] == list(range(1, QUESTION_COUNT + 1))
    assert len({normal(item["question"]) for item in asked}) == QUESTION_COUNT
    assert all(item["question"].endswith("?") for item in asked)
    firsts = [item["pages"][0] for item in asked]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("item", questions(), ids=lambda item: f"question-{item['id']}")
def test_answer_stands_on_its_pages_only(item: Question) -> None:
    """The first answer is in the text of its pages, and on no other page of the book."""
    first, last = item["pages"]
    pages = page_texts()
    assert 1 <= first <= last <= min(first + 1, len(pages))
    assert item["answers"] and len(set(item["answers"])) == len(item["answers"])
    answer = item["answers"][0]
    assert len(answer.split()) <= MOST_ANSWER_WORDS
    assert contains(" ".join(pages[first - 1 : last]), answer)
    elsewhere = [*pages[: first - 1], *pages[last:]]
    assert not any(contains(text, answer) for text in elsewhere)


def test_questions_are_spread_over_the_book() -> None:
    """The questions reach all parts of the book."""
    count = len(page_texts())
    firsts = [item["pages"][0] for item in questions()]
    assert len(set(firsts)) >= LEAST_PAGES_ASKED
    quarters = Counter((page - 1) * 4 // count for page in firsts)
    assert all(quarters[quarter] >= LEAST_PER_QUARTER for quarter in range(4))
