"""The author and the date that a web page states in its `meta` elements. Does no I/O."""

from collections.abc import Mapping

_AUTHOR = ("author", "dc.creator", "dcterms.creator")
_DATE = ("article:published_time", "datepublished", "dc.date", "dcterms.date", "date")
"""The best first."""
_MAX_VALUES = 100


class PageMetadata:
    """Collects what elements say, entered one after the other."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    def enter(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take what an element says, if it is a `meta`."""
        if name != "meta":
            return
        for key in ("name", "property", "itemprop"):
            about = attributes.get(key, "").strip().lower()
            if about in _AUTHOR or about in _DATE:
                values = self._values.setdefault(about, [])
                if len(values) < _MAX_VALUES and (content := attributes.get("content", "").strip()):
                    values.append(content)

    @property
    def authors(self) -> tuple[str, ...]:
        """The authors' names as they stand there."""
        return tuple(self._first(_AUTHOR))

    @property
    def date(self) -> str:
        """When it was published, "" if it does not say."""
        return next(iter(self._first(_DATE)), "")

    def _first(self, names: tuple[str, ...]) -> list[str]:
        return next((self._values[name] for name in names if self._values.get(name)), [])
