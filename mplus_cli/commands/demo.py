"""`mplus demo`: reads a story that comes with mplus, and asks three questions."""

from __future__ import annotations

import typer

from mplus_cli.commands.common import settings_of
from mplus_cli.terminal import screen


def demo(context: typer.Context) -> None:
    """Read the example story into the memory "demo" and ask it three questions."""
    from mplus_cli import example_story
    from mplus_cli.asking import answering
    from mplus_cli.asking.events import Question
    from mplus_cli.ingest.job import Report, ingest, plan
    from mplus_cli.library import Library
    from mplus_cli.runtime.session import open_session
    from mplus_cli.terminal.answer_view import show_answer
    from mplus_cli.terminal.ingest_view import IngestView

    settings = settings_of(context)
    report = Report(example_story.MEMORY)
    with screen.meter() as meter:
        view = IngestView(meter, quiet=False)
        planned = plan([str(example_story.story_file())], progress=meter.report)
        library = Library(settings.home)
        known = (
            library.open(example_story.MEMORY) if example_story.MEMORY in library.names() else None
        )
        session = open_session(settings, note=view.note, progress=meter.report, memory=known)
        stored = library.open_or_create(example_story.MEMORY, session.identity)
        for event in ingest(session, stored, planned.given, report):
            view.show(event)
    opened = answering.load_memory(session, stored)
    for question in example_story.questions():
        screen.note("")
        screen.out(f"> {question}")
        show_answer(answering.answer(session, opened, Question(question)))
    screen.note("")
    screen.note(f'ask your own: mplus ask -m {example_story.MEMORY} "..."')
