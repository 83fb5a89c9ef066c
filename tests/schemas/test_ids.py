"""Ids, keys and partitions."""

import uuid

import pytest
from aiokafka.partitioner import murmur2 as clients_murmur2
from hypothesis import given, strategies

from schemas.ids import NAMESPACE, Pair, derived_from, derived_id, masked, murmur2, parse_pair, partition_of, user_of

PAIR = Pair("700100200300400", "447700900123")


def test_a_pair_has_one_text_form_and_is_read_back_from_it() -> None:
    assert PAIR.key == b"700100200300400/447700900123"
    assert parse_pair(PAIR.key) == parse_pair(PAIR.text) == PAIR


@pytest.mark.parametrize(
    "text", ["", "/", "700100200300400", "700100200300400/", "abc/447700900123", "7001/ann", b"\xff/1"]
)
def test_what_is_no_pair_is_not_read_as_one(text: str | bytes) -> None:
    assert parse_pair(text) is None


def test_a_pair_never_shows_the_number_it_holds() -> None:
    scoped = Pair("700100200300400", "GB.10000000000000000042")
    for shown in (repr(PAIR), str(PAIR), f"{PAIR}", masked(PAIR.user)):
        assert "447700900" not in shown
    assert "1000000" not in repr(scoped)


@given(strategies.lists(strategies.text(max_size=8), min_size=1, max_size=4))
def test_a_derived_id_is_the_uuid5_of_its_parts(parts: list[str]) -> None:
    expected = uuid.uuid5(NAMESPACE, "\x1f".join(["kind", *parts]))
    assert derived_id("kind", *parts) == str(expected)
    assert derived_from("kind", "\x1f".join(parts).encode()) == str(expected)


def test_parts_do_not_run_into_each_other() -> None:
    assert derived_id("k", "ab", "c") != derived_id("k", "a", "bc")


@pytest.mark.parametrize(
    ("data", "hashed"),
    # Test vectors of the Java client's own UtilsTest.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_agrees_with_the_java_client(data: bytes, hashed: int) -> None:
    assert murmur2(data) == hashed & 0xFFFFFFFF


@given(strategies.binary(max_size=60))
def test_murmur2_of_any_bytes_is_the_python_clients_own(data: bytes) -> None:
    assert murmur2(data) == clients_murmur2(data)


@given(strategies.binary(max_size=60), strategies.integers(1, 64))
def test_a_partition_is_one_of_the_partitions_and_stays_the_same(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) == partition_of(key, partitions) < partitions


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("447700900123", "447700900123"),
        ("+44 7700 900123", "447700900123"),
        ("+44 (7700) 900-123", "447700900123"),
        ("GB.10000000000000000042", "GB.10000000000000000042"),
        ("GB.ENT.20000000000000000042", "GB.ENT.20000000000000000042"),
        ("ann", None),
        ("", None),
        ("4477\u0663", None),
    ],
)
def test_a_user_has_one_form_whatever_the_provider_writes(text: str, user: str | None) -> None:
    assert user_of(text) == user
