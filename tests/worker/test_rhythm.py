"""When the broker is asked for what: the two stages of a round, in step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.rhythm import GATHER_BYTES, GATHER_S, MANY, Ask, Rhythm

WHOLE_MS = round(GATHER_S * 1000)
AT_ONCE = Ask(raw=False, wait_ms=0, min_bytes=0)
LATE = Ask(raw=True, wait_ms=WHOLE_MS, min_bytes=1)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rhythm(clock: Clock) -> Rhythm:
    return Rhythm(clock)


def gathered(wait_ms: int) -> Ask:
    return Ask(raw=True, wait_ms=wait_ms, min_bytes=GATHER_BYTES)


def test_whatever_comes_is_gathered_for_a_while(rhythm: Rhythm) -> None:
    assert rhythm.next() == gathered(WHOLE_MS)
    rhythm.asked()
    assert rhythm.next() == gathered(WHOLE_MS)


def test_nothing_is_asked_for_while_raw_records_are_translated(rhythm: Rhythm, clock: Clock) -> None:
    rhythm.took(10)
    clock.now_s += 0.01

    assert rhythm.next() == pytest.approx(GATHER_S - 0.01)


def test_what_raw_records_came_to_is_asked_for_at_once_and_alone(rhythm: Rhythm) -> None:
    rhythm.took(10)
    rhythm.wrote()

    assert rhythm.next() == AT_ONCE
    assert rhythm.next() == AT_ONCE, "nobody was asked yet"


def test_raw_records_that_are_due_are_asked_for_even_if_nobody_could_be_asked_for_facts(
    rhythm: Rhythm, clock: Clock
) -> None:
    rhythm.took(10)
    rhythm.wrote()
    clock.now_s += GATHER_S

    assert rhythm.next() == AT_ONCE._replace(raw=True)


def test_the_next_raw_records_are_due_when_they_would_have_been_anyhow(rhythm: Rhythm, clock: Clock) -> None:
    rhythm.took(10)
    clock.now_s += 0.01
    rhythm.wrote()
    rhythm.next()
    rhythm.asked()
    clock.now_s += 0.005

    assert rhythm.next() == gathered(WHOLE_MS - 15)


def test_a_translation_that_takes_longer_than_the_wait_holds_nothing_up(rhythm: Rhythm, clock: Clock) -> None:
    rhythm.took(10)
    clock.now_s += GATHER_S

    assert rhythm.next() == LATE, "its facts are not gathered once more"
    rhythm.asked()
    rhythm.wrote()
    assert rhythm.next() == gathered(WHOLE_MS), "the round was over"


def test_where_many_have_piled_up_fetching_goes_on_as_ever(rhythm: Rhythm) -> None:
    rhythm.took(MANY)

    assert rhythm.next() == gathered(WHOLE_MS)


def test_raw_records_that_come_before_the_last_are_translated_begin_a_round(rhythm: Rhythm, clock: Clock) -> None:
    rhythm.took(10)
    clock.now_s += GATHER_S
    rhythm.next()
    rhythm.asked()
    rhythm.took(10)

    assert rhythm.next() == pytest.approx(GATHER_S)


@given(st.lists(st.sampled_from(["wrote", "asked"]) | st.integers(1, 2 * MANY) | st.floats(0, 0.1), max_size=40))
def test_nobody_ever_waits_longer_than_one_gathering_or_goes_without_raw_records_for_longer(
    told: list[str | int | float],
) -> None:
    clock = Clock()
    rhythm, took_at_s = Rhythm(clock), 0.0
    for one in told:
        if isinstance(one, float):
            clock.now_s += one
        elif isinstance(one, int):
            rhythm.took(one)
            took_at_s = clock.now_s
        else:
            getattr(rhythm, one)()
        ask = rhythm.next()
        if isinstance(ask, Ask):
            assert 0 <= ask.wait_ms <= WHOLE_MS
            assert ask.raw or clock.now_s < took_at_s + GATHER_S
        else:
            assert 0 < ask <= GATHER_S + 1e-9
