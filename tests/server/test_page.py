"""The built-in page in a headless Chromium: drop a file in, ask, click a source, read it in its chapter."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
SECONDS = 120
"""What a busy machine may take for a step; nothing waits longer than it has to."""
expect.set_options(timeout=SECONDS * 1_000)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, live: Any) -> Iterator[Any]:
    """The page; fails at its end if it logged an error or asked anyone but its own server."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(SECONDS * 1_000)
    wrong: list[str] = []
    opened.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    own = (live.address, "data:", "blob:")
    opened.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(own) else None)
    opened.goto(live.address)
    expect(opened.locator("#memory option[value=book]")).to_be_attached()
    yield opened
    context.close()
    # A refusal is shown on the page, and the browser notes it of itself.
    assert [text for text in wrong if "status of 422" not in text] == []


def test_ask_and_read_the_source_in_its_chapter(page: Any) -> None:
    page.select_option("#memory", "book")
    page.wait_for_selector("#strip rect")
    page.fill("#question", "What is the book about?")  # what it answers is known: nothing is said
    page.keyboard.press("Enter")
    page.wait_for_selector(".source")
    page.wait_for_selector("#text mark")
    assert page.inner_text("article h3") == "What is the book about?"
    said = page.inner_text(".said")
    assert said and said != "…"
    assert page.inner_text("#where") == "Moonfleet"
    sources = page.query_selector_all(".source")
    assert len(sources) == 3
    # By the keyboard: focus and Enter open another source.
    sources[1].focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".source:nth-of-type(2)[aria-current=true]")
    quote = page.inner_text(".source[aria-current=true] span").split()
    expect(page.locator("#text > mark")).to_contain_text(" ".join(quote[:4]))
    page.wait_for_url(re.compile("#book/"))
    # The strip is a slider: its keys walk through the book.
    strip = page.locator("#strip")
    strip.focus()
    page.keyboard.press("Home")
    expect(strip).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowDown")
    expect(strip).to_have_attribute("aria-valuenow", "1")


def test_the_passage_that_holds_the_answer_opens(page: Any) -> None:
    """Where the answer is doubtful, the one that fits the question best."""

    def answered(doubtful: bool) -> Any:
        def change(route: Any) -> None:
            lines = route.fetch().text().split("\n\n")
            at = next(number for number, line in enumerate(lines) if '"event": "answer"' in line)
            answer = json.loads(lines[at].removeprefix("data: ")) | {"doubtful": doubtful}
            answer["sources"][0]["answer_span"] = None
            answer["sources"][1]["answer_span"] = [0, 3]
            lines[at] = f"data: {json.dumps(answer)}"
            route.fulfill(body="\n\n".join(lines), content_type="text/event-stream")

        return change

    page.select_option("#memory", "book")
    page.wait_for_selector("#strip rect")
    for number, doubtful in enumerate((False, True), start=1):
        page.route("**/ask", answered(doubtful))
        page.fill("#question", "What is the book about?")
        page.keyboard.press("Enter")
        opened = f"article:nth-of-type({number}) .source:nth-of-type({1 if doubtful else 2})"
        page.wait_for_selector(f"{opened}[aria-current=true]")
        page.unroute("**/ask")


def test_a_question_is_asked_after_the_ones_before_it(page: Any) -> None:
    """Until another conversation is begun, or another memory is chosen; how it was read is said."""
    sent: list[Any] = []
    question = "What is the book about?"

    def understood(route: Any) -> None:
        sent.append(route.request.post_data_json["turns"])
        told = route.fetch().text()
        told = told.replace('"understood_as": null', '"understood_as": "Where did Ratsey live?"')
        route.fulfill(body=told, content_type="text/event-stream")

    def ask() -> Any:
        article = page.locator("article").nth(len(sent))
        page.fill("#question", question)
        page.keyboard.press("Enter")
        expect(article.locator("[aria-current=true]")).to_be_visible()
        expect(page.locator("#send")).to_be_enabled()
        return article

    page.route("**/ask", understood)
    page.select_option("#memory", "book")
    page.wait_for_selector("#strip rect")
    expect(page.locator("#begin")).to_be_disabled()
    article = ask()
    said = article.locator(".said").inner_text()
    expect(article.locator(".quiet").first).to_have_text("Understood as: Where did Ratsey live?")
    ask()
    page.click("#begin")
    ask()
    page.select_option("#memory", "")
    page.select_option("#memory", "book")
    page.wait_for_selector("#strip rect")
    ask()
    assert sent == [[], [[question, said]], [], []]


def test_a_dropped_file_becomes_a_memory(page: Any, tmp_path: Path, live: Any) -> None:
    hostile = tmp_path / "<img src=x onerror=alert(1)>.txt"
    hostile.write_text("The goat \u202eadmiral <b>bold</b> ate the 🐐 logbook. " * 20)
    page.select_option("#memory", "")
    page.fill("#name", "goats")
    expect(page.locator("#name")).to_have_value("goats")
    page.set_input_files("#file", hostile)
    expect(page.locator("#memory")).to_have_value("goats")
    assert "is in memory “goats”" in page.inner_text("#answers")
    page.fill("#question", "What ate the logbook?")
    page.click("#send")
    page.wait_for_selector("#text mark")
    text = page.inner_text("#text")
    assert "<b>bold</b>" in text and "\u202e" not in text
    assert page.inner_text("#text > mark").strip().endswith((".", "🐐 logbook"))
    assert page.query_selector("#text b, #answers img") is None


def test_failures_show_as_words(page: Any, live: Any) -> None:
    page.select_option("#memory", "book")
    page.set_input_files("#file", {"name": "empty.txt", "mimeType": "text/plain", "buffer": b" "})
    page.wait_for_selector("#answers .bad")
    assert "empty.txt is empty" in page.inner_text("#answers .bad")
    page.goto(f"{live.address}#book/1")
    page.reload()
    expect(page.locator("#text")).to_contain_text("Ratsey")


def test_narrow_dark_and_the_page_of_the_api(page: Any, live: Any) -> None:
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 380, "height": 700})
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 380, "nothing hangs over on a narrow screen"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(22, 25, 29)"
    page.goto(f"{live.address}docs")
    page.wait_for_selector("details summary")
    page.click("details:has-text('/api/memories/{name}/ask') summary")
    assert "max_new_tokens" in page.inner_text("body")
