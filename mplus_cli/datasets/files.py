"""JSON, CSV and JSON-lines files, plain or gzipped. Independent of the data sets."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.durable import new_file
from mplus_cli.datasets.values import DataSetError
from mplus_cli.errors import disk_errors


def read_bytes(path: Path) -> bytes:
    """A file's content, decompressed if the name ends in .gz.

    Raises:
        DataSetError: it is missing or damaged.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (EOFError, zlib.error) as error:
        raise DataSetError(f"{path} is damaged: {error}: download it again") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataSetError(f"cannot read {path}: {reason}: check the path") from None


def read_text(path: Path) -> str:
    """A UTF-8 file's text. Raises DataSetError."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataSetError(f"{path} is not UTF-8 text: is it the right file?") from None


def read_json(path: Path) -> Any:
    """A JSON file's value. Raises DataSetError."""
    return _parse(read_text(path), str(path))


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file, or of a JSON list or JSON lines of objects; missing and null values are "".

    Raises:
        DataSetError: a column is missing, or the file is not a table.
    """
    rows = _csv_rows(path) if ".csv" in path.suffixes else _json_rows(path)
    missing = [name for name in columns if not any(name in row for row in rows)]
    if missing:
        raise DataSetError(f"{path} has no column {missing[0]}: is it the right file?")
    return [{name: _plain(row.get(name)) for name in columns} for row in rows]


@contextmanager
def layout(path: Path, name: str) -> Iterator[None]:
    """Turn errors in taking a JSON value apart into a DataSetError."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataSetError(f"{path} is not in the layout of {name}: {missing}") from None


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, gzipped if the name ends in .gz; the same records give the same bytes.

    Raises:
        MplusError: it cannot be written; an existing file is left as it was.
    """
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    data = lines.encode("utf-8", "replace")
    with disk_errors(), new_file(path) as file:
        # Without a time or a name inside, the bytes depend on the records alone.
        file.write(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    try:
        # The csv module needs line ends inside quotes as they are.
        return list(csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True))
    except csv.Error as error:
        raise DataSetError(f"{path} is not a CSV file: {error}") from None


def _json_rows(path: Path) -> list[dict[str, Any]]:
    text = read_text(path)
    if text.lstrip().startswith("["):
        rows = _parse(text, str(path))
    else:
        lines = enumerate(text.splitlines(), 1)
        rows = [_parse(line, f"{path}:{number}") for number, line in lines if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise DataSetError(f"{path} is not a list of objects: is it the right file?")
    return list(rows)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{where} is not JSON: {error}") from None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
