"""Shows the answers to a file of questions: a line of JSON each; rejected lines go to stderr."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from mplus_cli.asking.batch import AnsweredQuestion, Output, RejectedLine, Tally, appended
from mplus_cli.terminal import screen
from mplus_cli.terminal.meter import Meter
from mplus_cli.wording import count


def show_batch(
    found: Iterable[AnsweredQuestion | RejectedLine],
    output: Output | None,
    tally: Tally,
    meter: Meter,
) -> None:
    """Write the answers as they arrive, then a summary."""
    with nullcontext(None) if output is None else appended(output) as append:
        for line in found:
            if isinstance(line, RejectedLine):
                meter.close()
                screen.failed(f"not asked: {line.error}")
            elif append is not None:
                append(line.to_json())
                meter.report("asking", detail=f"{count(tally.answered, 'question')} answered")
            else:
                meter.close()
                screen.json_line(line.to_json())
                screen.flush()
    meter.close()
    parts = [f"{count(tally.answered, 'question')} answered"]
    parts += [f"{tally.kept:,} answered before"] if tally.kept else []
    parts += [f"{tally.rejected:,} not asked"] if tally.rejected else []
    screen.note(", ".join(parts))
