"""How many answers look: a line of JSON each, on stdout or in a file; what was not asked on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from mplus_cli.asking.batch import Answered, Output, Rejected, Tally, appended
from mplus_cli.terminal import screen
from mplus_cli.terminal.meter import Meter
from mplus_cli.wording import count


def show_batch(
    found: Iterable[Answered | Rejected],
    output: Output | None,
    tally: Tally,
    meter: Meter,
) -> None:
    """Write the answers as they come, then what came of all questions."""
    with nullcontext(None) if output is None else appended(output) as append:
        for line in found:
            if isinstance(line, Rejected):
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
