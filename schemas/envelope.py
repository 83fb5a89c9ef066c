"""Record headers: CloudEvents 1.0, Kafka binding, binary mode; the headers of raw records and of dead letters.

On `deadletters` two kinds of record stand side by side, told apart by their headers alone: letters, and marks that say
what an operator did with a letter. A mark has an empty value, names one letter by `partition:offset`, and stands on the
partition of that letter, behind it, so that retention never takes a mark before its letter. Readers fold marks over
letters; whoever only wants letters leaves out what `is_mark`.

Owns header names and their encoding. A value is plain JSON and a null value stays a true tombstone, which is why the
envelope lives in headers (design 3).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, get_args

Headers = list[tuple[str, bytes]]
AnyHeaders = Sequence[tuple[str, bytes | None]]
"""As they arrive: Kafka knows null for a value, and somebody else may write it."""

PROVIDER: Final = "provider"
RECEIVED_AT: Final = "received_at"
DELIVERY_ID: Final = "delivery_id"
SECRET_SLOT: Final = "secret_slot"  # noqa: S105 - the name of a header
REASON: Final = "reason"
PATH: Final = "path"
DETAIL: Final = "detail"
ORIGIN_TOPIC: Final = "origin_topic"
ORIGIN_PARTITION: Final = "origin_partition"
ORIGIN_OFFSET: Final = "origin_offset"
ORIGIN_AT: Final = "origin_at"
BYTES_AT_ORIGIN: Final = "bytes_at_origin"
MARKS: Final = "marks"
OUTCOME: Final = "outcome"
RETRIED: Final = "retried"
"""On a record that was sent back to its origin: the address of the letter it comes from."""

JSON: Final = b"application/json"
Source = Literal["gateway", "worker", "api", "projection", "operator"]
Outcome = Literal["retried", "dropped"]


_SPEC: Final = ("ce_specversion", b"1.0")
_CONTENT: Final = ("content-type", JSON)
_SOURCES: Final[dict[str, tuple[str, bytes]]] = {
    name: ("ce_source", f"/callgrant/{name}".encode()) for name in get_args(Source)
}
_TWO_DIGITS: Final = [f"{number:02d}" for number in range(60)]


def rfc3339(at: int) -> str:
    """Epoch seconds as RFC 3339 in UTC, e.g. `2026-03-02T09:00:00Z`."""
    hour = at // 3_600
    rest = at - hour * 3_600
    minute = rest // 60
    return f"{_hour(hour)}:{_TWO_DIGITS[minute]}:{_TWO_DIGITS[rest - minute * 60]}Z"


@lru_cache(maxsize=4_096)  # what comes in is of few days, and every record names an instant in its headers
def _hour(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3_600, UTC).isoformat()[:13]


@lru_cache(maxsize=1_024)
def _type(kind: str, version: int) -> tuple[str, bytes]:
    return "ce_type", f"callgrant.{kind}.v{version}".encode()


def rfc3339_ms(at_ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, e.g. `2026-03-02T09:00:00.250Z`."""
    return f"{rfc3339(at_ms // 1000)[:-1]}.{at_ms % 1000:03d}Z"


def cloud_event(*, id: str, kind: str, source: Source, at: int, version: int = 1) -> Headers:  # noqa: A002 - CloudEvents' own word
    """The headers of one event: `kind` like `permission.granted`, `at` epoch seconds of what happened."""
    return [
        _SPEC,
        ("ce_id", id.encode()),
        _type(kind, version),
        _SOURCES[source],
        ("ce_time", rfc3339(at).encode()),
        _CONTENT,
    ]


def raw_record(*, provider: str, received_at_ms: int, delivery_id: str, secret_slot: str) -> Headers:
    """The headers of one record on a raw topic. `secret_slot` names which configured secret matched, never its
    value.
    """
    return [
        (PROVIDER, provider.encode()),
        (RECEIVED_AT, rfc3339_ms(received_at_ms).encode()),
        (DELIVERY_ID, delivery_id.encode()),
        (SECRET_SLOT, secret_slot.encode()),
        ("content-type", JSON),
    ]


def dead_letter(
    *,
    reason: str,
    path: str,
    detail: str,
    topic: str,
    partition: int,
    offset: int,
    at_ms: int | None = None,
    left_bytes: int | None = None,
) -> Headers:
    """What a parked record says about itself, put before the headers it arrived with. `detail` quotes no content.

    `at_ms`: the timestamp it had at its origin. `left_bytes`: how many bytes stayed there, because with our headers no
    broker would take them.
    """
    headers = [
        (REASON, reason.encode()),
        (PATH, path.encode()),
        (DETAIL, detail.encode()),
        (ORIGIN_TOPIC, topic.encode()),
        (ORIGIN_PARTITION, str(partition).encode()),
        (ORIGIN_OFFSET, str(offset).encode()),
    ]
    if at_ms is not None:
        headers.append((ORIGIN_AT, str(at_ms).encode()))
    if left_bytes is not None:
        headers.append((BYTES_AT_ORIGIN, str(left_bytes).encode()))
    return headers


def written(headers: AnyHeaders) -> Headers:
    """Headers as we write them again: null becomes empty, as half of the clients cannot tell the two apart."""
    return [(name, value if value is not None else b"") for name, value in headers]


_OF_LETTER: Final = frozenset(
    {REASON, PATH, DETAIL, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_AT, BYTES_AT_ORIGIN}
)


def arrived_with(headers: AnyHeaders) -> Headers:
    """The headers a parked record had before it was parked: all behind the leading ones of `dead_letter`."""
    ours: set[str] = set()
    for place, (name, _) in enumerate(headers):
        if name not in _OF_LETTER or name in ours:
            return written(headers[place:])
        ours.add(name)
    return []


def mark(*, partition: int, offset: int, outcome: Outcome) -> Headers:
    """The headers of a mark: the letter at `partition:offset` was sent back to its origin, or is done with."""
    return [(MARKS, f"{partition}:{offset}".encode()), (OUTCOME, outcome.encode())]


def is_mark(headers: AnyHeaders) -> bool:
    """Whether a record of `deadletters` is a mark and no letter. A letter begins with its reason, whatever it carries
    behind.
    """
    return bool(headers) and headers[0][0] == MARKS


def header(headers: AnyHeaders, name: str) -> str | None:
    """The first header of that name as text, None when absent or null. Bytes that are no UTF-8 are replaced, never
    raised.
    """
    for key, value in headers:
        if key == name and value is not None:
            return value.decode("utf-8", "replace")
    return None


def received_at_of(text: str) -> int | None:
    """Epoch seconds of a `received_at` header; None when it is not RFC 3339 with a zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(at.timestamp()) if at.tzinfo else None
