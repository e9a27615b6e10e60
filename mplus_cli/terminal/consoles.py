"""Consoles of `rich` that use only our styles: untrusted text is never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mplus_cli.visible import visible


class VisibleConsole(Console):
    """A console that passes all text through `visible`, and makes no links."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable, cleaned: everything that a console prints comes through here."""
        return _cleaned(super().render(renderable, options))


def _cleaned(segments: Iterable[Segment]) -> Iterator[Segment]:
    for text, style, control in segments:
        if control:
            yield Segment(text, style, control)
            continue
        if style is not None and style.link:
            style = style.update_link(None)
        yield Segment(visible(text), style)
