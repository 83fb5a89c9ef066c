"""Whoever follows a replica hears of each key what the replica holds, and nothing else."""

from typing import NamedTuple

from schemas.state_row import version_of
from streams.kafka.replica import Replica


class Read(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def row(version: int) -> bytes:
    return f'{{"schema":1,"version":{version},"x":0}}'.encode()


def test_what_wins_is_heard_and_what_is_outranked_is_not() -> None:
    heard: list[tuple[bytes, bytes | None]] = []
    replica = Replica("127.0.0.1:1", "t", version_of, lambda key, value: heard.append((key, value)))
    replica._fold([Read(b"a", row(2)), Read(b"a", row(1)), Read(None, row(9)), Read(b"b", row(1)), Read(b"b", None)])
    assert heard == [(b"a", row(2)), (b"b", row(1)), (b"b", None)]
    assert dict(heard)[b"a"] == replica.get(b"a")


def test_a_topic_made_anew_is_heard_as_the_end_of_every_key() -> None:
    held: dict[bytes, bytes | None] = {}
    replica = Replica("127.0.0.1:1", "t", version_of, held.__setitem__)
    replica._fold([Read(b"a", row(1)), Read(b"b", row(1))])
    replica._forget()
    assert held == {b"a": None, b"b": None}
    assert len(replica) == 0
