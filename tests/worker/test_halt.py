"""When most of what comes is bad, and the way out that a person may open."""

import logging

import pytest
from faust.types import TP

from schemas.envelope import received_at_of
from streams.worker.agents import Limits
from streams.worker.halt import Halt, MostlyBad
from tests.worker.stand_ins import Record, record

AT = 1_772_443_801
WHERE = TP("t.webhooks.raw", 3)
BAD = {"not_json": 100}


def came_in(at: int, count: int = 100) -> list[Record]:
    return [record(b"{", topic=WHERE.topic)._replace(timestamp=at * 1000) for _ in range(count)]


def test_without_the_way_out_a_mostly_bad_batch_is_refused_and_named() -> None:
    with pytest.raises(MostlyBad, match=r"^t\.webhooks\.raw-3: 100 of 100 .* \(not_json\)$"):
        Limits().check(WHERE, [True] * 100, BAD, came_in(AT))


def test_what_came_in_up_to_the_instant_is_let_through_however_bad() -> None:
    limits = Limits(park_until_at=AT)
    for _ in range(30):
        limits.check(WHERE, [True] * 100, BAD, came_in(AT))


def test_of_a_batch_across_the_instant_only_what_came_in_later_is_judged() -> None:
    limits, mixed = Limits(park_until_at=AT), [*came_in(AT, 900), *came_in(AT + 1)]
    limits.check(WHERE, [True] * 900 + [True, False] * 50, BAD, mixed)

    with pytest.raises(MostlyBad, match="51 of 100 records"):
        limits.check(WHERE, [False] * 900 + [True] * 51 + [False] * 49, BAD, mixed)


def test_what_comes_in_later_is_under_the_limit_again() -> None:
    limits = Limits(park_until_at=AT)
    limits.check(WHERE, [True] * 100, BAD, came_in(AT))

    with pytest.raises(MostlyBad):
        limits.check(WHERE, [True] * 100, BAD, came_in(AT + 1))


def test_bad_ones_let_through_do_not_count_towards_the_next_row() -> None:
    limits = Limits(park_until_at=AT)
    limits.check(WHERE, [True] * 1_000, {"not_json": 1_000}, came_in(AT, 1_000))

    limits.check(WHERE, [True] * 99, {"not_json": 99}, came_in(AT + 1, 99))


def test_the_log_line_of_a_halt_names_the_way_out_with_an_instant_that_covers_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    halt = Halt()
    with caplog.at_level(logging.ERROR):
        halt.begin("t-0: 60 of 100 records of a batch could not be judged (not_json)")

    (line,) = caplog.records
    instant = received_at_of(line.message.partition("CALLGRANT_PARK_UNTIL=")[2].partition(" or ")[0])
    assert instant is not None
    assert instant >= line.created
