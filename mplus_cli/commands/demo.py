"""`mplus demo`: reads a story that comes with mplus, and asks three questions."""

from __future__ import annotations

import typer

from mplus_cli import screen
from mplus_cli.commands.common import settings_of


def demo(context: typer.Context) -> None:
    """Read the example story into the memory "demo" and ask it three questions."""
    from mplus_cli import answering, story
    from mplus_cli.answer_view import show_answer
    from mplus_cli.answers import Question
    from mplus_cli.ingest_view import IngestView
    from mplus_cli.ingesting import Report, ingest, plan
    from mplus_cli.library import Library
    from mplus_cli.session import open_session

    settings = settings_of(context)
    report = Report(story.MEMORY)
    with screen.meter() as meter:
        view = IngestView(meter, quiet=False)
        planned = plan([str(story.story_file())], progress=meter.report)
        library = Library(settings.home)
        known = library.open(story.MEMORY) if story.MEMORY in library.names() else None
        session = open_session(settings, note=view.note, progress=meter.report, memory=known)
        stored = library.open_or_create(story.MEMORY, session.identity)
        for event in ingest(session, stored, planned.given, report):
            view.show(event)
    opened = answering.load_memory(session, stored)
    for question in story.questions():
        screen.note("")
        screen.out(f"> {question}")
        show_answer(answering.answer(session, opened, Question(question)))
    screen.note("")
    screen.note(f'ask your own: mplus ask -m {story.MEMORY} "..."')
