"""The core and the independent judge say the same of any history, at any instant, in any order of arrival."""

import json
from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from schemas.events import Fact
from schemas.policy import DEFAULT_POLICY, NumberEntry
from schemas.state import PairState, decode_state, encode_state
from streams.permission.answer import answer
from streams.permission.rows import grant_row, request_row
from streams.permission.standing import timeline
from streams.permission.step import pass_time, step
from tests.oracle.histories import DAY_S, NUMBER, T0, USER, WEEK_S, histories, reply, request_sent
from tests.oracle.judge import judge
from tests.oracle.rows import grant_rows, request_rows

NUMBERS = st.sampled_from(
    [NumberEntry(), NumberEntry(profile="sandbox"), NumberEntry(country="GB"), NumberEntry(country="US")]
)
BOOKKEEPING = ("version", "is_deleted", "grant_id")


def folded(facts: list[Fact], number: NumberEntry) -> PairState:
    state = PairState(phone_number_id=NUMBER, user=USER)
    for fact in facts:
        state = step(state, fact, DEFAULT_POLICY, number).state
    return decode_state(encode_state(state))


def boundaries(facts: list[Fact]) -> list[int]:
    """Every instant at which anything may turn, with the second before and the second after."""
    turns = {fact.occurred_at + span for fact in facts for span in (0, DAY_S, WEEK_S)}
    turns |= {fact.expires_at for fact in facts if fact.type == "permission_replied" and fact.expires_at is not None}
    return sorted(turn + second for turn in turns for second in (-1, 0, 1))


def content(row: dict[str, Any]) -> dict[str, Any]:
    """A row without bookkeeping. In a record it carries no pair of its own: the record's is its own."""
    said = {key: value for key, value in row.items() if key not in BOOKKEEPING}
    return {
        **said,
        "phone_number_id": NUMBER,
        "user": USER,
        **({"flags": list(row["flags"])} if "flags" in row else {}),
    }


def core_rows(state: PairState, at: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The request and grant rows of the core at an instant."""
    present = timeline(state, at, DEFAULT_POLICY)
    grants = [grant_row(grant) for grant in (*present.ended, present.hold.grant) if grant is not None]
    requests = sorted((request_row(life) for life in present.lives), key=lambda row: str(row["request_id"]))
    return [content(row) for row in requests], [content(row) for row in grants]


def last_recorded(facts: list[Fact], until: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a store that keeps the newest version of each row holds after the last fact, read at `until`."""
    number = NumberEntry()
    state = PairState(phone_number_id=NUMBER, user=USER)
    steps = []
    for fact in facts:
        steps.append(step(state, fact, DEFAULT_POLICY, number))
        state = steps[-1].state
    steps.append(pass_time(state, until, DEFAULT_POLICY, number))
    requests: dict[tuple[str, int], dict[str, Any]] = {}
    grants: dict[tuple[str, int], dict[str, Any]] = {}
    for record in (done.record for done in steps if done.record is not None):
        for row in record["requests"]:
            _keep(requests, (row["request_id"], row["anchor_at"] // DAY_S), row)
        for row in record["grants"]:
            _keep(grants, (row["grant_id"], row["granted_at"] // DAY_S), row)
    return (
        [_request_by_the_clock(row, until) for row in requests.values() if not row["is_deleted"]],
        [_grant_by_the_clock(row, until) for row in grants.values() if not row["is_deleted"]],
    )


def _keep(rows: dict[tuple[str, int], dict[str, Any]], key: tuple[str, int], row: dict[str, Any]) -> None:
    """As the store does: by id and day, the higher version. Two rows of one version would leave it to chance."""
    assert key not in rows or row["version"] > rows[key]["version"]
    rows[key] = row


def _request_by_the_clock(row: dict[str, Any], now: int) -> dict[str, Any]:
    ran_out = row["final_class"] == "open" and row["expires_at"] <= now
    return content({**row, "final_class": "expired_no_response"} if ran_out else row)


def _grant_by_the_clock(row: dict[str, Any], now: int) -> dict[str, Any]:
    ran_out = row["ended_at"] is None and row["expires_at"] is not None and row["expires_at"] <= now
    return content({**row, "ended_at": row["expires_at"], "end_cause": "expired"} if ran_out else row)


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@given(histories(), NUMBERS, st.data())
def test_an_answer_at_any_instant_is_the_judges(facts: list[Fact], number: NumberEntry, data: st.DataObject) -> None:
    state = folded(facts, number)
    turns = boundaries(facts)
    for at in [*data.draw(st.lists(st.sampled_from(turns), max_size=20, unique=True)), turns[-1]]:
        note(f"at {at}")
        assert answer(state, at, DEFAULT_POLICY, number) == judge(facts, NUMBER, USER, at, DEFAULT_POLICY, number)


@given(histories(), st.data())
def test_the_rows_of_any_instant_are_the_judges(facts: list[Fact], data: st.DataObject) -> None:
    state = folded(facts, NumberEntry())
    turns = boundaries(facts)
    for at in [*data.draw(st.lists(st.sampled_from(turns), max_size=20, unique=True)), turns[-1]]:
        note(f"at {at}")
        requests, grants = core_rows(state, at)
        assert requests == request_rows(facts, NUMBER, USER, at, DEFAULT_POLICY)
        assert grants == grant_rows(facts, NUMBER, USER, at, DEFAULT_POLICY)


@given(histories(), st.sampled_from([0, 1, DAY_S, WEEK_S]))
def test_the_last_row_told_of_each_request_and_grant_is_the_judges(facts: list[Fact], later_by: int) -> None:
    until = max(fact.occurred_at for fact in facts) + later_by
    requests, grants = last_recorded(facts, until)
    assert in_order(requests) == in_order(request_rows(facts, NUMBER, USER, until, DEFAULT_POLICY))
    assert in_order(grants) == in_order(grant_rows(facts, NUMBER, USER, until, DEFAULT_POLICY))


def test_a_permanent_accept_by_whatsapp_on_a_temporary_grant_is_permanent() -> None:
    facts: list[Fact] = [
        reply("REPLY0001", T0, expires_at=T0 + WEEK_S),
        reply("REPLY0002", T0 + 60, is_permanent=True, source="automatic"),
    ]
    said = answer(folded(facts, NumberEntry()), T0 + 61, DEFAULT_POLICY, NumberEntry())
    assert said["permission"] == {"status": "permanent"}


def test_three_replies_in_one_second_that_differ_are_flagged() -> None:
    facts: list[Fact] = [reply("REPLY0001", T0), reply("REPLY0002", T0, "reject"), reply("REPLY0003", T0, "reject")]
    said = answer(folded(facts, NumberEntry()), T0, DEFAULT_POLICY, NumberEntry())
    assert "same_second_conflict" in said["standing"]["flags"]


def test_a_row_does_not_describe_a_request_before_it_was_sent() -> None:
    facts: list[Fact] = [
        reply("REPLY0001", T0, context_id="wamid.TESTREQ0001"),
        request_sent("REQ0001", T0 + 5, campaign="camp-41"),
    ]
    requests, _ = core_rows(folded(facts, NumberEntry()), T0)
    assert requests == request_rows(facts, NUMBER, USER, T0, DEFAULT_POLICY)
