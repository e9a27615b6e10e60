"""Descriptions of memories and models, as JSON values. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mplus_cli.library import MemoryMap, StoredMemory
from mplus_cli.runtime import catalog

if TYPE_CHECKING:
    from pathlib import Path

    from models.checkpoints import Loaded


def describe(stored: StoredMemory) -> dict[str, Any]:
    """The object of `mplus memory show --json`."""
    summary = stored.summary()
    identity = stored.identity
    documents = [
        {
            "number": row.id,
            "path": row.path,
            "title": row.title,
            "author": row.author,
            "date": row.date,
            "sha256": row.sha256,
            "kind": row.kind,
            "pages": row.pages,
            "tokens": row.tokens,
            "chunks": row.chunks,
            "chunks_read": row.chunks_read,
            "added": row.added,
        }
        for row in stored.documents()
    ]
    return {
        "name": summary.name,
        "note": summary.note,
        "model": summary.model,
        "fingerprint": identity.fingerprint,
        "documents": documents,
        "tokens": summary.tokens,
        "chunks": summary.chunks,
        "stm_tokens": summary.stm_tokens,
        "ltm_tokens": summary.ltm_tokens,
        "bytes": summary.bytes,
        "created": summary.created,
        "updated": summary.updated,
        "path": str(stored.folder),
        "geometry": identity.geometry,
    }


def map_json(
    name: str,
    drawn: MemoryMap,
    question: str | None = None,
    consulted: Sequence[int] = (),
    fits: Sequence[float] = (),
    note: str | None = None,
) -> dict[str, Any]:
    """The object of `mplus memory map --json`.

    Args:
        question: what was asked, and `consulted`, the chunks that fit it best, best first.
        fits: how well each chunk fits it, 0 to 1; none where that was not measured.
        note: what a user should know of where the question was looked up.
    """
    places: dict[int, list[dict[str, Any]]] = {}
    for place in drawn.chunks:
        known = place.first_page is not None
        places.setdefault(place.document_id, []).append(
            {
                "chunk": place.number,
                "pages": [place.first_page, place.last_page] if known else None,
                "place": place.place.to_json() if place.place else None,
                "stm_tokens": round(place.stm_tokens, 2),
                "ltm_tokens": round(place.ltm_tokens, 2),
                **({"fit": round(fits[place.number], 4)} if fits else {}),
            }
        )
    return {
        "memory": name,
        "stm_tokens": drawn.stm_tokens,
        "ltm_tokens": drawn.ltm_tokens,
        "question": question,
        "consulted": list(consulted),
        "note": note,
        "documents": [
            {
                "number": span.document.id,
                "title": span.document.title,
                "pages": span.document.pages,
                "chunks": places.get(span.document.id, []),
            }
            for span in drawn.documents
        ],
        "segments": [asdict(segment) for segment in drawn.segments],
    }


def list_models(home: Path, current: str) -> list[dict[str, Any]]:
    """The array of `mplus model list --json`."""
    in_use = catalog.find(current, home).name
    choices = list(catalog.every(home))
    if in_use not in [choice.name for choice in choices]:
        choices.insert(0, catalog.find(current, home))
    listed = []
    for choice in choices:
        here = choice.base is None or catalog.is_base_present(home)
        listed.append(
            {
                "name": choice.name,
                "kind": choice.kind,
                "current": choice.name == in_use,
                "here": here,
                "trained": choice.trained,
                "note": choice.note,
            }
        )
    return listed


def describe_model(choice: catalog.ModelChoice, loaded: Loaded, base: Path) -> dict[str, Any]:
    """The object of `mplus model show --json`."""
    config = loaded.model.config
    decoder = loaded.model.generate
    return {
        "name": choice.name,
        "kind": choice.kind,
        "note": choice.note,
        "trained": choice.trained,
        "fingerprint": loaded.fingerprint,
        "base": str(base),
        "licence": _licence(base),
        "layers": decoder.layers,
        "hidden": decoder.hidden,
        "positions": decoder.positions,
        "ratio": config.ratio,
        "config": config.to_dict(),
        "initial_memory": loaded.initial_memory is not None,
    }


def _licence(base: Path) -> str | None:
    """The base's licence, if known."""
    return "Apache-2.0" if base.name == catalog.BASE else None
