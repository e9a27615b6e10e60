"""`mplus demo`: reads a story that comes with mplus, and asks three questions."""

from __future__ import annotations

import typer

from mplus_cli.commands.common import settings_of
from mplus_cli.terminal import screen


def demo(context: typer.Context) -> None:
    """Read the example story into the memory "demo" and ask it three questions."""
    from mplus_cli import example_story as story
    from mplus_cli.asking import answering
    from mplus_cli.asking.events import Question
    from mplus_cli.ingest.job import Report, ingest, open_to_write, plan
    from mplus_cli.terminal.answer_view import show_answer
    from mplus_cli.terminal.ingest_view import IngestView

    report = Report(story.MEMORY)
    with screen.meter() as meter:
        view = IngestView(meter)
        planned = plan([str(story.story_file())], progress=meter.report)
        session, stored = open_to_write(
            settings_of(context), story.MEMORY, note=view.note, progress=meter.report
        )
        for event in ingest(session, stored, planned.given, report):
            view.show(event)
    opened = answering.load_memory(session, stored)
    for question in story.questions():
        screen.note("")
        screen.out(f"> {question}")
        show_answer(answering.answer(session, opened, Question(question)))
    screen.note("")
    screen.note(f'ask your own: mplus ask -m {story.MEMORY} "..."')
