"""`mplus demo`: reads a story that comes with mplus, and asks three questions."""

from __future__ import annotations

import typer

from mplus_cli.commands.common import settings_of
from mplus_cli.terminal import screen


def demo(context: typer.Context) -> None:
    """Read the example story into the memory "demo" and ask it three questions."""
    from mplus_cli import example_story as story
    from mplus_cli.api import Mplus
    from mplus_cli.asking.question import Question
    from mplus_cli.terminal.answer_view import show_answer
    from mplus_cli.terminal.ingest_view import IngestView

    with screen.meter() as meter:
        view = IngestView(meter)
        book = Mplus.with_settings(settings_of(context), note=view.note).memory(story.MEMORY)
        planned = book.plan(story.story_file(), progress=meter.report)
        for event in book.reading(planned, progress=meter.report):
            view.show(event)
    loaded = book.load()
    for question in story.questions():
        screen.note("")
        screen.out(f"> {question}")
        show_answer(loaded.answer(Question(question)))
    screen.note("")
    screen.note(f'ask your own: mplus ask -m {story.MEMORY} "..."')
