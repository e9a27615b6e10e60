"""A tiny model, a tokenizer of characters, and documents made of numbers, for the tests here.

`conftest.py` loads this file by its path: test folders are not packages.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from models.checkpoints.architecture import read_architecture
from models.config import MPlusConfig, RetrieverShape
from models.decoder import Decoder
from models.network import MPlusModel
from models.retriever import make_retriever
from models.stack import filled
from mplus_cli.documents import Document, Page, Source
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, ModelIdentity, StoredMemory
from mplus_cli.library.earlier import EARLIER, loads

CONFIG = MPlusConfig(
    chunk_tokens=16,
    new_tokens=8,
    stm_tokens=40,
    recalled_tokens=16,
    max_prompt_tokens=32,
    retriever=RetrieverShape(layers=(0,)),
)
IDENTITY = ModelIdentity("tiny", "ab" * 32, CONFIG.to_dict())


def make_model(config: MPlusConfig = CONFIG) -> MPlusModel:
    """The same weights every time."""
    torch.manual_seed(0)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
        )
    ).eval()
    values = {**llama.config.to_dict(), "model_type": "llama"}
    architecture = read_architecture(values, Path("config.json"), 1 << 30)
    decoder = Decoder(filled(architecture, llama.state_dict()))
    return MPlusModel(config, decoder, decoder, make_retriever(config.retriever, 3, 32), bos_id=1)


class Characters:
    """A token a character."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        ids = [2 + ord(character) % 290 for character in text]
        return ids, [(index, index + 1) for index in range(len(text))]


def make_document(title: str, characters: int, *, pages: int = 1) -> Document:
    """A document of about so many characters; its text follows from its title."""
    words = " ".join(f"{title}{number}" for number in range(characters))
    each = characters // pages
    texts = [words[page * each : (page + 1) * each] for page in range(pages)]
    return Document(
        path=f"/books/{title}.pdf",
        title=title,
        sha256=hashlib.sha256(f"{title}{characters}".encode()).hexdigest(),
        kind="pdf",
        pages=tuple(Page(number, text) for number, text in enumerate(texts, start=1)),
        page_count=pages,
        warnings=(),
    )


def given(*documents: Document) -> list[tuple[Source, Callable[[], Document]]]:
    """Documents as `read_documents` takes them."""
    return [
        (Source(Path(document.path), document.path), lambda document=document: document)
        for document in documents
    ]


def ingest(stored: StoredMemory, model: MPlusModel, *documents: Document) -> list[pipeline.Event]:
    """Read documents to the end."""
    return list(pipeline.read_documents(stored, model, given(*documents), Characters()))


def make_memory(home: Path, model: MPlusModel, *documents: Document) -> StoredMemory:
    """A memory called `book` in a library of its own."""
    identity = ModelIdentity("tiny", "ab" * 32, model.config.to_dict())
    stored = Library(home).create("book", identity)
    if documents:
        ingest(stored, model, *documents)
    return stored


def contents(folder: Path) -> dict[str, object]:
    """Every file's bytes and every row but those with times: what is promised to be equal. Left out is the
    file that only serves to take the newest document out again."""
    found: dict[str, object] = {}
    connection = sqlite3.connect(folder / "memory.db")
    times = dict(connection.execute("SELECT what, at FROM times"))
    aside = loads(times.get(EARLIER, ""))
    for path in sorted(folder.rglob("*")):
        if aside is not None and path.name == aside.state.stm_file:
            continue
        if path.is_file() and not path.name.startswith("memory.db"):
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        if table != "times":
            found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    connection.close()
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, locks left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


def make_older(stored: StoredMemory, *tables: str) -> None:
    """Make a memory one that an mplus wrote which knew neither checksums nor these tables."""
    from mplus_cli.library.seal import seal

    with closing(sqlite3.connect(stored.folder / "memory.db")) as connection, connection:
        for table in ("checksums", *tables):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute("DELETE FROM settings WHERE key = ?", (f"{table}_sha256",))
        connection.execute("DELETE FROM times WHERE what = 'sha256'")
        connection.execute("UPDATE state SET seal = ?", (seal(connection),))


def same_memory(one: StoredMemory, other: StoredMemory) -> bool:
    """Whether two memories hold the same tokens in the same order, however cut into files."""
    from models.memory import merge

    first, second = one.load(), other.load()
    pairs = list(zip(_parts(first.stm), _parts(second.stm), strict=True))
    if first.segments or second.segments:
        merged = (merge(first.segments), merge(second.segments))
        pairs += list(zip(*(_parts(segment) for segment in merged), strict=True))
    equal = all(torch.equal(left, right) for left, right in pairs)
    return equal and (first.clock, first.chunks) == (second.clock, second.chunks)


def _parts(part: object) -> list[torch.Tensor]:
    tokens = part.tokens  # type: ignore[attr-defined]
    own = [
        value
        for name in ("ages", "tail", "born")
        if (value := getattr(part, name, None)) is not None
    ]
    return [tokens.keys, tokens.values, tokens.retriever_keys, tokens.chunks, *own]
