"""The records of a changelog, decoded as far as recovery reads them: key, value, version, deadline. Pure.

Owns the form of the records in a batch (format 2), and that what is not of it raises. The client's own decoding makes
some twenty objects of the headers of a row, of which recovery needs one. Refuses to judge rows (`refill`) and to know
batches (`portions`).
"""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka.errors import CorruptRecordException

Line = tuple[int, bytes | None, bytes | None, bytes | None, bytes | None]
"""A record: offset, key, value, and its first headers of the names `version` and `due_at` that have a value."""

_VERSION: Final = b"version"
_DUE_AT: Final = b"due_at"


def lines_of(data: bytes, records: int, base_offset: int, first: int) -> list[Line]:
    """The records of a batch from the offset `first` on. `data`: all of them, decompressed."""
    try:
        return _walked(data, records, base_offset, first)
    except IndexError as fault:
        raise CorruptRecordException("a record batch ends in the middle of a record") from fault


def _walked(data: bytes, records: int, base_offset: int, first: int) -> list[Line]:
    found: list[Line] = []
    at = 0
    for _ in range(records):
        length, at = _varint(data, at)
        end = at + length
        at += 1  # attributes
        while data[at] > 127:  # when
            at += 1
        delta, at = _varint(data, at + 1)
        key: bytes | None = None
        size, at = _varint(data, at)
        if size >= 0:
            key = data[at : at + size]
            at += size
        value: bytes | None = None
        size, at = _varint(data, at)
        if size >= 0:
            value = data[at : at + size]
            at += size
        version, due_at, at = _told(data, at)
        if at != end or end > len(data):
            raise CorruptRecordException(f"a record of {length} bytes that does not end there")
        if base_offset + delta >= first:
            found.append((base_offset + delta, key, value, version, due_at))
    if at != len(data):
        raise CorruptRecordException(f"{len(data) - at} bytes behind the last record")
    return found


def _told(data: bytes, at: int) -> tuple[bytes | None, bytes | None, int]:
    """What the headers of a record tell, and where they end."""
    version: bytes | None = None
    due_at: bytes | None = None
    headers, at = _varint(data, at)
    if headers < 0:
        raise CorruptRecordException("fewer than no headers")
    for _ in range(headers):
        size, name_at = _varint(data, at)
        if size < 0:
            raise CorruptRecordException("a header without a name")
        name_ends_at = name_at + size
        kept, at = _varint(data, name_ends_at)
        if kept < 0:
            continue
        if size == 7 and version is None and data[name_at:name_ends_at] == _VERSION:
            version = data[at : at + kept]
        elif size == 6 and due_at is None and data[name_at:name_ends_at] == _DUE_AT:
            due_at = data[at : at + kept]
        at += kept
    return version, due_at, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A signed number of variable length, and where it ends."""
    byte = data[at]
    at += 1
    if byte < 128:
        return (-(byte >> 1) - 1 if byte & 1 else byte >> 1), at
    found = byte & 127
    shift = 7
    while True:
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return (-(found >> 1) - 1 if found & 1 else found >> 1), at
        shift += 7


def line_of(record: Any) -> Line:
    """The same of a record that the client decoded."""
    version: bytes | None = None
    due_at: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = record.headers
    for name, value in headers:
        if name == "version":
            version = value if version is None else version
        elif name == "due_at":
            due_at = value if due_at is None else due_at
    return record.offset, record.key, record.value, version, due_at
