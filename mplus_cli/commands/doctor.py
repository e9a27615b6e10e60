"""`mplus doctor`: checks that mplus has everything it needs."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import JsonOption, settings_of
from mplus_cli.terminal import screen


def doctor(
    context: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="First make memories and history readable by you alone.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Check the installation, and say how to fix what is wrong."""
    from dataclasses import asdict

    from mplus_cli.library.privacy import close_to_others
    from mplus_cli.runtime.checks import run_checks

    settings = settings_of(context)
    if fix:
        close_to_others(settings.home)
    found = []
    with screen.meter() as meter:
        for check in run_checks(settings, meter.report):
            found.append(check)
            if not as_json:
                meter.close()
                screen.check_line(check.state, check.name, check.message, check.fix)
    well = all(check.state != "fail" for check in found)
    if as_json:
        screen.json_out({"ok": well, "checks": [asdict(check) for check in found]})
    return 0 if well else 1
