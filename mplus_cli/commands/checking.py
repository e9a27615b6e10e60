"""`mplus memory verify` and `mplus memory repair`."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import (
    JsonOption,
    Name,
    OptionalName,
    agreed,
    resumable,
    settings_of,
    stored_memory,
)
from mplus_cli.errors import ExitCode
from mplus_cli.terminal import screen


def check(
    context: typer.Context,
    name: OptionalName = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also read the first chunks again with the model, and compare the results.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Check every file of a memory against its checksum."""
    from dataclasses import asdict

    from mplus_cli.ingest.recomputing import recompute
    from mplus_cli.library.verify import verify
    from mplus_cli.runtime.session import open_session

    stored = stored_memory(context, name)
    with screen.meter() as meter:
        problems = verify(stored, lambda done, total: meter.report("verifying", done, total))
        if deep and not problems:
            session = open_session(
                settings_of(context), note=screen.note, progress=meter.report, memory=stored
            )
            problems = recompute(
                session, stored, lambda done, total: meter.report("reading again", done, total)
            )
    covered = not problems and stored.view().covered
    if as_json:
        found = [asdict(problem) for problem in problems]
        screen.json_out(
            {"memory": stored.name, "ok": not problems, "covered": covered, "problems": found}
        )
    elif not problems:
        screen.out(f'memory "{stored.name}" is ok')
        if not covered:
            screen.note(
                "an earlier version of mplus wrote it, so its text is checked here, but not when it is "
                "asked; the next `mplus ingest` into it changes that"
            )
    else:
        for problem in problems:
            screen.out(str(problem))
    if problems:
        screen.error(
            f'memory "{stored.name}" is damaged: `mplus memory repair {stored.name}` keeps what is intact; '
            "or load it from a saved file, or remove it and read its documents again"
        )
        return 3
    return 0


def repair_memory(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Rebuild a damaged memory from the documents whose text is intact. They are read again."""
    from dataclasses import asdict
    from functools import cache, partial

    from mplus_cli.ingest.recomputing import recompute
    from mplus_cli.ingest.repairing import find_readable, repair
    from mplus_cli.library.verify import verify
    from mplus_cli.runtime.session import open_session
    from mplus_cli.runtime.tokenizing import reading_pace
    from mplus_cli.terminal.ingest_view import IngestView
    from mplus_cli.wording import count, reading_cost

    settings = settings_of(context)
    stored = stored_memory(context, name)
    kept: list[str] = []
    lost: list[dict[str, str]] = []
    with screen.meter() as meter:
        pace = cache(partial(reading_pace, settings))
        view = IngestView(meter, pace=pace)
        problems = verify(stored, lambda done, total: meter.report("verifying", done, total))
        whole = None if problems else stored  # of a damaged one not even the type can be asked
        session = open_session(settings, note=view.note, progress=meter.report, memory=whole)
        if whole is not None and not stored.is_empty:
            problems = recompute(
                session, stored, lambda done, total: meter.report("reading again", done, total)
            )
        if problems:
            salvage = find_readable(session, stored)
            kept = [row.title for row in salvage.documents]
            lost = [asdict(one) for one in salvage.lost]
            meter.close()
            for one in salvage.lost:
                screen.failed(
                    f'"{one.title}" is lost ({one.reason}): read it again with mplus ingest -m {name} '
                    f"{one.path}"
                )
            for doubt in salvage.doubts:
                screen.failed(doubt)
            tokens = sum(chunk.tokens for chunk in salvage.chunks)
            cost = reading_cost(len(salvage.chunks), tokens, None if yes else pace())
            asked = f"Read {count(len(kept), 'document')} again ({cost}), and discard the damaged memory?"
            if not agreed(asked, f'memory "{name}" is not repaired', yes=yes):
                if as_json:
                    screen.json_out({"memory": name, "repaired": False, "kept": [], "lost": []})
                screen.note(f'memory "{name}" is left as it is')
                return ExitCode.FAILED
            with resumable(meter, view.kept):
                for event in repair(session, stored, salvage):
                    view.show(event)
    if as_json:
        screen.json_out({"memory": name, "repaired": bool(problems), "kept": kept, "lost": lost})
    if problems:
        screen.note(f'memory "{name}" is repaired: {count(len(kept), "document")} kept')
    else:
        screen.note(f'memory "{name}" is ok: there is nothing to repair')
    return ExitCode.DONE
