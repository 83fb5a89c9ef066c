"""From signed webhooks to answers on a real broker, the worker killed twice: nothing lost, double or made up.

One run (`run.py`) of 2,000 signed webhooks, repeated and out of order, with actions and odd ones between; then every
place where the product says something is held against the independent judge's fold of what was sent (`tests/oracle`).
"""

import base64
import json
import os
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from schemas.codec import Unreadable, decode_fact
from schemas.envelope import PROVIDER, REASON, RECEIVED_AT, received_at_of
from schemas.events import BusinessSeen, NumberFact, PairFact, UsersLinked
from schemas.ids import Pair, derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state_row import decode_state, version_of
from schemas.topics import TopicNames
from streams.permission.answer import answer
from streams.permission.number import Number
from streams.replay.replay import replay
from streams.replay.sources import Sources
from tests.integration.happenings import DAY_S, NUMBERS, USERS
from tests.integration.house import House
from tests.integration.log import Record
from tests.integration.run import KILLS, Evidence, drive
from tests.integration.sendings import DELIVERIES, actions_and_webhooks
from tests.oracle.business import Business
from tests.oracle.deliveries import facts_of_delivery, links_of_delivery, numbers_shown
from tests.oracle.judge import judge
from tests.oracle.rows import call_rows, grant_rows, refusal_rows, request_rows

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse, pytest.mark.timeout(1200)]

SEED: Final = int(os.environ.get("END_TO_END_SEED", "20260302"))
PairName = tuple[str, str]


@pytest.fixture(scope="module")
def now() -> int:
    return int(time.time())


@pytest.fixture(scope="module")
def seen(broker: str, now: int, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    print(f"seed {SEED}, now {now}")
    prefix = f"e2e-{secrets.token_hex(4)}."
    house = House(tmp_path_factory.mktemp("house"), broker, prefix)
    return drive(house, broker, TopicNames(prefix), actions_and_webhooks(SEED, now), now)


@pytest.fixture(scope="module")
def links(seen: Evidence) -> dict[PairName, str]:
    """The digits of every user whose scoped id was shown beside them, by number and scoped id."""
    found: dict[PairName, str] = {}
    for sending in seen.acknowledged("authentic"):
        for part in sending.parts:
            found |= {(number, scoped): digits for number, scoped, digits in links_of_delivery(part)}
    return found


@pytest.fixture(scope="module")
def sent(seen: Evidence, links: dict[PairName, str], now: int) -> dict[PairName, list[PairFact]]:
    """The facts of everything that was acknowledged, by the pair that a user's names lead to: what the product must
    know, and no more.
    """
    by_pair: dict[PairName, list[PairFact]] = defaultdict(list)
    for sending in seen.acknowledged("authentic", "not_json", "action"):
        provider = "actions" if sending.kind == "action" else "meta"
        for part in sending.parts:
            for fact in facts_of_delivery(provider, part, now):
                user = links.get((fact.phone_number_id, fact.user), fact.user)
                by_pair[fact.phone_number_id, user].append(replace(fact, user=user))
    return dict(by_pair)


def judged(sent: dict[PairName, list[PairFact]], pair: PairName, at: int) -> dict[str, Any]:
    return judge(sent.get(pair, []), *pair, at, DEFAULT_POLICY, Business())


def states(seen: Evidence) -> dict[bytes, bytes]:
    """The last record a key of `permission.state`: the higher version, at equality the later offset."""
    kept: dict[bytes, bytes] = {}
    for record in seen.topics["permission.state"]:
        assert record.key is not None
        if record.key not in kept or version_of(record.value) >= version_of(kept[record.key]):
            kept[record.key] = record.value
    return kept


def bare(fact: PairFact) -> tuple[object, ...]:
    """A fact without the user's further names, which the judge does not read, and what was only inferred."""
    left_out = ("aliases", "inferred", "revoked")
    return tuple(getattr(fact, name) for name in fact.__dataclass_fields__ if name not in left_out)


def in_order(rows: Iterable[object]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def only_in(some: list[str], others: list[str]) -> list[str]:
    """The first few that the others lack."""
    return list((Counter(some) - Counter(others)).elements())[:5]


def assert_same(found: list[str], expected: list[str]) -> None:
    """Equal, or told shortly: what is made up, what is missing."""
    assert (only_in(found, expected), only_in(expected, found)) == ([], []), "(made up, missing)"


def test_every_sending_was_answered_as_it_deserves(seen: Evidence) -> None:
    wanted = {
        "authentic": 200,
        "not_json": 200,
        "unsigned": 401,
        "forged": 401,
        "action": 202,
        "bad_action": 422,
        "keyless_action": 401,
    }
    found = Counter((sending.kind, codes[-1]) for sending, codes in seen.answered)
    assert set(found) == set(wanted.items())
    assert found["authentic", 200] == DELIVERIES


def test_the_worker_was_killed_on_the_way(seen: Evidence) -> None:
    facts = len(seen.topics["permission.events"])
    assert len(seen.kills) == KILLS
    assert 0 < seen.kills[0] < seen.kills[1] < facts


def test_what_was_acknowledged_is_on_the_log_and_nothing_else(seen: Evidence) -> None:
    for topic, kinds in (("webhooks.raw", ("authentic", "not_json")), ("actions.raw", ("action",))):
        stored = Counter(record.value for record in seen.topics[topic])
        acknowledged = Counter(part for sending in seen.acknowledged(*kinds) for part in sending.parts)
        tried = Counter(
            part for sending, codes in seen.answered if sending.kind in kinds for part in sending.parts for _ in codes
        )
        assert not acknowledged - stored, "acknowledged and lost"
        assert not stored - tried, "never sent"


def test_every_fact_of_the_log_is_an_event_and_no_event_is_made_up(seen: Evidence) -> None:
    expected: set[tuple[object, ...]] = set()
    for record in (*seen.topics["webhooks.raw"], *seen.topics["actions.raw"]):
        received_at = received_at_of(record.headers[RECEIVED_AT])
        assert received_at is not None
        expected |= {bare(fact) for fact in facts_of_delivery(record.headers[PROVIDER], record.value, received_at)}
        if record.headers[PROVIDER] == "meta":
            expected |= links_of_delivery(record.value)
    found: set[tuple[object, ...]] = set()
    handed_on: set[str] = set()
    for record in seen.topics["permission.events"]:
        fact = decode_fact(record.value)
        assert not isinstance(fact, Unreadable)
        assert not isinstance(fact, NumberFact)
        assert record.key == f"{fact.phone_number_id}/{fact.user}".encode()
        if fact.forwarded:  # handed on between two names of one user: nothing that was not told before
            handed_on.add(fact.fact_id)
        elif isinstance(fact, UsersLinked):  # one is told for many payloads: it counts by what it says
            found.add((fact.phone_number_id, fact.user, fact.wa_id))
        else:
            found.add(bare(fact))
    assert found == expected
    told = {part for fact in expected for part in fact if isinstance(part, str)}
    assert handed_on
    assert handed_on <= told, "made up on the way"


def test_every_number_that_was_shown_is_known_and_no_other(seen: Evidence) -> None:
    expected = {shown for record in seen.topics["webhooks.raw"] for shown in numbers_shown(record.value)}
    found = set()
    for record in seen.topics["business.events"]:
        fact = decode_fact(record.value)
        assert isinstance(fact, BusinessSeen)
        found.add((fact.phone_number_id, fact.display_phone_number))
    assert expected
    assert found == expected


def test_only_what_could_not_be_read_is_a_dead_letter(seen: Evidence) -> None:
    put_aside = Counter(record.value for record in seen.topics["webhooks.raw"] if not is_json(record.value))
    found = Counter(record.value for record in seen.topics["deadletters"])
    assert set(put_aside) == {sending.body for sending in seen.acknowledged("not_json")}
    assert set(found) == set(put_aside)
    assert not put_aside - found
    assert all(record.headers[REASON] for record in seen.topics["deadletters"])


def is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def test_the_state_of_every_pair_is_the_judges(
    seen: Evidence, sent: dict[PairName, list[PairFact]], links: dict[PairName, str], now: int
) -> None:
    rows = [decode_state(value) for value in states(seen).values()]
    assert {state.pair: state.forwards_to for state in rows if state.forwards_to is not None} == links
    kept = [state for state in rows if state.forwards_to is None]
    instants = (now, now - 3_600, now - 2 * DAY_S, now - 8 * DAY_S, now - 15 * DAY_S)
    assert {state.pair for state in kept} == set(sent)
    found = [[state.pair, answer(state, at, DEFAULT_POLICY, Number())] for state in kept for at in instants]
    expected = [[pair, judged(sent, pair, at)] for pair in sent for at in instants]
    assert_same(in_order(found), in_order(expected))


def test_the_workers_table_is_the_state_topic_byte_for_byte(seen: Evidence) -> None:
    assert seen.table == states(seen)


def test_no_change_id_has_two_contents(seen: Evidence) -> None:
    contents: dict[str, set[bytes]] = defaultdict(set)
    for record in seen.topics["permission.changes"]:
        contents[json.loads(record.value)["change_id"]].add(record.value)
    assert contents
    assert {change_id: found for change_id, found in contents.items() if len(found) > 1} == {}


def test_the_last_announcement_of_a_pair_is_how_it_stands(seen: Evidence, sent: dict[PairName, list[PairFact]]) -> None:
    nothing_yet = {"permission": {"status": "no_permission"}, "reason": "never"}
    last: dict[PairName, dict[str, Any]] = {}
    for record in seen.topics["permission.changes"]:
        change = json.loads(record.value)
        last[change["phone_number_id"], change["user"]] = change["after"]
    found, expected = [], []
    for pair in sent:
        announced, said = last.get(pair, nothing_yet), judged(sent, pair, seen.announced_until)
        found.append([pair, announced["permission"], announced["reason"]])
        expected.append([pair, said["permission"], said["standing"]["reason"]])
    assert_same(in_order(found), in_order(expected))


def test_every_answer_of_the_api_is_the_judges(
    seen: Evidence, sent: dict[PairName, list[PairFact]], links: dict[PairName, str]
) -> None:
    assert len(seen.answers) == 3 * (2 * len(NUMBERS) + 1) * len(USERS)
    found, expected = [], []
    for (number, name, at), said in seen.answers.items():
        user = links.get((number, name), name)
        found.append([number, name, {key: what for key, what in said.items() if key != "asked_as"}])
        expected.append([number, name, {"messaging_product": "whatsapp", **judged(sent, (number, user), at)}])
    assert_same(in_order(found), in_order(expected))


def test_the_replay_of_what_was_received_answers_with_the_bytes_of_the_api(
    seen: Evidence, links: dict[PairName, str], tmp_path: Path
) -> None:
    history = tmp_path / "history.jsonl"
    records = [*seen.topics["webhooks.raw"], *seen.topics["actions.raw"]]
    history.write_bytes(b"".join(map(history_line, records)))
    asked: dict[int, list[PairName]] = defaultdict(list)
    for number, name, at in seen.answers:
        asked[at].append((number, name))
    compared = 0
    for at, pairs in asked.items():
        with Sources([str(history)]) as sources:
            done = replay(sources, DEFAULT_POLICY, lambda _line, _fault: None, as_of=at, asked=map(Pair._make, pairs))
            for line in done.judged("standings", map(Pair._make, pairs)):
                name = line.pop("asked_as", line["user"])
                number = line.pop("phone_number_id")
                said = dict(seen.answers[number, name, at])
                assert said.pop("messaging_product") == "whatsapp"
                said.pop("asked_as", None)
                assert line.pop("user") == links.get((number, name), name)
                assert orjson.dumps(line) == orjson.dumps(said)
                compared += 1
    assert compared == len(seen.answers)


def history_line(record: Record) -> bytes:
    """A raw record as a line of a history file."""
    provider, received_at = record.headers[PROVIDER], received_at_of(record.headers[RECEIVED_AT])
    if provider == "actions":
        return orjson.dumps({"received_at": received_at, "action": orjson.Fragment(record.value)}) + b"\n"
    body = base64.b64encode(record.value).decode()
    return orjson.dumps({"received_at": received_at, "webhook": provider, "body_base64": body}) + b"\n"


def all_requests(sent: dict[PairName, list[PairFact]], at: int) -> list[dict[str, Any]]:
    return [
        row
        for pair, facts in sent.items()
        for rows in (request_rows, refusal_rows)
        for row in rows(facts, *pair, at, DEFAULT_POLICY, Business())
    ]


def all_grants(sent: dict[PairName, list[PairFact]], at: int) -> list[dict[str, Any]]:
    return [row for pair, facts in sent.items() for row in grant_rows(facts, *pair, at, DEFAULT_POLICY, Business())]


def test_the_funnel_is_the_judges(seen: Evidence, sent: dict[PairName, list[PairFact]]) -> None:
    rows = all_requests(sent, seen.announced_until)
    classes = Counter(row["final_class"] for row in rows)
    (said,) = seen.questions["funnel"]
    assert said["requested"] == len(rows)
    for name in ("refused", "failed", "accepted_temporary", "accepted_permanent", "declined", "expired_no_response"):
        assert classes[name] > 0, f"no request of this run ended {name}"
    for name in ("refused", "failed", "accepted_temporary", "accepted_permanent", "declined", "expired_no_response"):
        assert said[name] == classes[name], name
    assert (said["superseded"], said["open"]) == (classes["superseded"], classes["open"])
    assert said["responded"] == sum(row["first_response"] is not None for row in rows)
    assert said["read"] == sum(row["read_at"] is not None for row in rows)
    signs = ("delivered_at", "read_at", "first_response_at")
    assert said["delivered"] == sum(any(row[sign] is not None for sign in signs) for row in rows)
    assert said["changed_mind"] == sum(row["first_response"] != row["last_response"] for row in rows)


def test_the_ends_of_grants_by_cause_are_the_judges(seen: Evidence, sent: dict[PairName, list[PairFact]]) -> None:
    causes = Counter((row["end_cause"], row["kind"]) for row in all_grants(sent, seen.announced_until))
    assert {cause for cause, _ in causes} >= {
        *("expired", "replaced", "revoked_via_request", "revoked_via_profile"),
        *("auto_revoke_inferred", "reading", "refused_138006"),
    }
    for row in seen.questions["revocations"]:
        assert row["temporary"] == causes[row["cause"], "temporary"], row["cause"]
        assert row["permanent"] == causes[row["cause"], "permanent"], row["cause"]
    assert {cause for cause, _ in causes if cause} <= {row["cause"] for row in seen.questions["revocations"]}


def test_every_request_row_is_the_judges(seen: Evidence, sent: dict[PairName, list[PairFact]]) -> None:
    expected = []
    for row in all_requests(sent, seen.announced_until):
        template = row.pop("template_name") or ("free_form" if row["kind"] == "free_form" else "unknown")
        texts = ("template_language", "template_category", "campaign", "origin", "first_response", "last_response")
        filled = {name: row[name] or "" for name in texts}
        expected.append({**row, **filled, "template": template, "error_code": row["error_code"] or 0})
    names = set(expected[0])
    found = [row for row in seen.views if row["view"] == "v_requests"]
    assert_same(in_order({name: row[name] for name in names} for row in found), in_order(expected))


def test_every_grant_row_is_the_judges(seen: Evidence, sent: dict[PairName, list[PairFact]]) -> None:
    expected = []
    for row in all_grants(sent, seen.announced_until):
        texts = {name: row[name] or "" for name in ("request_id", "end_cause", "source")}
        expected.append({**row, **texts, "confirmed": int(row["confirmed"])})
    names = set(expected[0])
    found = [row for row in seen.views if row["view"] == "v_grants"]
    assert len({row["grant_id"] for row in found}) == len(found)
    assert_same(in_order({name: row[name] for name in names} for row in found), in_order(expected))


def test_every_call_row_is_the_judges(seen: Evidence, sent: dict[PairName, list[PairFact]]) -> None:
    expected = []
    for pair, facts in sent.items():
        for row in call_rows(facts, *pair, seen.announced_until):
            texts = {name: row[name] or "" for name in ("campaign", "disposition")}
            expected.append({**row, **texts, "duration_s": row["duration_s"] or 0})
    names = set(expected[0])
    found = [row for row in seen.views if row["view"] == "v_calls"]
    assert_same(in_order({name: row[name] for name in names} for row in found), in_order(expected))


def test_every_fact_is_stored_once(
    seen: Evidence, sent: dict[PairName, list[PairFact]], links: dict[PairName, str]
) -> None:
    stored = {row["fact_id"]: row["times"] for row in seen.views if row["view"] == "facts"}
    linked = {derived_id("users_linked", number, scoped, digits) for (number, scoped), digits in links.items()}
    named = {fact.fact_id: f"{fact.type} of {user}" for (_, user), facts in sent.items() for fact in facts}
    named |= dict.fromkeys(linked, "users_linked")
    assert_same(sorted(stored), sorted(named))
    assert set(stored.values()) == {1}


def test_every_process_stops_when_told(seen: Evidence) -> None:
    assert seen.exits == {"worker": 0, "api": 0, "gateway": 0, "projection": 0}


def test_no_log_line_leads_to_a_user(seen: Evidence) -> None:
    for name, lines in seen.logs.items():
        assert lines, f"{name} said nothing"
        for telltale in ("447700900", "wamid.", "wacid."):
            assert telltale not in lines, f"{name} wrote {telltale}"
