"""Domain 3.3: what Meta answers when it is asked about a pair."""

from typing import Any

import pytest

from schemas.events import Reading, ReadingTaken
from streams.providers.registry import translate
from streams.providers.translation import Translation
from tests.providers.payloads import NUMBER, RECEIVED_AT, USER, body, sample


def taken(response: object, **more: Any) -> Translation:
    """The translation of a reading."""
    action = {
        "type": "reading_taken",
        "phone_number_id": NUMBER,
        "user": USER,
        "occurred_at": 1_772_443_800,
        "response": response,
        **more,
    }
    return translate("actions", body(action), RECEIVED_AT)


def reading(response: object) -> ReadingTaken:
    """The one fact of a reading."""
    done = taken(response)
    assert done.parked == ()
    (fact,) = done.facts
    assert isinstance(fact, ReadingTaken)
    return fact


def test_a_temporary_permission_with_a_full_request_window() -> None:
    fact = reading(sample("reading-temporary"))
    assert fact == ReadingTaken(
        fact_id=fact.fact_id,
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=1_772_443_800,
        recorded_at=RECEIVED_AT,
        provider="actions",
        status="temporary",
        expires_at=1_773_048_600,
        can_request=False,
        can_call=True,
        requests_24h=Reading(usage=1, maximum=1),
        requests_7d=Reading(usage=1, maximum=2),
        connected_calls_24h=Reading(usage=3, maximum=100),
    )


def test_a_permanent_permission_has_no_expiry() -> None:
    fact = reading(sample("reading-permanent"))
    assert (fact.status, fact.expires_at, fact.can_call) == ("permanent", None, False)
    assert fact.connected_calls_24h == Reading(usage=100, maximum=100)


def test_no_permission() -> None:
    fact = reading(sample("reading-none"))
    assert (fact.status, fact.can_request, fact.can_call) == ("no_permission", True, False)


def test_actions_and_limits_come_in_any_order() -> None:
    shuffled = sample("reading-temporary")
    shuffled["actions"].reverse()
    for action in shuffled["actions"]:
        action["limits"].reverse()
    assert reading(shuffled) == reading(sample("reading-temporary"))


def test_words_are_read_in_any_case_and_the_other_name_of_the_expiry() -> None:
    fact = reading({"permission": {"status": "TEMPORARY", "expiration": "1773048600"}})
    assert (fact.status, fact.expires_at) == ("temporary", 1_773_048_600)


@pytest.mark.parametrize("actions", [None, [], 5, [5], [{"action_name": "start_call", "limits": []}]])
def test_what_an_answer_does_not_say_is_unknown(actions: object) -> None:
    fact = reading({"permission": {"status": "permanent"}, "actions": actions})
    assert (fact.can_request, fact.can_call, fact.requests_24h, fact.connected_calls_24h) == (None, None, None, None)


def test_unknown_actions_and_periods_are_counted() -> None:
    limits = [{"time_period": "P30D", "max_allowed": 1, "current_usage": 0}, {"time_period": "PT24H"}]
    actions = [{"action_name": "send_flowers"}, {"action_name": "start_call", "limits": limits}]
    done = taken({"permission": {"status": "permanent"}, "actions": actions})
    assert done.ignored == {"reading_action_unknown": 1, "reading_limit_unknown": 2}


@pytest.mark.parametrize(
    ("response", "reason", "path"),
    [
        ({}, "unreadable", "$.response.permission"),
        ({"permission": {"status": "maybe"}}, "unreadable_reading", "$.response.permission.status"),
        ({"permission": {}}, "unreadable_reading", "$.response.permission.status"),
        (
            {"permission": {"status": "temporary", "expiration_time": "soon"}},
            "unreadable_time",
            "$.response.permission.expiration_time",
        ),
        ({"error": {"code": 138_000}}, "unreadable_reading", "$.response.error"),
        ([], "invalid_action", "$.response"),
    ],
)
def test_an_answer_that_cannot_be_judged_is_parked_with_its_place(response: object, reason: str, path: str) -> None:
    done = taken(response)
    assert (done.facts, [(fault.reason, fault.path) for fault in done.parked]) == ((), [(reason, path)])


def test_an_answer_of_a_provider_nobody_reads_is_parked_to_be_retried() -> None:
    done = taken({"status": "TEMPORARY"}, provider="pigeon")
    assert [(fault.reason, fault.path) for fault in done.parked] == [("unknown_reading_provider", "$.provider")]


def test_two_different_answers_of_one_second_are_two_readings() -> None:
    assert reading(sample("reading-temporary")).fact_id != reading(sample("reading-none")).fact_id
    assert reading(sample("reading-none")).fact_id == reading(sample("reading-none")).fact_id
