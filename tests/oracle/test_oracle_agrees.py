"""The core and the independent judge say the same of any history, at any instant, in any order of arrival."""

import json
from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from schemas.events import PairFact
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import decode_state, encode_state
from streams.permission.answer import answer
from streams.permission.number import Number
from streams.permission.number import Restriction as CoreRestriction
from streams.permission.number import Setting as CoreSetting
from streams.permission.rows import call_row, grant_row, request_row
from streams.permission.standing import timeline
from streams.permission.step import pass_time, step
from tests.oracle.announcements import told_on_the_way
from tests.oracle.business import Business
from tests.oracle.histories import BUSINESSES, DAY_S, NUMBER, T0, USER, WEEK_S, histories, reply, request_sent
from tests.oracle.judge import judge
from tests.oracle.rows import call_rows, grant_rows, refusal_rows, request_rows

BOOKKEEPING = ("version", "is_deleted", "grant_id")


def as_core(business: Business) -> Number:
    """The number as the core is told of it."""
    return Number(
        profile=business.profile,
        country=business.country,
        settings=tuple(CoreSetting(one.at, one.enabled) for one in business.settings),
        restrictions=tuple(CoreRestriction(one.at, one.restricts, one.until) for one in business.restrictions),
    )


def folded(facts: list[PairFact], number: Number) -> PairState:
    state = PairState(phone_number_id=NUMBER, user=USER)
    for fact in facts:
        state = step(state, fact, DEFAULT_POLICY, number, horizon_s=None).state
    return decode_state(encode_state(state))


def boundaries(facts: list[PairFact], number: Business) -> list[int]:
    """Every instant at which anything may turn, with the second before and the second after."""
    turns = {setting.at for setting in number.settings}
    turns |= {instant for one in number.restrictions for instant in (one.at, one.until)}
    turns |= {told for fact in facts if (told := getattr(fact, "retry_at", None)) is not None}
    turns |= {fact.occurred_at + span for fact in facts for span in (0, DAY_S, WEEK_S)}
    turns |= {told for fact in facts if (told := getattr(fact, "expires_at", None)) is not None}
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


Rows = tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]


def core_rows(state: PairState, at: int, number: Number) -> Rows:
    """The request, grant and call rows of the core at an instant."""
    present = timeline(state, at, DEFAULT_POLICY, number)
    calls = [call_row(call) for call in present.state.calls]
    grants = [grant_row(grant) for grant in present.grants]
    requests = sorted((request_row(life) for life in present.lives), key=lambda row: str(row["request_id"]))
    return [content(row) for row in requests], [content(row) for row in grants], [content(row) for row in calls]


def last_recorded(facts: list[PairFact], until: int, number: Number) -> Rows:
    """What a store that keeps the newest version of each row holds after the last fact, read at `until`."""
    state = PairState(phone_number_id=NUMBER, user=USER)
    steps = []
    for fact in facts:
        steps.append(step(state, fact, DEFAULT_POLICY, number, horizon_s=None))
        state = steps[-1].state
    steps.append(pass_time(state, until, DEFAULT_POLICY, number))
    records = [done.record for done in steps if done.record is not None]
    versions = [
        row["version"] for record in records for kind in ("requests", "grants", "calls") for row in record[kind]
    ]
    assert versions == sorted(versions), "versions never fall"
    return stored(records, until)


def stored(records: list[dict[str, Any]], until: int) -> Rows:
    """What the store holds of these records, read at `until`."""
    requests: dict[tuple[str, int], list[dict[str, Any]]] = {}
    grants: dict[tuple[str, int], list[dict[str, Any]]] = {}
    calls: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        for row in record["requests"]:
            _keep(requests, (row["request_id"], row["anchor_at"] // DAY_S), row)
        for row in record["grants"]:
            _keep(grants, (row["grant_id"], row["granted_at"] // DAY_S), row)
        for row in record["calls"]:
            _keep(calls, (row["call_id"], row["anchor_at"] // DAY_S), row)
    return (
        [row for rows in requests.values() for row in _alike([_request_by_the_clock(row, until) for row in rows])],
        [row for rows in grants.values() for row in _alike([_grant_by_the_clock(row, until) for row in rows])],
        [row for rows in calls.values() for row in _alike(rows)],
    )


def _keep(rows: dict[tuple[str, int], list[dict[str, Any]]], key: tuple[str, int], row: dict[str, Any]) -> None:
    """As the store does: by id and day, the higher version; of one version any of them."""
    held = rows.get(key, [])
    if not held or row["version"] >= held[0]["version"]:
        rows[key] = [*held, row] if held and held[0]["version"] == row["version"] else [row]


def _alike(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The one row of a version: a tick writes what the reader's clock says of the older row of its version."""
    assert all(row == rows[0] for row in rows), "which of them is read is left to chance"
    return [] if rows[0]["is_deleted"] else [content(rows[0])]


def _request_by_the_clock(row: dict[str, Any], now: int) -> dict[str, Any]:
    ran_out = row["final_class"] == "open" and row["expires_at"] <= now
    return {**row, "final_class": "expired_no_response"} if ran_out else row


def _grant_by_the_clock(row: dict[str, Any], now: int) -> dict[str, Any]:
    ran_out = row["ended_at"] is None and row["expires_at"] is not None and row["expires_at"] <= now
    return {**row, "ended_at": row["expires_at"], "end_cause": "expired"} if ran_out else row


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


ALONE: dict[str, Any] = {"phone_number_id": NUMBER, "user": USER, "policy": DEFAULT_POLICY}


@given(histories(), BUSINESSES, st.data())
def test_an_answer_at_any_instant_is_the_judges(facts: list[PairFact], number: Business, data: st.DataObject) -> None:
    state = folded(facts, as_core(number))
    turns = boundaries(facts, number)
    for at in [*data.draw(st.lists(st.sampled_from(turns), max_size=20, unique=True)), turns[-1]]:
        note(f"at {at}")
        assert answer(state, at, DEFAULT_POLICY, as_core(number)) == judge(facts, at=at, number=number, **ALONE)


@given(histories(), BUSINESSES, st.data())
def test_the_rows_of_any_instant_are_the_judges(facts: list[PairFact], number: Business, data: st.DataObject) -> None:
    state = folded(facts, as_core(number))
    turns = boundaries(facts, number)
    for at in [*data.draw(st.lists(st.sampled_from(turns), max_size=20, unique=True)), turns[-1]]:
        note(f"at {at}")
        requests, grants, calls = core_rows(state, at, as_core(number))
        assert requests == all_requests(facts, at, number)
        assert grants == grant_rows(facts, at=at, number=number, **ALONE)
        assert calls == call_rows(facts, NUMBER, USER, at)


@given(histories(), BUSINESSES, st.sampled_from([0, 1, DAY_S, WEEK_S]))
def test_the_last_row_told_of_each_thing_is_the_judges(facts: list[PairFact], number: Business, later_by: int) -> None:
    until = max(fact.occurred_at for fact in facts) + later_by
    requests, grants, calls = last_recorded(facts, until, as_core(number))
    assert in_order(requests) == in_order(all_requests(facts, until, number))
    assert in_order(grants) == in_order(grant_rows(facts, at=until, number=number, **ALONE))
    assert in_order(calls) == in_order(call_rows(facts, NUMBER, USER, until))


@given(histories(), BUSINESSES)
def test_what_is_announced_on_the_way_is_the_judges(facts: list[PairFact], number: Business) -> None:
    told, state = [], PairState(phone_number_id=NUMBER, user=USER)
    in_time = sorted(facts, key=lambda fact: fact.occurred_at)
    for fact in in_time:
        done = step(state, fact, DEFAULT_POLICY, as_core(number), horizon_s=None)
        state = done.state
        told += [change for change in done.changes if change["type"] in ON_THE_WAY]
        told += [change for change in done.changes if change["cause"] == "refused_138009"]
    found = [(change["type"], about(change["data"]), change["occurred_at"]) for change in told]
    assert sorted(found) == sorted(told_on_the_way(in_time, DEFAULT_POLICY, number))


ON_THE_WAY = ("user_nudged", "streak_at_risk", "limit_reached", "anomaly_raised")


def about(data: dict[str, Any]) -> str:
    """The call, the reply and what is odd about it, the limit, or what we held possible."""
    if "fields" in data:
        return " ".join(field["field"] for field in data["fields"])
    if "decision_id" in data:
        return f"{data['kind']} of {data['decision_id']}"
    return str(data.get("call_id") or data["limit"])


def all_requests(facts: list[PairFact], at: int, number: Business) -> list[dict[str, Any]]:
    rows = [
        *request_rows(facts, at=at, number=number, **ALONE),
        *refusal_rows(facts, at=at, number=number, **ALONE),
    ]
    return sorted(rows, key=lambda row: str(row["request_id"]))


def test_a_permanent_accept_by_whatsapp_on_a_temporary_grant_is_permanent() -> None:
    facts: list[PairFact] = [
        reply("REPLY0001", T0, expires_at=T0 + WEEK_S),
        reply("REPLY0002", T0 + 60, is_permanent=True, source="automatic"),
    ]
    said = answer(folded(facts, Number()), T0 + 61, DEFAULT_POLICY, Number())
    assert said["permission"] == {"status": "permanent"}


def test_three_replies_in_one_second_that_differ_are_flagged() -> None:
    facts: list[PairFact] = [reply("REPLY0001", T0), reply("REPLY0002", T0, "reject"), reply("REPLY0003", T0, "reject")]
    said = answer(folded(facts, Number()), T0, DEFAULT_POLICY, Number())
    assert "same_second_conflict" in said["standing"]["flags"]


def test_a_row_does_not_describe_a_request_before_it_was_sent() -> None:
    facts: list[PairFact] = [
        reply("REPLY0001", T0, context_id="wamid.TESTREQ0001"),
        request_sent("REQ0001", T0 + 5, campaign="camp-41"),
    ]
    requests, _, _ = core_rows(folded(facts, Number()), T0, Number())
    assert requests == request_rows(facts, at=T0, number=Business(), **ALONE)
