"""Rolling windows (domain 2.1): an item at time x counts at time t while t - span < x <= t, and is free again at x +
span.

Owns counting and release. Refuses to know what is counted. All times are epoch seconds; `times` is sorted.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S


def usage(times: Sequence[int], at: int, span: int) -> int:
    """How many of `times` count at `at`."""
    return bisect_right(times, at) - bisect_right(times, at - span)


def release_at(times: Sequence[int], at: int, span: int, maximum: int) -> int | None:
    """When a full window has room again: the oldest of the newest `maximum` counted items, plus the span (domain 2.1).

    None while usage is below the maximum, and where the maximum is 0: nothing ever frees such a window.
    """
    end = bisect_right(times, at)
    if maximum <= 0 or end - bisect_right(times, at - span) < maximum:
        return None
    return times[end - maximum] + span
