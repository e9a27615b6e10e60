"""`mplus ingest --dry-run` and `--text`: what would be read, shown instead of read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mplus_cli.terminal import screen

if TYPE_CHECKING:
    from mplus_cli.ingest.job import Plan
    from mplus_cli.settings import Settings
    from mplus_cli.terminal.meter import Meter


def show_table(settings: Settings, planned: Plan, meter: Meter, *, as_json: bool) -> int:
    """What would be read."""
    from mplus_cli.ingest.preview import preview, to_json
    from mplus_cli.runtime.tokenizing import measure
    from mplus_cli.terminal import preview_view
    from mplus_cli.terminal.ingest_view import IngestView

    view = IngestView(meter)
    view.warn(planned.notes)
    measured = None if planned.is_hopeless else measure(settings, view.note)
    found = []
    for one in preview(planned, measured):
        found.append(one)
        view.warn(one.warnings)
        if one.error is not None and len(planned.given) > 1:
            view.fail(one.error)
    meter.close()
    if as_json:
        screen.json_out(to_json(found))
    elif readable := [one for one in found if one.error is None]:
        preview_view.show_table(readable)
    return end([one.error for one in found])


def show_text(settings: Settings, planned: Plan, meter: Meter, *, as_json: bool) -> int:
    """The text that the model would see, one document after the other."""
    from mplus_cli.documents import DocumentError
    from mplus_cli.ingest.preview import open_each
    from mplus_cli.terminal import preview_view
    from mplus_cli.terminal.ingest_view import IngestView

    view = IngestView(meter)
    view.warn(planned.notes)
    errors: list[str | None] = []
    for name, document in open_each(planned):
        if isinstance(document, DocumentError):
            errors.append(str(document))
            if len(planned.given) > 1:
                view.fail(str(document))
            continue
        view.warn(document.warnings)
        meter.close()
        preview_view.show_text(
            name, document, alone=len(planned.given) == 1, first=None not in errors
        )
        errors.append(None)
    return end(errors)


def end(errors: Sequence[str | None]) -> int:
    """The exit code of documents that were read, each None, or not; with a line if none was."""
    from mplus_cli.errors import partial

    failed = [error for error in errors if error is not None]
    if failed and len(failed) == len(errors):
        some = f"none of the {len(failed)} documents could be read"
        screen.error(failed[0] if len(failed) == 1 else some)
    return partial(len(errors), len(failed))
