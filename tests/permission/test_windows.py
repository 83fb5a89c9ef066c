"""Domain 2.1: a rolling window counts what lies in it, its far end left out, and says when it has room again."""

from streams.permission.windows import DAY_S, WEEK_S, release_at, usage
from tests.permission.story import DAY, T0


def test_a_day_and_a_week_are_what_they_are_called() -> None:
    assert (DAY_S, WEEK_S) == (DAY, 7 * DAY)


def test_an_item_counts_from_its_instant_until_the_span_is_over() -> None:
    assert [usage([T0], at, DAY) for at in (T0 - 1, T0, T0 + DAY - 1, T0 + DAY)] == [0, 1, 1, 0]
    assert usage([T0, T0, T0 + 1, T0 + DAY + 5], T0 + 9, DAY) == 3


def test_a_full_window_has_room_when_the_oldest_of_the_newest_that_fill_it_is_gone() -> None:
    times = [T0, T0 + 1, T0 + 2, T0 + 9]
    assert release_at(times, T0 + 2, DAY, 3) == T0 + DAY
    assert release_at(times, T0 + 2, DAY, 2) == T0 + 1 + DAY
    assert release_at(times, T0 + 2, DAY, 4) is None


def test_a_window_in_which_nothing_is_allowed_never_has_room() -> None:
    assert [release_at(times, T0, DAY, 0) for times in ([], [T0 - 1], [T0, T0 + 9])] == [None, None, None]
