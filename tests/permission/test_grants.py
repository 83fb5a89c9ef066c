"""Domain 1.2, 1.3: who gave or took permission. Names in brackets are rows of those tables and of the scenarios (b)."""

from dataclasses import replace
from typing import Literal

import pytest

from schemas.events import PairFact, ReadingTaken
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY
from streams.permission.standing import timeline
from tests.permission.story import (
    DAY,
    HOUR,
    MINUTE,
    NUMBER,
    PRODUCTION,
    T0,
    accepted,
    delivered,
    given,
    moved,
    reading,
    refused,
    rejected,
    replied,
    sent,
    unanswered,
)

ASKED = (sent("r1", T0), delivered("r1", T0 + 5))


def test_nobody_who_was_never_asked_has_permission() -> None:  # scenario 1
    view = given().at(T0)
    assert (view.status, view.reason, view.label) == ("no_permission", "never", "not_requested")
    assert view.asked == ((0, None), (0, None))
    assert view.may_ask
    assert view.call_refused == ("no_permission", None)


def test_a_temporary_accept_holds_until_the_second_before_its_expiry() -> None:  # G1, G12, scenario 3
    told = given(*ASKED, accepted("a1", T0 + 30 * MINUTE, to="r1"))
    until = T0 + 30 * MINUTE + 7 * DAY
    assert until == 1_773_048_600
    for at in (T0 + 30 * MINUTE, until - 1):
        assert (told.at(at).status, told.at(at).until, told.at(at).may_call) == ("temporary", until, True)
    assert (told.at(until).status, told.at(until).reason) == ("no_permission", "expired")
    assert told.at(until).may_ask
    assert not told.at(until).may_call


def test_a_permanent_accept_has_no_end_and_no_request_may_follow() -> None:  # G2, scenario 4
    told = given(*ASKED, replied("a1", T0 + 30 * MINUTE, to="r1", permanent=True))
    for at in (T0 + 30 * MINUTE, T0 + 400 * DAY):
        view = told.at(at)
        assert (view.status, view.until, view.may_call) == ("permanent", None, True)
        assert view.ask_refused == ("permanent_permission_exists", None)


def test_an_accept_without_context_comes_through_the_profile() -> None:  # G3, scenario 7
    view = given(replied("a1", T0, permanent=True)).at(T0)
    assert view.body["standing"]["via"] == "profile"
    assert view.body["standing"]["request_id"] is None


def test_an_automatic_accept_after_a_call_of_the_user_comes_through_the_callback() -> None:  # G4, scenario 8
    told = given(replied("a1", T0, to="wacid.TESTUIC0001", until=T0 + 7 * DAY, source="automatic"))
    view = told.at(T0)
    assert (view.status, view.body["standing"]["via"], view.body["standing"]["source"]) == (
        "temporary",
        "callback",
        "automatic",
    )
    assert view.body["standing"]["service_window_until"] is None, "WhatsApp decided, not the user"
    assert told.at(T0 + 7 * DAY).reason == "expired"


def test_an_automatic_accept_extends_a_temporary_grant_and_stays_the_same_grant() -> None:  # G5, scenario 27
    told = given(
        accepted("a1", T0),
        replied("a2", T0 + 4 * DAY, to="wacid.TESTUIC0001", until=T0 + 11 * DAY, source="automatic"),
    )
    assert told.at(T0 + 8 * DAY).until == T0 + 11 * DAY
    assert told.at(T0 + 8 * DAY).body["standing"]["granted_at"] == T0
    assert told.announced == [("permission_granted", "profile"), ("permission_extended", "automatic")]
    assert [row["expires_at"] for row in told.rows("grants").values()] == [T0 + 11 * DAY]


def test_an_automatic_accept_never_shortens_a_grant() -> None:  # G5
    told = given(
        accepted("a1", T0),
        replied("a2", T0 + HOUR, to="wacid.TESTUIC0001", until=T0 + 2 * HOUR, source="automatic"),
    )
    assert told.at(T0 + DAY).until == T0 + 7 * DAY


def test_an_automatic_accept_does_not_touch_a_permanent_grant() -> None:  # G6, scenario 26
    told = given(
        replied("a1", T0, permanent=True),
        replied("a2", T0 + DAY, to="wacid.TESTUIC0001", until=T0 + 8 * DAY, source="automatic"),
    )
    assert told.at(T0 + 9 * DAY).status == "permanent"
    assert told.announced == [("permission_granted", "profile")]


def test_a_reject_of_a_request_without_a_grant_declines() -> None:  # G7, scenario 5
    told = given(*ASKED, rejected("a1", T0 + 30 * MINUTE, to="r1"))
    view = told.at(T0 + 30 * MINUTE)
    assert (view.status, view.reason, view.label) == ("no_permission", "declined", "denied")
    assert view.ask_refused == ("request_limit_24h", T0 + DAY)
    assert told.announced == [("permission_declined", "declined")]


def test_a_reject_of_a_request_with_a_grant_revokes_through_the_request() -> None:  # G8, scenario 28
    told = given(*ASKED, replied("a1", T0 + 30 * MINUTE, permanent=True), rejected("a2", T0 + DAY, to="r1"))
    assert told.at(T0 + DAY).reason == "revoked"
    assert told.announced[-1] == ("permission_revoked", "revoked_via_request")


def test_a_reject_without_context_revokes_through_the_profile() -> None:  # G9, scenario 9
    told = given(accepted("a1", T0), rejected("a2", T0 + 2 * DAY))
    assert told.at(T0 + 2 * DAY - 1).status == "temporary"
    assert told.at(T0 + 2 * DAY).reason == "revoked"
    assert told.announced[-1] == ("permission_revoked", "revoked_via_profile")


def test_an_automatic_reject_revokes_automatically() -> None:  # G10
    told = given(replied("a1", T0, permanent=True), replied("a2", T0 + DAY, "reject", source="automatic"))
    view = told.at(T0 + DAY)
    assert (view.reason, view.label) == ("auto_revoked", "auto_revoked")
    assert told.announced[-1] == ("permission_revoked", "auto_revoked")


def test_an_automatic_reject_without_a_grant_is_only_flagged() -> None:  # G11, A42
    told = given(replied("a1", T0, "reject", source="automatic"))
    assert (told.at(T0).reason, told.at(T0).flags) == ("never", ["revoke_without_grant"])
    assert told.announced == []


def test_a_profile_revoke_without_a_grant_says_that_a_grant_was_missed() -> None:  # design 15, replies
    told = given(rejected("a1", T0))
    assert (told.at(T0).reason, told.at(T0).flags) == ("revoked", ["revoke_without_grant"])


def test_a_temporary_accept_by_the_user_downgrades_a_permanent_grant() -> None:  # G13, scenario 25
    told = given(replied("a1", T0, permanent=True), accepted("a2", T0 + DAY))
    assert (told.at(T0 + DAY).until, told.at(T0 + DAY).flags) == (T0 + 8 * DAY, ["downgrade"])
    assert told.at(T0 + 8 * DAY).reason == "expired"


def test_a_second_temporary_accept_replaces_the_first_even_if_it_ends_earlier() -> None:  # G14
    told = given(accepted("a1", T0), accepted("a2", T0 + HOUR, until=T0 + DAY))
    assert told.at(T0 + HOUR).until == T0 + DAY
    ends = sorted((row["ended_at"] or 0, row["end_cause"] or "") for row in told.rows("grants").values())
    assert ends == [(0, ""), (T0 + HOUR, "replaced")]


def test_a_permanent_accept_replaces_a_temporary_grant() -> None:  # G15
    told = given(accepted("a1", T0), replied("a2", T0 + HOUR, permanent=True))
    assert told.at(T0 + 30 * DAY).status == "permanent"


def test_permanent_on_permanent_is_the_same_grant() -> None:  # design 15, replies
    told = given(replied("a1", T0, permanent=True), replied("a2", T0 + HOUR, permanent=True))
    assert told.announced == [("permission_granted", "profile")]
    assert len(told.rows("grants")) == 1


def test_a_user_may_accept_after_a_decline_on_the_same_request() -> None:  # scenario 6
    told = given(*ASKED, rejected("a1", T0 + 30 * MINUTE, to="r1"), accepted("a2", T0 + 2 * DAY, to="r1"))
    assert told.at(T0 + DAY).reason == "declined"
    assert told.at(T0 + 2 * DAY).until == 1_773_219_600


def test_a_payload_expiry_of_sixteen_days_is_believed() -> None:  # scenario 29, A4
    told = given(accepted("a1", 1_767_168_000, until=1_768_550_400))
    assert told.at(1_767_168_000 + 8 * DAY).until == 1_768_550_400


def test_an_accept_without_expiry_ends_after_seven_days_and_says_so() -> None:  # scenario 30
    view = given(replied("a1", T0 + 30 * MINUTE)).at(T0 + 30 * MINUTE)
    assert (view.until, view.flags) == (1_773_048_600, ["expiry_inferred"])


def test_an_expiry_not_after_the_reply_is_believed() -> None:  # design 15, replies
    told = given(accepted("a1", T0, until=T0 - HOUR))
    assert told.at(T0).reason == "expired"
    assert told.announced == [("permission_expired", "expired")]


def test_a_reply_without_source_to_a_request_is_the_users_and_flagged() -> None:  # 4.3 rule 4
    view = given(replied("a1", T0, to="r9", until=T0 + DAY, source=None)).at(T0)
    assert view.body["standing"]["source"] == "user_action"
    assert view.flags == ["source_inferred", "unknown_request"]


def test_in_one_second_a_reject_wins_over_an_accept_and_both_are_flagged() -> None:  # scenario 24, A38
    for facts in ((accepted("a1", T0), rejected("a0", T0)), (rejected("a0", T0), accepted("a1", T0))):
        view = given(*facts).at(T0)
        assert (view.reason, view.flags) == ("revoked", ["same_second_conflict"])


def test_a_late_accept_does_not_reopen_a_newer_reject() -> None:  # scenario 23
    told = given(sent("r1", T0), rejected("a2", T0 + 90 * MINUTE, to="r1"))
    assert told.at(T0 + 90 * MINUTE).reason == "declined"
    told = told.then(accepted("a1", T0 + 30 * MINUTE, to="r1"))
    assert told.at(T0 + 30 * MINUTE).status == "temporary"
    assert told.at(T0 + 90 * MINUTE).reason == "revoked", "what was a decline is now a revocation"


def test_a_reply_to_a_superseded_request_grants_and_is_flagged() -> None:  # scenario 31
    told = given(
        *ASKED,
        sent("r2", T0 + 2 * DAY),
        delivered("r2", T0 + 2 * DAY + 5),
        accepted("a1", T0 + 2 * DAY + HOUR, to="r1"),
    )
    view = told.at(T0 + 2 * DAY + HOUR)
    assert (view.until, view.flags) == (1_773_223_200, ["reply_to_expired_request"])
    assert view.asked == ((1, T0 + 3 * DAY), (2, T0 + 7 * DAY))
    assert told.rows("requests")["r2"]["final_class"] == "open"


def test_a_fact_that_comes_three_times_counts_once() -> None:  # scenario 22
    told = given(*ASKED, *[accepted("a1", T0 + 30 * MINUTE, to="r1")] * 3)
    assert [one.repeated for one in told.steps] == [False, False, False, True, True]
    assert told.announced == [("permission_granted", "request")]
    assert told.state.version == 3


def test_an_expiry_not_after_the_reply_ends_the_grant_in_the_second_it_was_given() -> None:  # design 15, replies
    (row,) = given(accepted("a1", T0, until=T0 - HOUR)).rows("grants").values()
    assert (row["granted_at"], row["ended_at"], row["end_cause"]) == (T0, T0, "expired")


def test_a_grant_row_tells_all_of_it() -> None:
    told = given(*ASKED, accepted("a1", T0 + HOUR, to="r1", until=T0 + DAY))
    (row,) = told.rows("grants").values()
    assert {name: row[name] for name in row if name not in ("grant_id", "version", "phone_number_id", "user")} == {
        "kind": "temporary",
        "via": "request",
        "source": "user_action",
        "granted_at": T0 + HOUR,
        "expires_at": T0 + DAY,
        "request_id": "r1",
        "confirmed": True,
        "flags": (),
        "ended_at": None,
        "end_cause": None,
        "is_deleted": 0,
    }


def test_an_expiry_is_told_with_the_grant_that_ran_out() -> None:
    told = given(accepted("a1", T0)).when_time_reaches(T0 + 8 * DAY)
    (row,) = told.rows("grants").values()
    assert (row["ended_at"], row["end_cause"]) == (T0 + 7 * DAY, "expired")
    assert (told.at(T0 + 8 * DAY).confirmed, told.at(T0 + 8 * DAY).flags) == (True, [])


def test_a_users_accept_in_answer_to_a_call_is_his_own_and_came_through_the_callback() -> None:  # design 15, replies
    told = given(replied("a0", T0, permanent=True), accepted("a1", T0 + HOUR, to="wacid.TESTUIC0001"))
    view = told.at(T0 + HOUR)
    assert (view.status, view.via, view.body["standing"]["source"]) == ("temporary", "callback", "user_action")
    assert (view.body["standing"]["request_id"], view.flags) == (None, ["downgrade"])


def test_an_automatic_accept_without_context_came_through_the_callback_too() -> None:
    view = given(replied("a1", T0, until=T0 + DAY, source="automatic")).at(T0)
    assert (view.via, view.body["standing"]["source"]) == ("callback", "automatic")


def test_an_automatic_accept_without_expiry_extends_by_a_week_from_its_instant() -> None:
    told = given(accepted("a1", T0), replied("a2", T0 + DAY, to="wacid.TESTUIC0001", source="automatic"))
    assert (told.at(T0 + DAY).until, told.at(T0 + DAY).flags) == (T0 + 8 * DAY, ["expiry_inferred"])


def test_a_permanent_accept_by_whatsapp_replaces_a_temporary_grant() -> None:
    told = given(accepted("a1", T0), replied("a2", T0 + HOUR, permanent=True, source="automatic"))
    assert (told.at(T0 + HOUR).status, told.at(T0 + HOUR).via) == ("permanent", "profile")  # 1.5
    assert sorted(row["end_cause"] or "" for row in told.rows("grants").values()) == ["", "replaced"]


@pytest.mark.parametrize(
    ("first", "more", "until", "flags"),
    [
        (T0 + DAY, None, T0 + HOUR + 7 * DAY, ["expiry_inferred"]),
        (T0 + 30 * DAY, None, T0 + 30 * DAY, []),
        (None, None, T0 + HOUR + 7 * DAY, ["expiry_inferred"]),
        (None, T0 + 9 * DAY, T0 + 9 * DAY, []),
        (None, T0 + 7 * DAY, T0 + 7 * DAY, []),
        (None, T0 + DAY, T0 + 7 * DAY, ["expiry_inferred"]),
        (T0 + DAY, T0 + 9 * DAY, T0 + 9 * DAY, []),
    ],
    ids=[
        "it sets an end that nobody named",
        "it leaves an end that was named",
        "it moves an end that nobody named",
        "it names a later end",
        "it names the same end",
        "it names an earlier end, which does not count",
        "all ends are named",
    ],
)
def test_an_extension_says_whether_the_end_that_holds_then_was_inferred(
    first: int | None, more: int | None, until: int, flags: list[str]
) -> None:
    told = given(
        replied("a1", T0, until=first), replied("a2", T0 + HOUR, until=more, to="wacid.TESTUIC0001", source="automatic")
    )
    assert (told.at(T0 + HOUR).until, told.at(T0 + HOUR).flags) == (until, flags)
    (row,) = told.rows("grants").values()
    assert list(row["flags"]) == flags, "and so does its row"


def test_an_accept_without_source_in_answer_to_a_call_is_automatic() -> None:  # 4.3 rule 4
    told = given(accepted("a1", T0), replied("a2", T0 + DAY, to="wacid.TESTUIC0001", until=T0 + 9 * DAY, source=None))
    assert told.at(T0 + DAY).until == T0 + 9 * DAY
    assert told.announced[-1] == ("permission_extended", "automatic")
    alone = given(replied("a2", T0, to="wacid.TESTUIC0001", until=T0 + DAY, source=None)).at(T0)
    assert (alone.body["standing"]["source"], alone.flags) == ("automatic", ["source_inferred"])


def test_a_reject_without_source_and_context_is_automatic_only_where_the_row_of_calls_is_full() -> None:  # 4.3 rule 4
    full = [T0 + place * MINUTE for place in range(1, 5)]
    held = replied("a0", T0, permanent=True)
    for ends, to, reason in ((full, None, "auto_revoked"), (full[:3], None, "revoked"), (full[:3], "r1", "revoked")):
        told = given(held, *unanswered(*ends), replied("a1", T0 + HOUR, "reject", to=to, source=None))
        assert (told.at(T0 + HOUR).reason, "source_inferred" in told.at(T0 + HOUR).flags) == (reason, True)
    told = given(held, *unanswered(*full), replied("a1", T0 + HOUR, "reject", to="r1", source=None))
    assert told.at(T0 + HOUR).reason == "declined", "an answer to a request is the user's"


def test_an_automatic_reject_that_nothing_was_held_for_keeps_the_reason_and_its_certainty() -> None:  # G11
    told = given(rejected("a0", T0, to="r1"), replied("a1", T0 + HOUR, "reject", source="automatic"))
    view = told.at(T0 + HOUR)
    assert (view.reason, view.flags, view.confirmed) == ("declined", ["revoke_without_grant"], True)
    unsure = given(moved("old", T0), replied("a1", T0 + HOUR, "reject", source="automatic")).at(T0 + HOUR)
    assert (unsure.reason, unsure.confirmed) == ("number_changed", False)


def test_a_reply_that_confirms_an_inferred_revoke_is_no_anomaly_and_closes_the_grant_under_its_cause() -> None:
    ends = [T0 + place * MINUTE for place in range(1, 5)]
    revoked = replied("a1", T0 + HOUR, "reject", source="automatic")
    told = given(replied("a0", T0, permanent=True), *unanswered(*ends), revoked)
    assert (told.at(T0 + HOUR).flags, told.at(T0 + HOUR).confirmed) == ([], True)
    assert [(row["end_cause"], row["ended_at"]) for row in told.rows("grants").values()] == [("auto_revoked", ends[3])]


def test_a_user_who_gives_permission_after_an_inferred_revoke_has_it() -> None:
    ends = [T0 + place * MINUTE for place in range(1, 5)]
    told = given(replied("a0", T0, permanent=True), *unanswered(*ends), accepted("a1", T0 + HOUR))
    assert (told.at(T0 + HOUR).status, told.at(T0 + HOUR).streak, told.at(T0 + HOUR).confirmed) == (
        "temporary",
        0,
        True,
    )
    causes = sorted(row["end_cause"] or "" for row in told.rows("grants").values())
    assert causes == ["", "auto_revoke_inferred"]


def test_in_one_second_a_permanent_accept_wins_over_a_temporary_one_whichever_comes_first() -> None:  # 1.3
    words = (accepted("a2", T0), replied("a1", T0, permanent=True))
    for told in (given(*words), given(*reversed(words))):
        assert (told.at(T0).status, told.at(T0).flags) == ("permanent", ["same_second_conflict"])


CONFLICTS = [
    ([accepted("a1", T0), rejected("a2", T0)], "no_permission"),
    ([accepted("a1", T0), replied("a2", T0, permanent=True)], "permanent"),
    ([accepted("a1", T0), rejected("a2", T0), rejected("a3", T0)], "no_permission"),
]


@pytest.mark.parametrize(("words", "status"), CONFLICTS)
def test_what_the_conflicting_words_of_one_second_came_to_is_unconfirmed_until_a_reading_says_so(
    words: list[PairFact], status: Literal["no_permission", "permanent"]
) -> None:  # 1.3, A38
    for facts in (words, words[::-1]):
        told = given(*facts, reading(status, T0 + HOUR))
        assert (told.at(T0).status, told.at(T0).confirmed) == (status, False)
        assert (told.at(T0 + HOUR).status, told.at(T0 + HOUR).confirmed) == (status, True)
        assert given(*facts, rejected("a9", T0 + 1)).at(T0 + 1).confirmed, "a later word has no part in it"


def test_nothing_is_in_doubt_of_what_was_never_given_or_ran_out_at_once() -> None:  # design 15, standing
    automatic = replied("a2", T0, "reject", source="automatic")
    view = given(accepted("a1", T0, until=T0), automatic).at(T0)
    assert (view.reason, view.confirmed, view.flags) == (
        "expired",
        True,
        ["revoke_without_grant", "same_second_conflict"],
    )


def test_a_permanent_accept_by_whatsapp_in_answer_to_a_request_came_through_it() -> None:  # 1.5
    told = given(sent("r1", T0), replied("a1", T0 + HOUR, to="r1", permanent=True, source="automatic"))
    assert (told.at(T0 + HOUR).via, told.at(T0 + HOUR).body["standing"]["request_id"]) == ("request", "r1")
    assert told.at(T0 + HOUR).body["standing"]["source"] == "automatic"


def test_a_grant_that_conflicting_words_only_repeat_is_as_confirmed_as_before() -> None:
    words = (
        replied("a2", T0, to="wacid.TESTUIC0001", until=T0 + DAY, source="automatic"),
        replied("a3", T0, permanent=True),
    )
    assert given(replied("a1", T0 - HOUR, permanent=True), *words).at(T0).confirmed
    assert not given(refused("request", 138_017, T0 - HOUR), *words).at(T0).confirmed, "and no surer"


def test_two_equal_words_of_one_second_are_no_conflict_and_the_later_id_counts() -> None:
    words = (accepted("a1", T0, until=T0 + DAY), accepted("a2", T0, until=T0 + 2 * DAY))
    for told in (given(*words), given(*reversed(words))):
        assert (told.at(T0).until, told.at(T0).flags) == (T0 + 2 * DAY, [])


def test_flags_of_a_reject_stand_until_the_next_word() -> None:
    told = given(replied("a1", T0, "reject", to="r9", source=None), accepted("a2", T0 + HOUR))
    assert (told.at(T0).flags, told.at(T0 + HOUR).flags) == (["source_inferred", "unknown_request"], [])


def test_a_reply_in_the_second_its_request_ends_came_too_late_and_one_before_it_did_not() -> None:
    end = T0 + 5 + 7 * DAY
    for at, flags in ((end - 1, []), (end, ["reply_to_expired_request"])):
        assert given(*ASKED, accepted("a1", at, to="r1")).at(at).flags == flags


@pytest.mark.parametrize(
    ("word", "reason", "cause"),
    [
        (rejected("a2", T0 + HOUR), "revoked", "revoked_via_profile"),
        (rejected("a2", T0 + HOUR, to="r1"), "revoked", "revoked_via_request"),
        (replied("a2", T0 + HOUR, "reject", source="automatic"), "auto_revoked", "auto_revoked"),
    ],
)
def test_a_reject_ends_the_grant_in_its_second_and_is_certain(word: PairFact, reason: str, cause: str) -> None:
    told = given(*ASKED, replied("a1", T0 + MINUTE, to="r1", permanent=True), word)
    (row,) = told.rows("grants").values()
    assert (row["ended_at"], row["end_cause"]) == (T0 + HOUR, cause)
    assert (told.at(T0 + HOUR).reason, told.at(T0 + HOUR).confirmed, told.at(T0 + HOUR).flags) == (reason, True, [])


def test_a_reject_that_nothing_was_held_for_is_certain() -> None:
    assert given(rejected("a1", T0)).at(T0).confirmed is True
    assert given(rejected("a1", T0, to="r1")).at(T0).confirmed is True


def test_the_id_of_a_grant_is_that_of_the_word_that_gave_it_and_stays_what_it_always_was() -> None:
    read, taken = reading("permanent", T0), refused("request", 138_017, T0, action_id="TESTATTEMPT1")
    for word, name in ((accepted("a1", T0), "a1"), (read, f"#{read.fact_id}"), (taken, "!request:TESTATTEMPT1")):
        (row,) = given(word).rows("grants").values()
        assert row["grant_id"] == derived_id("grant", NUMBER, name)


@pytest.mark.parametrize(
    "words",
    [
        [accepted("a1", T0)],
        [replied("a0", T0, permanent=True), replied("a1", T0 + HOUR, permanent=True)],
        [accepted("a0", T0), replied("a1", T0 + HOUR, source="automatic")],
        [replied("a0", T0, permanent=True), replied("a1", T0 + HOUR, source="automatic")],
        [accepted("a0", T0), replied("a1", T0 + HOUR, "reject", source="automatic")],
        [
            replied("a0", T0, permanent=True),
            *unanswered(T0 + 1, T0 + 2, T0 + 3, T0 + 4),
            replied("a1", T0 + HOUR, "reject", source="automatic"),
        ],
        [rejected("a0", T0, to="r1"), replied("a1", T0 + HOUR, "reject", source="automatic")],
        [accepted("a0", T0), rejected("a1", T0 + HOUR)],
        [rejected("a1", T0, to="r1")],
        [rejected("a1", T0)],
    ],
)
def test_the_latest_word_is_the_one_that_decided(words: list[PairFact]) -> None:
    hold = timeline(given(*words).state, T0 + HOUR, DEFAULT_POLICY, PRODUCTION).hold
    assert (hold.decided_by, hold.confirmed) == ("a1", True)


def test_what_ran_out_or_was_revoked_by_inference_was_decided_by_the_word_that_gave_it() -> None:
    held = accepted("a1", T0, until=T0 + DAY)
    for facts in ([held], [held, *unanswered(T0 + 1, T0 + 2, T0 + 3, T0 + 4)]):
        assert timeline(given(*facts).state, T0 + DAY, DEFAULT_POLICY, PRODUCTION).hold.decided_by == "a1"


def test_a_permanent_accept_told_again_is_certain_once_one_word_was() -> None:
    sure = replied("a1", T0, permanent=True)
    guessed = replace(replied("a2", T0 + HOUR, permanent=True), inferred=("is_permanent",))
    for words, certain in (
        ((sure, guessed), True),
        ((replace(guessed, occurred_at=T0 - 1), sure), True),
        ((guessed, replace(guessed, message_id="a3", occurred_at=T0 + 2 * HOUR)), False),
    ):
        hold = timeline(given(*words).state, T0 + DAY, DEFAULT_POLICY, PRODUCTION).hold
        assert (hold.confirmed, hold.grant is not None and hold.grant.confirmed) == (certain, certain)


def test_a_reject_of_unknown_source_is_a_sign_of_the_user() -> None:
    assert given(replied("a1", T0, "reject", source=None)).at(T0).window_until == T0 + DAY
    assert given(replied("a1", T0, "reject", source="automatic")).at(T0).window_until is None


def test_a_reading_that_agrees_makes_certain_what_was_inferred() -> None:
    guessed = replace(accepted("a1", T0), inferred=("is_permanent",))
    told = given(guessed, reading("temporary", T0 + HOUR))
    assert [told.at(at).confirmed for at in (T0, T0 + HOUR)] == [False, True]


@pytest.mark.parametrize(
    ("said", "other"),
    [
        (reading("permanent", T0 + HOUR), accepted("a1", T0)),
        (reading("temporary", T0 + HOUR, T0 + DAY), replied("a1", T0, permanent=True)),
    ],
)
def test_a_reading_of_another_permission_than_was_held_is_the_word_that_decided(
    said: ReadingTaken, other: PairFact
) -> None:
    for before in ([], [other], [rejected("a1", T0)]):
        hold = timeline(given(*before, said).state, T0 + HOUR, DEFAULT_POLICY, PRODUCTION).hold
        assert (hold.decided_by, hold.confirmed) == (f"#{said.fact_id}", True)


def test_an_automatic_reject_after_another_word_confirms_no_inferred_revoke() -> None:
    ends = [T0 + place * MINUTE for place in range(1, 5)]
    told = given(
        replied("a0", T0, permanent=True),
        *unanswered(*ends),
        rejected("a1", T0 + HOUR, to="r1"),
        replied("a2", T0 + 2 * HOUR, "reject", source="automatic"),
    )
    assert [row["end_cause"] for row in told.rows("grants").values()] == ["auto_revoke_inferred"]
    assert told.at(T0 + 2 * HOUR).reason == "declined"
