"""What programs get of a source, and what is made of it again."""

from __future__ import annotations

import json
from dataclasses import fields

from mplus_cli.asking.events import Source
from mplus_cli.place import Place


def test_every_field_of_a_source_survives_json() -> None:
    place = Place(section=("Book I", "The Goat"))
    quoted = (0, 7), (2, 6), (8, 15), (3, 3), Place(section=("The Goat",), end=0.5)
    source = Source("Book", (3, 4), 7, 0.5, "A goat. It ran.", place, *quoted)
    assert all(getattr(source, field.name) is not None for field in fields(source))
    assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source
    assert source.spot == ((3, 3), quoted[-1])


def test_a_source_of_an_earlier_version_stands_where_its_chunk_does() -> None:
    """As the history keeps it."""
    older = Source("Book", (3, 4), 7, 0.5, "A goat.", Place(), (0, 7)).to_json()
    del older["quote_pages"], older["quote_place"]
    assert Source.from_json(older).spot == ((3, 4), Place())
