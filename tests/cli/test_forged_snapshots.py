"""Snapshots that someone forged, with the right checksum: refused with one line, or as good as any.

What loads must be listed, shown, drawn, verified, saved, asked and read on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mplus_cli.asking import answering
from mplus_cli.asking.events import Answer
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question
from mplus_cli.documents import Document, Page, Source
from mplus_cli.errors import MismatchError
from mplus_cli.ingest.pipeline import read_documents
from mplus_cli.library import StoredMemory, snapshot
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.verify import verify
from mplus_cli.runtime.model_info import describe, map_json
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Flags, resolve

Change = Callable[[dict[str, Any], dict[str, Tensor]], None]
"""What is done to what the header says of the memory, and to the tensors."""


@dataclass(frozen=True, repr=False)
class Forge:
    """A real snapshot, and what makes others of it."""

    folder: Path
    memory: dict[str, Any]
    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    def __call__(self, change: Change) -> Path:
        """A snapshot with a change, and the right digest."""
        memory = json.loads(json.dumps(self.memory))
        tensors = {name: tensor.clone() for name, tensor in self.tensors.items()}
        change(memory, tensors)
        metadata = {**self.metadata, "memory": json.dumps(memory), "sha256": "0" * 64}
        data = save({name: part.contiguous() for name, part in tensors.items()}, metadata)
        file = self.folder / "forged.safetensors"
        digest = hashlib.sha256(data).hexdigest()
        file.write_bytes(data.replace(b"0" * 64, digest.encode(), 1))
        return file


@pytest.fixture
def forge(book: str, mplus: Any, tmp_path: Path) -> Forge:
    """Forges snapshots of a memory with short-term and long-term memory."""
    file = tmp_path / "book.safetensors"
    assert mplus("memory", "save", book, file).code == 0
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        metadata = opened.metadata()
    assert tensors["ltm.keys"].shape[1] > 0
    return Forge(tmp_path, json.loads(metadata["memory"]), tensors, metadata)


@pytest.fixture
def session(book: str) -> Session:
    """The tiny model, and the library with the memory."""
    return open_session(resolve(Flags()), note=lambda _: None, progress=lambda *_: None)


_numbers = count()


def use(session: Session, stored: StoredMemory) -> None:
    """Do with a memory all that can be done; anything that fails is a bug of mplus."""
    assert verify(stored) == []
    assert not any(summary.error for summary in session.library.summaries())
    json.dumps([describe(stored), map_json(stored.name, draw_map(stored))])
    snapshot.save(stored, stored.folder.parent.parent / f"{next(_numbers)}.safetensors")
    opened = load_memory(session, stored)
    *_, answer = answering.answer(
        session, opened, Question("Who keeps the goat?", max_new_tokens=3)
    )
    assert isinstance(answer, Answer)
    assert answer.sources
    document = Document("more.txt", "More", "0" * 64, "text", (Page(None, "It rained."),), None, ())
    source = (Source(Path("more.txt"), "more.txt"), lambda: document)
    assert list(read_documents(stored, session.model, [source], session.plain_tokenizer))


def loaded(session: Session, file: Path) -> StoredMemory:
    return snapshot.load(session.library, file, f"copy{next(_numbers)}")


def test_what_was_saved_is_as_good_as_ever(forge: Forge, session: Session) -> None:
    use(session, loaded(session, forge(lambda memory, tensors: None)))


def put(name: str, value: Callable[[Tensor], Tensor]) -> Change:
    def change(memory: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        tensors[name] = value(tensors[name])

    return change


def at(place: int, value: float, *, layer: int = -1) -> Callable[[Tensor], Tensor]:
    """A tensor with one number replaced."""

    def change(tensor: Tensor) -> Tensor:
        tensor[layer, place] = value
        return tensor

    return change


def both(name: str, value: Callable[[Tensor], Tensor]) -> Change:
    """A change of keys and values in short-term and long-term memory alike, or of another tensor."""
    names = ("keys", "values") if name == "keys" else (name,)

    def change(memory: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        for part in (f"{where}.{one}" for where in ("stm", "ltm") for one in names):
            tensors[part] = value(tensors[part])

    return change


def say(*path: str | int, value: Any) -> Change:
    def change(memory: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        place: Any = memory
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def text(change: Callable[[list[Any]], Any]) -> Change:
    """A change of the rows of chunks."""

    def changed(memory: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        rows = json.loads(tensors["chunks"].numpy().tobytes())
        data = bytearray(json.dumps(change(rows) or rows).encode())
        tensors["chunks"] = torch.frombuffer(data, dtype=torch.uint8)[None]

    return changed


NEVER = 1 << 62
REFUSED: dict[str, tuple[Change, str]] = {
    "authors of others": (say("metadata", value=[["A.", None]] * 2), "of other documents"),
    "an author of numbers": (say("metadata", value=[[7, None]]), "author is 7"),
    "a date without end": (say("metadata", value=[[None, "1" * 5000]]), "date is"),
    "an author alone": (say("metadata", value=[["A."]]), "not enough values"),
    "authors by number": (say("metadata", value={"1": "A."}), "not enough values"),
    "a NaN": (put("stm.keys", at(3, torch.nan)), "keys that are not numbers"),
    "a NaN far back": (put("ltm.values", at(0, torch.nan)), "values that are not numbers"),
    "infinity": (put("stm.tail", at(0, -torch.inf)), "tail that are not numbers"),
    "too large": (put("ltm.retriever_keys", at(0, 1e30)), "too large"),
    "F64": (both("keys", Tensor.double), "float64"),
    "F64 tail": (put("stm.tail", Tensor.double), "float64"),
    "I64 keys": (both("keys", Tensor.long), "int64"),
    "a retriever of whole numbers": (both("retriever_keys", Tensor.long), "int64"),
    "two types": (put("ltm.keys", Tensor.half), "float16"),
    "a wider retriever": (both("retriever_keys", lambda keys: keys.repeat(1, 1, 2)), "not 8"),
    "fewer retriever layers": (both("retriever_keys", lambda keys: keys[:1]), "not 2"),
    "fewer layers": (both("keys", lambda keys: keys[:2]), "2 layers, not 3"),
    "other long-term layers": (put("ltm.keys", lambda keys: keys[:2]), "different shapes"),
    "a long tail": (
        put("stm.tail", lambda tail: tail.repeat(1, 50_000 // tail.shape[1], 1)),
        "a tail of 50000",
    ),
    "no heads": (both("keys", lambda keys: keys[:, :, :0]), "without numbers"),
    "chunks never read": (put("stm.chunks", at(0, 999)), "never read"),
    "chunks before the first": (put("ltm.chunks", at(0, -2)), "never read"),
    "chunks out of order": (put("ltm.chunks", lambda chunks: chunks.flip(1)), "another order"),
    "chunks across": (put("stm.chunks", torch.zeros_like), "another order"),
    "born in the far past": (put("ltm.born", lambda born: born - 10_000), "older"),
    "born twice": (put("ltm.born", torch.zeros_like), "other times"),
    "born out of order": (put("ltm.born", lambda born: born.flip(1)), "not in the order"),
    "aged backwards": (put("stm.ages", lambda ages: ages * 0 - NEVER * 2), ""),
    "ages of two layers": (put("stm.ages", lambda ages: ages.repeat(2, 1)), "2 layers"),
    "ages as floats": (put("stm.ages", Tensor.float), "not whole numbers"),
    "another tensor": (
        lambda _, tensors: tensors.update({"stm.x": torch.ones(1)}),
        "other tensors",
    ),
    "no tail": (lambda _, tensors: tensors.__delitem__("stm.tail"), "tail"),
    "no text": (lambda _, tensors: tensors.__delitem__("chunks"), "missing"),
    "text as floats": (put("chunks", Tensor.float), "not valid text"),
    "not a time": (say("updated", value="not a time"), "updated is 'not a time'"),
    "a time before time": (say("created", value="0001-01-01T00:00:00"), "created"),
    "added never": (say("documents", 0, "added", value="not a time"), "added"),
    "pages in words": (say("documents", 0, "pages", value="three"), "pages is 'three'"),
    "tokens by halves": (say("documents", 0, "tokens", value=1.5), "tokens is 1.5"),
    "tokens beyond measure": (say("tokens", value=1 << 80), "tokens is a huge number"),
    "true chunks": (say("chunks", value=True), "chunks is True"),
    "a clock of its own": (say("clock", value=10_000), "other times"),
    "half a character": (say("documents", 0, "title", value="\ud800"), "title"),
    "a fingerprint in words": (say("model", "fingerprint", value="mine"), "fingerprint"),
    "a geometry in words": (say("model", "geometry", value="wide"), "geometry"),
    "a chunk of no size": (say("model", "geometry", "chunk_tokens", value=0), "chunk_tokens"),
    "layers in words": (say("model", "geometry", "memory_layers", value="all"), "memory_layers"),
    "another width": (say("model", "geometry", "retriever_width", value=9), "not 9"),
    "less room": (say("model", "geometry", "stm_tokens", value=40), "more than its model keeps"),
    "a path as a name": (say("name", value="../x"), "its name"),
    "a chunk of no document": (text(lambda rows: rows[0].__setitem__(0, 9)), "next one"),
    "chunks of another order": (text(lambda rows: rows[0].__setitem__(1, 1)), "next one"),
    "a text that is none": (text(lambda rows: rows[0].__setitem__(2, 5)), "text is 5"),
    "pages backwards": (
        text(lambda rows: rows[0].__setitem__(slice(4, 6), [3, 2])),
        "pages 3 to 2",
    ),
    "half a row": (text(lambda rows: rows[0].pop() and None), ""),
    "rows that are none": (text(lambda rows: {"a": 1}), ""),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused(mplus: Any, forge: Forge, what: str) -> None:
    change, reason = REFUSED[what]
    result = mplus("memory", "load", forge(change), "--as", "copy")
    assert result.code == 3
    assert reason in result.error
    assert "is damaged or is not a snapshot" in result.error
    assert [one["name"] for one in mplus("memory", "list", "--json").json] == ["book"]


MODEL_SAYS: dict[str, Change] = {
    "wider heads": both("keys", lambda keys: torch.cat([keys, keys], dim=3)),
    "more heads": both("keys", lambda keys: torch.cat([keys, keys], dim=2)),
    "wider states": put("stm.tail", lambda tail: torch.cat([tail, tail], dim=2)),
    "another geometry": say("model", "geometry", "memory_positions", value="strided"),
    "another scorer": say("model", "geometry", "scorer", value="sigmoid"),
}


@pytest.mark.parametrize("what", MODEL_SAYS)
def test_what_the_model_alone_can_tell_is_refused_by_it(
    mplus: Any, forge: Forge, tmp_path: Path, what: str
) -> None:
    """A snapshot says which model wrote it, but not how many heads that has."""
    assert mplus("memory", "load", forge(MODEL_SAYS[what]), "--as", "copy").code == 0
    (tmp_path / "more.txt").write_text("It rained on the sea.")
    more = ("ingest", tmp_path / "more.txt", "-m", "copy")
    for command in (("ask", "who?", "-m", "copy"), more):
        result = mplus(*command)
        assert result.code == 3
        assert 'memory "copy" is damaged' in result.error
        assert "bug" not in result.err


def test_the_same_layers_in_both_are_refused(mplus: Any, forge: Forge) -> None:
    def change(memory: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        both("keys", lambda keys: keys[:2])(memory, tensors)
        tensors["stm.tail"] = tensors["stm.tail"][:2]

    result = mplus("memory", "load", forge(change), "--as", "copy")
    if result.code == 0:
        result = mplus("ask", "who?", "-m", "copy")
    assert result.code == 3


def test_a_name_that_starts_with_a_dash(mplus: Any, forge: Forge) -> None:
    file = forge(say("name", value="-rf"))
    assert "letters A-Z and a-z, digits" in mplus("memory", "load", file).error
    assert mplus("memory", "load", file, "--as", "copy").code == 0
    assert mplus("memory", "rename", "copy", "--", "-rf").code == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE times SET at = 'not a time' WHERE what = 'updated'",
        "UPDATE times SET at = 'not a time' WHERE what = 'created'",
        "UPDATE times SET at = 'not a time' WHERE what LIKE 'document/%'",
        "UPDATE times SET at = x'ff' WHERE what = 'updated'",
        "UPDATE documents SET pages = 'three'",
        "UPDATE documents SET tokens = 1.5",
        "UPDATE documents SET title = x'ff'",
        "UPDATE documents SET id = 7",
        "UPDATE settings SET value = '[]' WHERE key = 'geometry'",
        "UPDATE settings SET value = '{\"stm_tokens\": \"x\"}' WHERE key = 'geometry'",
        "UPDATE settings SET value = 'x' WHERE key = 'fingerprint'",
        "UPDATE segments SET file = '../../secret'",
        "UPDATE state SET stm_file = '/etc/passwd'",
        "UPDATE state SET tokens = 'many'",
    ],
)
def test_a_damaged_memory_hides_no_other(mplus: Any, book: str, statement: str) -> None:
    import sqlite3

    from mplus_cli.library.seal import put_seals

    home = Path(os.environ["MPLUS_HOME"])
    assert mplus("memory", "save", book, home / "x.safetensors").code == 0
    assert mplus("memory", "load", home / "x.safetensors", "--as", "bad").code == 0
    with sqlite3.connect(home / "memories" / "bad" / "memory.db") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)
        with suppress(sqlite3.Error, TypeError):  # as a forger would
            put_seals(connection)
    connection.close()
    shown = mplus("memory", "list")
    assert shown.code == 0
    rows = {line.split()[0]: line.split() for line in shown.out.splitlines()}
    assert rows["bad"][1] == "damaged"
    assert int(rows["book"][1]) == 1
    assert 'memory "bad" is damaged' in shown.err
    errors = {one["name"]: one["error"] for one in mplus("memory", "list", "--json").json}
    assert errors["book"] is None
    assert "damaged" in errors["bad"]
    for command in (("show", "bad"), ("map", "bad"), ("verify", "bad")):
        result = mplus("memory", *command)
        assert result.code == 3
        assert "damaged" in result.error
    assert mplus("ask", "who?", "-m", "bad").code == 3
    assert mplus("memory", "rm", "bad", "--yes").code == 0


VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 2, 16, 1 << 31, 1 << 63, 1 << 70, 1.5, float("nan"), float("inf")),
    *("", "x", "a name", "not a time", "2020-01-01", "../..", "\x1b[2J", "\u202e", "\ud800"),
    *([], [0], [1, 2], [99], {}, {"a": 1}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all that is in a JSON value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def replaced(root: Any, draw: Any) -> None:
    """Replace, remove or repeat something in a JSON value."""
    path = draw(st.sampled_from(list(places(root))[:80]))
    place = root
    for step in path[:-1]:
        place = place[step]
    kind = draw(st.sampled_from(["put", "put", "put", "remove", "repeat"]))
    if kind == "put":
        place[path[-1]] = draw(st.sampled_from(VALUES))
    elif kind == "remove" or not isinstance(place, list):
        del place[path[-1]]
    else:
        place.append(place[path[-1]])


def retouched(tensor: Tensor, draw: Any) -> Tensor:
    """A tensor with numbers, its type or its shape changed."""
    if not tensor.numel():
        return tensor
    kind = draw(st.sampled_from(["number", "number", "type", "cut", "repeat", "flip", "flat"]))
    if kind == "number":
        place = draw(st.integers(0, tensor.numel() - 1))
        special = [0, 1, -1, 100, 1 << 40] if not tensor.is_floating_point() else []
        floats = [0.0, 1e-30, -5.0, 1e5, 1e7, -1e38, float("nan"), float("inf")]
        number = draw(st.sampled_from(special or floats))
        if tensor.dtype == torch.uint8:
            number = number % 256
        tensor.view(-1)[place] = number
        return tensor
    if kind == "type":
        types = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool]
        return tensor.to(draw(st.sampled_from(types)))
    if kind == "flat":
        return tensor.flatten()
    axis = draw(st.integers(0, tensor.dim() - 1))
    if kind == "cut":
        return tensor.narrow(axis, 0, draw(st.integers(0, tensor.shape[axis] - 1)))
    return torch.cat([tensor, tensor], dim=axis) if kind == "repeat" else tensor.flip(axis)


def altered(memory: dict[str, Any], tensors: dict[str, Tensor], draw: Any) -> None:
    """Change the header, a tensor or a text."""
    kind = draw(st.sampled_from(["header", "tensor", "text"]))
    if kind == "header":
        replaced(memory, draw)
        return
    name = "chunks" if kind == "text" else draw(st.sampled_from(sorted(tensors)))
    if kind == "tensor":
        tensors[name] = retouched(tensors[name].contiguous(), draw)
        return
    try:
        rows = json.loads(tensors[name].contiguous().numpy().tobytes())
    except (ValueError, TypeError):  # changed before
        return
    replaced(rows, draw)
    text(lambda _: rows)(memory, tensors)


@given(st.data())
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_is_changed(forge: Forge, session: Session, data: st.DataObject) -> None:
    """What loads can be used, whatever was changed; the model may refuse what it alone can tell."""

    def change(memory: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        for _ in range(data.draw(st.integers(1, 2))):
            altered(memory, tensors, data.draw)

    file, before, name = forge(change), session.library.names(), f"copy{next(_numbers)}"
    try:
        use(session, snapshot.load(session.library, file, name))
    except MismatchError as error:
        message = str(error)
    else:
        message = ""
    if name not in session.library.names():
        assert message.startswith(str(file))
        assert session.library.names() == before
        return
    assert not message or "is damaged" in message or "was written by model" in message
    session.library.remove(name)
