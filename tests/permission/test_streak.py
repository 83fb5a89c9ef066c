"""Domain 1.6: what a call does to the row of unanswered ones, and when."""

import pytest

from schemas.marks import Call
from schemas.policy import DEFAULT_POLICY, Policy
from streams.permission.streak import Beat, beat_of, revokes
from tests.permission.story import T0, switched

LONGER = Beat(T0, False, "c1")
FIRST_OF_ALL = Beat(T0 - 9, True, "c1")


def ended(direction: str | None = "business_initiated", rejected_at: int | None = None) -> Call:
    """A call that ended at T0."""
    return Call("c1", T0 + 1, direction, rejected_at=rejected_at, terminated_at=T0)


@pytest.mark.parametrize(
    ("outcome", "policy", "beat"),
    [
        ("unanswered", DEFAULT_POLICY, LONGER),
        ("cancelled", DEFAULT_POLICY, LONGER),
        ("cancelled", switched(count_business_cancelled_in_streak=False), None),
        ("technical_failure", DEFAULT_POLICY, None),
        ("technical_failure", switched(count_failed_calls_in_streak=True), LONGER),
        ("open", DEFAULT_POLICY, None),
    ],
)
def test_a_call_of_the_business_that_was_not_picked_up_lengthens_the_row_as_the_policy_says(
    outcome: str, policy: Policy, beat: Beat | None
) -> None:
    assert beat_of(ended(), None, outcome, policy) == beat
    assert beat_of(ended(None), None, outcome, policy) == beat, "where the direction is not known it is the business's"
    assert beat_of(ended("user_initiated"), None, outcome, policy) is None


def test_a_call_without_an_end_does_not_count_yet() -> None:
    assert beat_of(ended()._replace(terminated_at=None), None, "unanswered", DEFAULT_POLICY) is None


def test_a_rejected_call_counts_when_it_was_rejected() -> None:
    assert beat_of(ended(rejected_at=T0 - 5), None, "rejected", DEFAULT_POLICY) == Beat(T0 - 5, False, "c1")


@pytest.mark.parametrize("direction", ["business_initiated", "user_initiated"])
def test_a_connected_call_ends_the_row_from_the_moment_it_was_picked_up_where_the_policy_names_its_direction(
    direction: str,
) -> None:
    others = switched(
        streak_reset_directions=tuple(
            name for name in ("BUSINESS_INITIATED", "USER_INITIATED") if name != direction.upper()
        )
    )
    for outcome in ("connected", "technical_failure"):
        assert beat_of(ended(direction), T0 - 9, outcome, DEFAULT_POLICY) == FIRST_OF_ALL
        assert beat_of(ended(direction), T0 - 9, outcome, others) is None


def test_the_call_that_fills_the_row_revokes_and_so_does_each_one_after_it() -> None:
    assert [revokes(streak, 4) for streak in (3, 4, 5)] == [False, True, True]
