"""Domain 3.3: what Meta answers when it is asked about a pair."""

import json
from typing import Any

import pytest
from hypothesis import given

from schemas.events import Reading, ReadingTaken
from streams.providers.readings import READINGS
from streams.providers.registry import translate
from streams.providers.translation import Translation
from tests.providers.payloads import NUMBER, RECEIVED_AT, USER, body, json_values, sample


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


def test_counts_and_times_with_a_fraction_of_zero_are_whole() -> None:
    plain = sample("reading-temporary")
    said = json.loads(json.dumps(plain), parse_int=float)
    assert reading(said) == reading(plain)


@pytest.mark.parametrize("used", [0.5, 1e300, -1.0, True])
def test_a_count_that_is_no_whole_number_says_nothing(used: object) -> None:
    limit = {"time_period": "PT24H", "max_allowed": 100.0, "current_usage": used}
    done = taken({"permission": {"status": "permanent"}, "actions": [{"action_name": "start_call", "limits": [limit]}]})
    assert done.ignored == {"reading_limit_unknown": 1}


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


# Other providers' answers (domain 4.1, 4.2).


def of(provider: str, response: object) -> ReadingTaken:
    """The one fact of a provider's answer."""
    done = taken(response, provider=provider)
    assert (done.parked, done.ignored) == ((), {})
    (fact,) = done.facts
    assert isinstance(fact, ReadingTaken)
    return fact


def test_infobips_answer_is_metas_in_camel_case() -> None:
    fact = of("infobip", sample("dialects/infobip-state"))
    assert (fact.status, fact.expires_at, fact.inferred) == ("temporary", 1_773_048_600, ())
    assert (fact.can_request, fact.can_call) == (True, True)
    assert (fact.requests_24h, fact.requests_7d) == (Reading(usage=0, maximum=1), Reading(usage=1, maximum=2))
    assert fact.connected_calls_24h == Reading(usage=0, maximum=100)


def test_8x8s_not_granted_is_no_permission() -> None:
    fact = of("8x8", sample("dialects/8x8-state"))
    assert (fact.status, fact.expires_at, fact.can_request, fact.can_call) == ("no_permission", None, False, False)
    assert fact.requests_24h == Reading(usage=1, maximum=1)


@pytest.mark.parametrize("provider", ["infobip", "8x8"])
@pytest.mark.parametrize("status", ["PERMANENT", "permanent"])
def test_a_flat_answer_is_read_in_any_case(provider: str, status: str) -> None:
    assert of(provider, {"status": status, "expirationTime": "2026-03-09T09:30:00.000+0000"}).expires_at is None


@pytest.mark.parametrize("provider", ["360dialog", "zernio", "META"])
def test_a_provider_that_passes_on_metas_answer_is_read_as_meta(provider: str) -> None:
    fact = of(provider, sample("reading-temporary"))
    assert fact == reading(sample("reading-temporary"))


def test_doubletick_counts_what_is_left_and_its_status_is_inferred() -> None:
    fact = of("doubletick", sample("dialects/doubletick-state"))
    assert (fact.status, fact.expires_at, fact.inferred) == ("temporary", None, ("status", "requests_24h"))
    assert (fact.can_request, fact.can_call) == (True, True)
    assert (fact.requests_24h, fact.requests_7d) == (Reading(usage=0, maximum=1), Reading(usage=0, maximum=2))
    assert fact.connected_calls_24h == Reading(usage=3, maximum=100)


@pytest.mark.parametrize(
    ("call", "request_", "status"),
    [
        ({"allowed": True}, {"allowed": True}, "temporary"),
        ({"allowed": True}, None, "temporary"),
        (
            {"allowed": True},
            {"allowed": False, "numberOfRequestLeftForToday": 1, "allowedRequestLeftForWeek": 2},
            "permanent",
        ),
        (
            {"allowed": True},
            {"allowed": False, "numberOfRequestLeftForToday": 0, "allowedRequestLeftForWeek": 1},
            "temporary",
        ),
        ({"allowed": False, "maxAllowed": 100, "currentUsage": 99}, None, "no_permission"),
        ({"allowed": False}, {"allowed": True}, "no_permission"),
    ],
)
def test_the_permission_is_told_by_what_may_be_done(call: object, request_: object, status: str) -> None:
    response = {"startCall": call, "callPermissionRequest": request_}
    fact = of("doubletick", {key: said for key, said in response.items() if said is not None})
    assert (fact.status, "status" in fact.inferred) == (status, True)


@pytest.mark.parametrize(
    ("response", "path"),
    [
        ({"isBlocked": True}, "$.response.isBlocked"),
        ({"isEligible": {"allowed": False, "reason": "PROVIDER_NOT_SUPPORTED"}}, "$.response.isEligible"),
        ({"startCall": {"allowed": False, "maxAllowed": 100, "currentUsage": 100}}, "$.response.startCall"),
        ({"startCall": {"allowed": "maybe"}}, "$.response.startCall"),
    ],
)
def test_an_answer_that_does_not_tell_of_the_permission_is_parked(response: object, path: str) -> None:
    done = taken(response, provider="doubletick")
    assert [(fault.reason, fault.path) for fault in done.parked] == [("unreadable_reading", path)]


@pytest.mark.parametrize("provider", sorted(READINGS))
@given(json_values)
def test_any_answer_gives_a_reading_or_a_reason(provider: str, odd: Any) -> None:
    shapes = [odd, {"permission": odd}, {"status": odd}, {"status": "temporary", "actions": odd, "expirationTime": odd}]
    shapes += [{"startCall": odd}, {"startCall": {"allowed": True, "maxAllowed": odd}, "callPermissionRequest": odd}]
    for response in shapes:
        done = taken(response, provider=provider)
        assert len(done.facts) + len(done.parked) == 1


def test_the_id_of_a_reading_does_not_depend_on_what_was_inferred() -> None:
    fact = of("doubletick", sample("dialects/doubletick-state"))
    assert fact.fact_id == of("doubletick", sample("dialects/doubletick-state") | {"isBlocked": None}).fact_id
    assert reading(sample("reading-none")).fact_id == "68a1aa5f-3660-5de3-849b-ab92ba95f62d"
