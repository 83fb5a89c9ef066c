"""Domain G17–G20, design 15: what a reading, an error or a changed number does to what is held."""

from dataclasses import replace

import pytest

from schemas.events import PairFact, PermissionReplied, ReadingTaken
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    Told,
    accepted,
    given,
    moved,
    reading,
    refused,
    rejected,
    replied,
    unanswered,
)

WEEK = 7 * DAY
AT = T0 + HOUR
PERMANENT, TEMPORARY = replied("a0", T0, permanent=True), accepted("a0", T0)


def ends(told: Told) -> list[tuple[str, str | None, int | None]]:
    """Kind, cause and instant of the end of every grant, in the order they were given."""
    rows = sorted(told.rows("grants").values(), key=lambda row: (row["granted_at"], row["ended_at"] or 1 << 40))
    return [(row["kind"], row["end_cause"], row["ended_at"]) for row in rows]


@pytest.mark.parametrize(("until", "flags"), [(AT + DAY, []), (None, ["expiry_inferred"])])
def test_a_reading_of_a_temporary_permission_that_nobody_knew_of_grants_it(until: int | None, flags: list[str]) -> None:
    told = given(reading("temporary", AT, until))
    view = told.at(AT)
    assert (view.status, view.until, view.flags) == ("temporary", until or AT + WEEK, flags)
    assert (view.via, view.body["standing"]["source"], view.confirmed) == ("reading", None, True)
    assert view.body["standing"]["granted_at"] == AT
    assert told.announced == [("permission_granted", "reading")]


def test_a_reading_of_a_permanent_permission_that_nobody_knew_of_grants_it() -> None:
    told = given(reading("permanent", AT))
    view = told.at(AT)
    assert (view.status, view.until, view.flags) == ("permanent", None, [])
    assert (view.via, view.body["standing"]["source"], view.confirmed) == ("reading", None, True)
    assert told.rows("grants").popitem()[1].items() >= {"request_id": None, "via": "reading", "source": None}.items()


def test_a_reading_that_names_another_end_of_the_same_grant_corrects_it() -> None:
    told = given(TEMPORARY, reading("temporary", AT, AT + DAY))
    assert (told.at(AT - 1).until, told.at(AT).until, told.at(AT).via) == (T0 + WEEK, AT + DAY, "profile")
    assert told.at(AT + DAY).reason == "expired"
    assert len(told.rows("grants")) == 1


def test_a_reading_of_the_other_kind_replaces_what_is_held() -> None:
    told = given(PERMANENT, reading("temporary", AT, AT + DAY))
    assert (told.at(AT).status, told.at(AT).until, told.at(AT).via) == ("temporary", AT + DAY, "reading")
    assert ends(told) == [("permanent", "reading", AT), ("temporary", None, None)]
    told = given(TEMPORARY, reading("permanent", AT))
    assert (told.at(AT).status, told.at(AT).via) == ("permanent", "reading")
    assert ends(told) == [("temporary", "reading", AT), ("permanent", None, None)]


def test_a_reading_that_agrees_with_a_permanent_permission_changes_nothing() -> None:
    told = given(PERMANENT, reading("permanent", AT))
    assert (told.at(AT).via, told.at(AT).body["standing"]["granted_at"], len(told.rows("grants"))) == ("profile", T0, 1)
    assert told.announced == [("permission_granted", "profile")]


@pytest.mark.parametrize(
    "word", [reading("permanent", AT), replied("a1", AT, permanent=True)], ids=["reading", "reply"]
)
def test_what_an_error_told_of_is_confirmed_by_a_reading_or_a_reply(word: PairFact) -> None:
    told = given(refused("request", 138_017, T0), word)
    assert (told.at(AT - 1).confirmed, told.at(AT).confirmed) == (False, True)
    assert (told.at(AT).via, len(told.rows("grants"))) == ("inferred", 1)


def test_a_second_error_of_the_kind_confirms_nothing() -> None:
    told = given(refused("request", 138_017, T0), refused("request", 138_017, AT))
    assert (told.at(AT).status, told.at(AT).confirmed) == ("permanent", False)


def test_what_an_error_took_is_confirmed_by_a_reading() -> None:
    told = given(TEMPORARY, refused("call", 138_006, AT), reading("no_permission", AT + HOUR))
    assert [told.at(at).confirmed for at in (T0, AT, AT + HOUR)] == [True, False, True]
    assert told.at(AT + HOUR).reason == "refused_138006"
    assert ends(told) == [("temporary", "refused_138006", AT)]


def test_a_reading_of_nothing_where_nothing_was_held_leaves_the_reason() -> None:
    assert given(reading("no_permission", AT)).at(AT).reason == "never"
    declined = given(rejected("a0", T0, to="r1"), reading("no_permission", AT))
    assert (declined.at(AT).reason, declined.announced) == ("declined", [("permission_declined", "declined")])


def test_a_reading_of_nothing_confirms_an_inferred_revoke_and_keeps_its_reason() -> None:
    told = given(PERMANENT, *unanswered(*[T0 + place for place in range(1, 5)]), reading("no_permission", AT))
    assert (told.at(AT - 1).confirmed, told.at(AT).confirmed) == (False, True)
    assert told.at(AT).reason == "auto_revoke_inferred"


REVOKED = (PERMANENT, *unanswered(T0 + 1, T0 + 2, T0 + 3, T0 + 4))
SHOWN = [reading("temporary", AT), reading("permanent", AT), refused("request", 138_017, AT)]


@pytest.mark.parametrize("word", SHOWN, ids=["temporary", "permanent", "138017"])
def test_a_permission_seen_where_none_was_held_begins_a_new_row_of_calls(word: PairFact) -> None:
    told = given(*REVOKED, word, *unanswered(AT + 60))
    assert (told.at(AT - 1).streak, told.at(AT).streak, told.at(AT + 60).streak) == (4, 0, 1)
    assert told.at(AT + 60).status != "no_permission", "one more unanswered call is not the last of the old row"


@pytest.mark.parametrize("held", [TEMPORARY, PERMANENT], ids=["temporary", "permanent"])
@pytest.mark.parametrize("word", SHOWN, ids=["temporary", "permanent", "138017"])
def test_a_permission_seen_where_one_was_held_leaves_the_row_of_calls(held: PairFact, word: PairFact) -> None:
    told = given(held, *unanswered(T0 + 1, T0 + 2), word)
    assert (told.at(AT - 1).streak, told.at(AT).streak) == (2, 2)


def test_a_reading_in_the_second_in_which_a_permission_ran_out_begins_a_new_row_of_calls() -> None:
    told = given(accepted("a0", T0, until=AT), *unanswered(T0 + 1, T0 + 2), reading("temporary", AT, AT + DAY))
    assert (told.at(AT - 1).streak, told.at(AT).streak) == (2, 0)


def test_a_reading_of_nothing_leaves_the_row_of_calls() -> None:
    assert given(PERMANENT, *unanswered(T0 + 1, T0 + 2), reading("no_permission", AT)).at(AT).streak == 2


def test_in_one_second_a_reading_knows_better_than_any_reply_or_error() -> None:
    words = [accepted("a1", AT), rejected("a2", AT), refused("call", 138_006, AT), refused("request", 138_017, AT)]
    for facts in ([*words, reading("temporary", AT, AT + DAY)], [reading("temporary", AT, AT + DAY), *words]):
        assert (given(*facts).at(AT).status, given(*facts).at(AT).until) == ("temporary", AT + DAY)
    assert given(*reversed(words)).at(AT).reason == "refused_138006", "no permission weighs more than permission"


def test_a_changed_number_takes_what_was_held_and_says_so_even_where_nothing_was() -> None:
    told = given(TEMPORARY, moved("old", AT))
    assert (told.at(AT).reason, told.at(AT).confirmed, told.at(AT).flags) == ("number_changed", False, [])
    assert ends(told) == [("temporary", "number_changed", AT)]
    assert (given(moved("old", AT)).at(AT).reason, given(moved("old", AT)).rows("grants")) == ("number_changed", {})


@pytest.mark.parametrize("back", [accepted("a9", AT + HOUR), reading("temporary", AT + HOUR, AT + DAY)])
def test_after_a_changed_number_permission_may_be_given_again(back: PairFact) -> None:
    assert given(PERMANENT, moved("old", AT), back).at(AT + HOUR).status == "temporary"


def inferred(word: PermissionReplied | ReadingTaken, *fields: str) -> PermissionReplied | ReadingTaken:
    """The word of a provider that did not say these fields."""
    return replace(word, inferred=fields)


def test_a_reading_without_an_expiry_only_confirms_a_temporary_grant() -> None:  # design 15, readings
    told = given(accepted("a1", T0), reading("temporary", T0 + 6 * DAY))
    assert (told.at(T0 + 6 * DAY).until, told.at(T0 + 6 * DAY).confirmed) == (T0 + WEEK, True)


@pytest.mark.parametrize("until", [T0 + WEEK, T0 + DAY], ids=["the same", "another"])
def test_an_end_that_a_reading_names_is_inferred_no_longer(until: int) -> None:
    told = given(replied("a1", T0, to="r9"), reading("temporary", AT), reading("temporary", AT + 1, until))
    assert told.at(AT).flags == ["expiry_inferred", "unknown_request"]
    assert (told.at(AT + 1).until, told.at(AT + 1).flags) == (until, ["unknown_request"])
    (row,) = told.rows("grants").values()
    assert (row["expires_at"], list(row["flags"])) == (until, ["unknown_request"])
    assert told.at(until).flags == ["unknown_request"], "nor when it has run out"


def test_a_number_that_changed_hands_starts_without_the_grant_of_its_earlier_owner() -> None:  # G20
    told = given(PERMANENT, moved("new", T0 + DAY))
    assert (told.at(T0 + DAY).status, told.at(T0 + DAY).reason) == ("no_permission", "number_changed")
    assert ends(told) == [("permanent", "number_changed", T0 + DAY)]


@pytest.mark.parametrize("field", ["is_permanent", "phone_number_id"])
def test_a_grant_that_rests_on_what_was_inferred_is_unconfirmed_until_a_provider_says_so(field: str) -> None:
    for word, read in ((PERMANENT, reading("permanent", AT)), (TEMPORARY, reading("temporary", AT, AT + DAY))):
        told = given(inferred(word, field), read)
        assert [told.at(at).confirmed for at in (T0, AT)] == [False, True]
        assert [row["confirmed"] for row in told.rows("grants").values()] == [True]
    assert given(inferred(PERMANENT, "something_else")).at(T0).confirmed


def test_a_reading_that_infers_its_status_confirms_nothing_and_replaces_nothing() -> None:
    vague = inferred(reading("temporary", AT, AT + DAY), "status")
    held = given(PERMANENT, vague)
    assert (held.at(AT).status, held.at(AT).via, len(held.rows("grants"))) == ("permanent", "profile", 1)
    alone = given(vague).at(AT)
    assert (alone.status, alone.confirmed) == ("temporary", False)
    nothing = given(TEMPORARY, refused("call", 138_006, T0 + 60), inferred(reading("no_permission", AT), "status"))
    assert (nothing.at(AT).status, nothing.at(AT).confirmed) == ("no_permission", False)


def test_a_temporary_permission_that_was_inferred_is_confirmed_by_a_reading_that_says_it() -> None:
    vague = inferred(reading("temporary", T0, T0 + DAY), "status")
    told = given(vague, reading("temporary", AT))
    assert [(told.at(at).confirmed, told.at(at).until) for at in (T0, AT)] == [(False, T0 + DAY), (True, T0 + DAY)]


def test_after_a_reading_that_granted_nothing_is_left_of_why_there_was_none() -> None:
    told = given(rejected("a0", T0 - 60, to="r1"), reading("temporary", T0, T0 + HOUR))
    assert (told.at(T0 - 1).reason, told.at(T0).reason, told.at(T0 + HOUR).reason) == ("declined", None, "expired")
