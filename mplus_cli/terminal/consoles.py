"""Consoles of `rich` that draw in styles of ours only: what was written by others stays text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mplus_cli.visible import visible


class VisibleConsole(Console):
    """A console that shows of every text what `visible` leaves, and makes no links."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of something drawn, cleaned; the one way of all that a console prints."""
        return _cleaned(super().render(renderable, options))


def _cleaned(segments: Iterable[Segment]) -> Iterator[Segment]:
    for text, style, control in segments:
        if control:
            yield Segment(text, style, control)
            continue
        if style is not None and style.link:
            style = style.update_link(None)
        yield Segment(visible(text), style)
