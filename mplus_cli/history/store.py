"""The file of questions and answers: conversations, and the turns of each.

Sources are kept with their quotes and places, without the chunks' whole texts: those are the memory's.
What is removed is overwritten, and its number is not used again. Needs no model, and prints nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mplus_cli.errors import UsageError
from mplus_cli.history import database
from mplus_cli.history.passages import searched_text

NAME = "history.db"
_LONGEST_NAME = 100
_LARGEST = 1 << 62
"""A number that SQLite can hold."""
ALL = "all"
"""What means every conversation, and so is not a name of one."""
_LEFT_OUT = ("text", "quote_span", "answer_span", "second_quote_span")
"""Of a source: they repeat or point into the memory's text."""
_LISTED = """
SELECT c.id, c.name, c.command, c.memory, c.model, c.started, max(t.at), count(t.id),
    (SELECT question FROM turns WHERE conversation = c.id ORDER BY id LIMIT 1)
FROM conversations c JOIN turns t ON t.conversation = c.id
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer. `details` is the object of `mplus ask --json` without long texts."""

    at: str
    question: str
    answer: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeptConversation:
    """A conversation as it is listed. Times are UTC, ISO 8601."""

    id: int
    name: str
    command: str
    """`ask` or `chat`."""
    memory: str
    model: str
    started: str
    updated: str
    turns: int
    question: str
    """The first."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class History:
    """The file under `home`; it is made when something is first kept."""

    def __init__(self, home: Path) -> None:
        self.path = home / NAME

    def keep(
        self,
        conversation: int | None,
        command: str,
        turns: Sequence[Mapping[str, Any]],
        name: str = "",
    ) -> int:
        """Keep turns of a conversation, in one step; its id.

        Args:
            conversation: None begins one, as does the id of one that was deleted meanwhile.
            turns: objects of `mplus ask --json`; at least one.
            name: what one that is begun is called.
        """
        rows = [(_now(), *_texts(details), json.dumps(short(details))) for details in turns]
        with database.writing(self.path) as connection:
            query = "SELECT id FROM conversations WHERE id = ?"
            if connection.execute(query, (conversation,)).fetchone() is None:
                about = (name, command, turns[-1]["memory"], turns[-1]["model"])
                made = connection.execute(
                    "INSERT INTO conversations (name, command, memory, model, started) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (*map(_storable, about), _now()),
                )
                conversation = int(made.lastrowid or 0)
            connection.executemany(
                "INSERT INTO turns (conversation, at, question, answer, details) "
                f"VALUES ({conversation}, ?, ?, ?, ?)",
                rows,
            )
        assert conversation is not None
        return conversation

    def drop_last(self, conversation: int) -> None:
        """Forget the last turn of a conversation: it is asked again."""
        with database.writing(self.path) as connection:
            connection.execute(
                "DELETE FROM turns WHERE id = (SELECT max(id) FROM turns WHERE conversation = ?)",
                (conversation,),
            )

    def rename(self, conversation: int, name: str) -> None:
        """Give a conversation a name."""
        with database.writing(self.path) as connection:
            connection.execute(
                "UPDATE conversations SET name = ? WHERE id = ?", (_storable(name), conversation)
            )

    def listed(
        self,
        limit: int,
        *,
        memory: str | None = None,
        words: str = "",
        command: str | None = None,
    ) -> list[KeptConversation]:
        """The newest conversations, newest first.

        Args:
            words: all of them must occur in its name, its questions, its answers or their passages.
        """
        where, values = ["1"], list[Any]()
        for column, wanted in (("memory", memory), ("command", command)):
            if wanted is not None:
                where.append(f"c.{column} = ?")
                values.append(_storable(wanted))
        for word in words.split():
            where.append(
                "(c.name LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM turns s WHERE "
                "s.conversation = c.id AND (s.question LIKE ? ESCAPE '\\' "
                "OR s.answer LIKE ? ESCAPE '\\' OR searched(s.details) LIKE ? ESCAPE '\\')))"
            )
            values += [_pattern(word)] * 4
        query = (
            f"{_LISTED} WHERE {' AND '.join(where)} GROUP BY c.id ORDER BY max(t.id) DESC LIMIT ?"
        )
        with database.reading(self.path) as connection:
            connection.create_function("searched", 1, _searched, deterministic=True)
            return [
                KeptConversation(*row)
                for row in connection.execute(query, (*values, min(limit, _LARGEST)))
            ]

    def find(self, wanted: str) -> tuple[KeptConversation, list[Turn]]:
        """A conversation by its number or its name; UsageError if there is none."""
        is_number = wanted.isascii() and wanted.isdigit() and len(wanted) < len(str(_LARGEST))
        number = int(wanted) if is_number else -1
        which = "c.id = ? OR (c.name = ? AND c.name <> '')"
        query = f"{_LISTED} WHERE {which} GROUP BY c.id ORDER BY c.id DESC"
        with database.reading(self.path) as connection:
            rows = connection.execute(query, (number, _storable(wanted))).fetchall()
            turns = connection.execute(
                "SELECT at, question, answer, details FROM turns WHERE conversation = ? ORDER BY id",
                (rows[0][0] if rows else -1,),
            ).fetchall()
        if not rows:
            is_memory = bool(self.listed(1, memory=wanted))
            lists = f"mplus log -m {wanted}" if is_memory else "mplus log"
            what = "those of that memory" if is_memory else "them"
            raise UsageError(f"there is no conversation {wanted!r}: `{lists}` lists {what}")
        found = [
            Turn(at, question, answer, json.loads(details))
            for at, question, answer, details in turns
        ]
        return KeptConversation(*rows[0]), found

    def last(self, memory: str, since: str) -> Turn | None:
        """What was last asked of a memory, later than `since` (UTC, ISO 8601); None if nothing was."""
        query = (
            "SELECT at, question, answer, details FROM turns WHERE conversation IN "
            "(SELECT id FROM conversations WHERE memory = ?) ORDER BY id DESC LIMIT 1"
        )
        with database.reading(self.path) as connection:
            row = connection.execute(query, (memory,)).fetchone()
            if row is None or datetime.fromisoformat(row[0]) < datetime.fromisoformat(since):
                return None
            at, question, answer, details = row
            return Turn(at, question, answer, json.loads(details))

    def remove(self, conversations: Sequence[int] | None) -> int:
        """Delete conversations, or all of them; how many there were."""
        if not self.path.exists():
            return 0
        with database.writing(self.path) as connection:
            if conversations is None:
                return connection.execute("DELETE FROM conversations").rowcount
            return sum(
                connection.execute("DELETE FROM conversations WHERE id = ?", (one,)).rowcount
                for one in conversations
            )


def latest_chat(history: History, memory: str | None) -> KeptConversation:
    """The last conversation, with a memory or with any; UsageError if there is none."""
    for kept in history.listed(1, memory=memory, command="chat"):
        return kept
    raise UsageError("there is no conversation yet: start one with mplus chat")


def short(details: Mapping[str, Any]) -> dict[str, Any]:
    """The object of `mplus ask --json` without what the memory keeps itself."""
    sources = [
        {name: value for name, value in source.items() if name not in _LEFT_OUT}
        for source in details["sources"]
    ]
    return {**details, "sources": sources}


def check_name(name: str) -> None:
    """Check a conversation's name; UsageError if it is empty, a number, `ALL` or too long."""
    if not name or name.isdigit() or name == ALL or len(name) > _LONGEST_NAME:
        raise UsageError(f"a conversation cannot be called {name!r}: give it a short name")


def _texts(details: Mapping[str, Any]) -> tuple[str, str]:
    return _storable(details["question"]), _storable(details["answer"])


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _searched(details: str) -> str:
    return _storable(searched_text(json.loads(details)))


def _pattern(word: str) -> str:
    escaped = word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{_storable(escaped)}%"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
