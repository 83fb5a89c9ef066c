"""Rows of the domain's checklist (c) that no scenario tells (tests/CHECKLIST.md)."""

import orjson
import pytest

from schemas.actions import ACTION_TYPES
from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from streams.permission.number import Number
from streams.providers.registry import translate
from tests.permission.story import (
    DAY,
    HOUR,
    NUMBER,
    T0,
    USER,
    Told,
    accepted,
    call,
    connected,
    given,
    refused,
    replied,
    sent,
)
from tests.replay.written import DISPLAY, value, webhook


def test_a_request_keeps_where_it_came_from_its_template_and_its_campaign() -> None:
    told = given(sent("r1", T0, origin="call_dialog", campaign="camp-42"))
    assert (
        told.rows("requests")["r1"].items()
        >= {
            "kind": "template",
            "template_name": "test_cpr_template",
            "template_language": "en",
            "template_category": "UTILITY",
            "origin": "call_dialog",
            "campaign": "camp-42",
        }.items()
    )


def test_a_free_form_request_and_one_with_a_template_count_together() -> None:
    told = given(sent("r1", T0, kind="free_form", template=None), sent("r2", T0 + DAY))
    assert told.at(T0 + DAY).week == (2, 2, T0 + 7 * DAY)
    assert [(row["kind"], row["template_name"]) for row in told.rows("requests").values()] == [
        ("free_form", None),
        ("template", "test_cpr_template"),
    ]


def test_a_connected_call_reopens_the_windows_of_a_week_that_was_full() -> None:
    told = given(sent("r1", T0), sent("r2", T0 + DAY), *connected(T0 + DAY + HOUR))
    assert (told.at(T0 + DAY + HOUR - 1).may_ask, told.at(T0 + DAY + HOUR).may_ask) == (False, True)


def test_only_the_country_of_the_business_counts() -> None:
    link = {"from_user_id": "US.10000000000000000042", "id": "wamid.TESTREPLY0001", "timestamp": str(T0)}
    said = {"response": "accept", "is_permanent": True, "response_source": "user_action"}
    answer = {"type": "interactive", "interactive": {"type": "call_permission_reply", "call_permission_reply": said}}
    line = webhook(T0 + 1, "messages", value(messages=[link | answer]))
    facts = [fact for fact in translate("meta", orjson.dumps(line["body"]), T0 + 1).facts if hasattr(fact, "user")]
    told = given(*facts)  # type: ignore[arg-type]  # facts with a user are those of a pair
    assert told.at(T0, Number(country="GB")).may_call
    assert not told.at(T0, Number(country="US")).may_call


def test_a_call_from_a_call_button_is_no_permission_however_long_the_button_lives() -> None:
    ring = {"id": "wacid.TESTUIC0001", "event": "connect", "timestamp": str(T0), "direction": "USER_INITIATED"}
    said = {**ring, "from": USER, "to": DISPLAY, "cta_payload": "ttl_minutes=43200", "deeplink_payload": "menu"}
    line = webhook(T0 + 1, "calls", value(calls=[said]))
    told = _told_by_meta(line)
    assert (told.at(T0).status, told.at(T0).reason) == ("no_permission", "never")
    assert told.rows("grants") == {}


def test_a_user_may_call_without_any_permission_and_the_call_is_a_row() -> None:
    told = given(*connected(T0, direction="user_initiated"))
    (row,) = told.rows("calls").values()
    assert (row["direction"], row["outcome"]) == ("user_initiated", "connected")
    assert (told.at(T0).status, told.changes) == ("no_permission", [])


def test_a_call_of_a_user_that_nobody_took_is_a_row_to_call_back() -> None:
    told = given(*call("wacid.TESTUIC0001", ("offered", T0), ("ended", T0 + 30), direction="user_initiated"))
    (row,) = told.rows("calls").values()
    assert (row["direction"], row["outcome"], row["anchor_at"]) == ("user_initiated", "unanswered", T0)
    assert told.at(T0 + 30).window_until == T0 + DAY


@pytest.mark.parametrize(
    ("word", "label", "until"),
    [
        (replied("a1", T0, permanent=True), "granted", None),
        (accepted("a1", T0, until=T0 + 7 * DAY), "granted", T0 + 7 * DAY),
    ],
)
def test_a_permission_is_shown_as_lasting_or_with_its_end(word: PairFact, label: str, until: int | None) -> None:
    view = given(word).at(T0)
    assert (view.label, view.until) == (label, until)


def test_nothing_that_a_business_can_say_of_itself_gives_or_takes_a_permission() -> None:
    own = [sent("r1", T0), *call("c1", ("offered", T0 + 1)), refused("call", 138_012, T0 + 2)]
    assert given(*own).at(T0 + HOUR).status == "no_permission"
    kept = given(replied("a1", T0 - HOUR, permanent=True), *own)
    assert kept.at(T0 + HOUR).status == "permanent"
    assert not [name for name in ACTION_TYPES if "grant" in name or "permission" in name or "revoke" in name]


def _told_by_meta(line: dict[str, object]) -> Told:
    done = translate("meta", orjson.dumps(line["body"]), T0 + 1)
    assert done.parked == ()
    return given(*[fact for fact in done.facts if getattr(fact, "user", None) == USER])  # type: ignore[arg-type]  # ditto


def test_the_pair_is_the_one_that_the_facts_name() -> None:
    told = given(sent("r1", T0))
    assert (told.state.phone_number_id, told.state.user) == (NUMBER, USER)


def test_the_state_may_be_asked_for_a_hundred_times_a_second_and_five_times_in_2025() -> None:
    production = DEFAULT_POLICY.profiles["production"]
    assert (production.at("state_endpoint_rps", T0), production.at("state_endpoint_rps", 1_762_000_000)) == (100, 5)
