"""Compression with one context: whatever was compressed before, readers get what was given, in as many bytes as the
client's own codec takes.
"""

import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.compression import BUILDER, LEVEL, Compressor, keep_context

BODIES = st.lists(st.binary(max_size=300) | st.binary(max_size=40).map(lambda each: each * 500), max_size=5)
ZSTD = 4


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BUILDER, "zstd_encode", codec.zstd_encode)
    keep_context()


@given(BODIES)
def test_a_frame_reads_back_and_is_the_same_whatever_was_compressed_before(bodies: list[bytes]) -> None:
    compressor = Compressor()
    for body in bodies:
        frame = compressor.frame(body)
        assert codec.zstd_decode(frame) == body
        assert frame == Compressor().frame(body)


def test_a_large_batch_is_as_small_as_the_client_would_have_made_it() -> None:
    body = b"".join(b'{"id":"wamid.TEST%d","status":"delivered"}' % place for place in range(100_000))
    assert len(Compressor().frame(body)) <= len(codec.zstd_encode(body)) * 1.01


def test_the_library_lets_threads_take_turns() -> None:
    compressor, bodies = Compressor(), [bytes([place]) * (place * 997) for place in range(200)]
    with ThreadPoolExecutor(4) as threads:
        frames = list(threads.map(compressor.frame, bodies))

    assert [codec.zstd_decode(frame) for frame in frames] == bodies


def test_after_a_body_that_cannot_be_read_the_next_one_is_compressed() -> None:
    compressor = Compressor()
    with pytest.raises(TypeError):
        compressor.frame("text")

    assert codec.zstd_decode(compressor.frame(b"bytes")) == b"bytes"


def test_the_client_builds_its_batches_with_it(kept: None) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=ZSTD,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset in range(9):
        builder.append(offset, timestamp=1, key=b"TEST", value=b"v" * 1000, headers=[])
    built = bytes(builder.build())
    records = list(DefaultRecordBatch(built))

    assert getattr(BUILDER, "zstd_encode") is not codec.zstd_encode  # noqa: B009 - typed nowhere
    assert [record.value for record in records] == [b"v" * 1000] * 9
    assert built[61:] == Compressor().frame(codec.zstd_decode(built[61:]))


def test_the_level_is_the_clients_own() -> None:
    assert f"level = {LEVEL}" in inspect.getsource(codec.zstd_encode)
    with pytest.raises(AssertionError):
        Compressor().frame(b"", 9)
