"""What is announced beside changes of the standing: rows of unanswered calls, odd replies, full windows, refusals
that our count does not explain (domain 1.3, 1.6, 2.1, 3.9).

Facts come in the order of time here: then what is to be told of each follows from what was known before it and with it.
"""

from collections.abc import Sequence

from schemas.events import PairFact, RequestRefused
from schemas.policy import Policy
from tests.oracle.business import Business
from tests.oracle.doors import REQUESTS_USED_UP
from tests.oracle.facts import distinct
from tests.oracle.grants import story_of
from tests.oracle.judge import judge

Told = tuple[str, str, int]
"""Type, what it is about (a call, a reply and what is odd about it, a limit, what we held possible); the instant."""


def told_on_the_way(facts: Sequence[PairFact], policy: Policy, number: Business) -> list[Told]:
    """Every such announcement while the facts come in, in their order of time."""
    told: list[Told] = []
    for count, fact in enumerate(facts, start=1):
        known, more = distinct(facts[: count - 1]), distinct(facts[:count])
        told += _of_the_story(known, more, fact.occurred_at, policy, number)
        told += _of_windows(known, more, fact, policy, number)
        if isinstance(fact, RequestRefused) and fact.error_code == REQUESTS_USED_UP and known != more:
            told += _of_a_drift(known, fact, policy, number)
    return told


def _of_the_story(known: list[PairFact], more: list[PairFact], at: int, policy: Policy, number: Business) -> list[Told]:
    """WhatsApp asks the user at so many unanswered calls in a row; one before the last, the next one revokes. A reply
    may be odd by itself, or by what came before it.
    """
    before, after = story_of(known, policy, number).told, story_of(more, policy, number).told
    return [(kind, about, at) for kind, about in sorted(after - before)]


def _of_windows(
    known: list[PairFact], more: list[PairFact], fact: PairFact, policy: Policy, number: Business
) -> list[Told]:
    """A limit whose last place the fact takes."""
    of, at = (fact.phone_number_id, fact.user), fact.occurred_at
    before, after = (judge(facts, *of, at, policy, number) for facts in (known, more))
    told: list[Told] = []
    for old, new in zip(before["actions"], after["actions"], strict=True):
        for was, now, name in zip(old["limits"], new["limits"], _NAMES[new["action_name"]], strict=True):
            if was["current_usage"] < now["max_allowed"] <= now["current_usage"]:
                told.append(("limit_reached", name, at))
    return told


def _of_a_drift(known: list[PairFact], fact: PairFact, policy: Policy, number: Business) -> list[Told]:
    """The provider says that the limit is reached, and we would have said that one may ask."""
    may_ask = judge(known, fact.phone_number_id, fact.user, fact.occurred_at, policy, number)["actions"][0]
    if not may_ask["can_perform_action"]:
        return []
    return [("drift_detected", "send_call_permission_request.can_perform_action", fact.occurred_at)]


_NAMES = {
    "send_call_permission_request": ("request_limit_24h", "request_limit_7d"),
    "start_call": ("connected_call_limit_24h",),
}
