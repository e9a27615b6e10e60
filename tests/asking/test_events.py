"""What programs get of a source, and what is made of it again."""

from __future__ import annotations

import json
from dataclasses import fields

from mplus_cli.asking.events import Source
from mplus_cli.place import Place


def test_every_field_of_a_source_survives_json() -> None:
    place = Place(section=("Book I", "The Goat"))
    source = Source("Book", (3, 4), 7, 0.5, "A goat. It ran.", place, (0, 7), (2, 6), (8, 15))
    assert all(getattr(source, field.name) is not None for field in fields(source))
    assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source
