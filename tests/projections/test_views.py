"""The views against an independent count, on the real engine."""

import random
import time

import pytest

from projections.batch import token_of
from projections.questions import QUESTIONS, Asked, Found, ask
from projections.rows import line
from projections.store import Store
from schemas.records import encode_record
from tests.projections.histories import (
    CLASSES,
    DAY,
    NUMBERS,
    class_at,
    ends_of,
    fact,
    funnel_of,
    grant_row,
    history,
    record,
    request_row,
)

pytestmark = pytest.mark.clickhouse


def load(store: Store, values: list[bytes], chance: random.Random | None = None) -> None:
    """Insert values in batches of any size."""
    at = 0
    while at < len(values):
        size = chance.randint(1, 400) if chance else len(values)
        rows = [line(3, at + index, value) for index, value in enumerate(values[at : at + size])]
        body = b"".join(row for row in rows if isinstance(row, bytes))
        store.insert("inbox", body, token_of(body))
        at += size


def one(found: Found) -> dict[str, str | int | float | None]:
    assert len(found.rows) == 1
    return found.rows[0]


def now() -> int:
    """An instant in the middle of a second's worth of work: rows are made a minute and more away from it."""
    return int(time.time())  # noqa: TID251 the views judge by the engine's clock


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_views_of_a_random_history_equal_an_independent_count(store: Store, seed: int) -> None:
    at = now()
    told = history(seed, at)
    load(store, told.delivered(seed), random.Random(seed))

    for number in (None, *NUMBERS):
        requests = [row for row in told.requests if number in {None, row["phone_number_id"]}]
        grants = [row for row in told.grants if number in {None, row["phone_number_id"]}]
        found = one(ask(store, QUESTIONS["funnel"], Asked(number=number)))
        truth = funnel_of(requests, at)
        assert {name: found[name] for name in truth} == truth
        ends = ask(store, QUESTIONS["revocations"], Asked(number=number))
        counted = {
            (row["cause"], kind): row[kind] for row in ends.rows for kind in ("temporary", "permanent") if row[kind]
        }
        assert counted == ends_of(grants, at)
    assert len(told.requests) > 50


def test_classes_add_up_to_requested_on_every_day_and_in_every_template(store: Store) -> None:
    at = now()
    told = history(7, at)
    load(store, told.delivered(7))

    for by, key in (("day", "day"), ("template", "template"), ("number", "number")):
        found = ask(store, QUESTIONS["funnel"], Asked(by=by))
        assert [row[key] for row in found.rows] == sorted({str(row[key]) for row in found.rows})
        assert sum(int(row["requested"] or 0) for row in found.rows) == len(told.requests)
        for row in found.rows:
            assert sum(int(row[name] or 0) for name in CLASSES) == row["requested"]


def test_days_are_inclusive_and_utc(embedded: Store) -> None:
    midnight = 1_772_409_600  # 2026-03-02T00:00:00Z
    rows = [
        request_row(f"D{at}", anchor_at=at, sent_at=at)
        for at in (midnight - 1, midnight, midnight + DAY - 1, midnight + DAY)
    ]
    load(embedded, [encode_record(record([row])) for row in rows])
    from datetime import date

    day = date(2026, 3, 2)
    assert one(ask(embedded, QUESTIONS["funnel"], Asked(since=day, until=day)))["requested"] == 2
    assert one(ask(embedded, QUESTIONS["funnel"], Asked(since=day)))["requested"] == 3
    assert one(ask(embedded, QUESTIONS["funnel"], Asked(until=day)))["requested"] == 3


def test_an_open_request_expires_by_the_clock_without_another_record(embedded: Store) -> None:
    at = now()
    ran_out = request_row("A", anchor_at=at - 7 * DAY, sent_at=at - 7 * DAY, expires_at=at - 1)
    still_open = request_row("B", anchor_at=at - DAY, sent_at=at - DAY, expires_at=at + 6 * DAY)
    load(embedded, [encode_record(record([ran_out, still_open]))])

    found = one(ask(embedded, QUESTIONS["funnel"], Asked()))
    assert (found["expired_no_response"], found["open"]) == (1, 1)
    assert class_at(ran_out, at) == "expired_no_response"


def test_a_temporary_grant_runs_out_by_the_clock_without_an_announcement(embedded: Store) -> None:
    at = now()
    load(
        embedded,
        [
            encode_record(record(grants=[grant_row("A", granted_at=at - 7 * DAY, expires_at=at - 1)])),
            encode_record(record(grants=[grant_row("B", granted_at=at - DAY, expires_at=at + 6 * DAY)])),
        ],
    )
    ended = {row["cause"]: row["ended"] for row in ask(embedded, QUESTIONS["revocations"], Asked()).rows}
    assert ended["expired"] == 1
    assert sum(int(count or 0) for count in ended.values()) == 1


def test_a_rate_is_null_when_its_n_is_zero(store: Store) -> None:
    found = one(ask(store, QUESTIONS["funnel"], Asked()))
    assert found["requested"] == 0
    for name, value in found.items():
        if f"{name}_n" in found:
            assert (value, found[f"{name}_n"]) == (None, 0)


def test_a_rate_is_the_quotient_of_its_counts(embedded: Store) -> None:
    sent = [request_row(f"R{index}", delivered_at=1_772_442_005 if index < 4 else None) for index in range(5)]
    sent[0] |= {
        "final_class": "accepted_permanent",
        "first_response": "accepted_permanent",
        "first_response_at": 1_772_442_900,
    }
    load(embedded, [encode_record(record([row])) for row in sent])
    found = one(ask(embedded, QUESTIONS["funnel"], Asked()))
    assert (found["delivery_rate"], found["delivery_rate_n"]) == (0.8, 5)
    assert (found["approval_rate"], found["approval_rate_n"]) == (0.25, 4)
    assert (found["permanent_share"], found["permanent_share_n"]) == (1.0, 1)


def test_a_record_without_a_fact_stores_rows_and_no_fact(embedded: Store) -> None:
    with_null = record([request_row("A")])
    without = record([request_row("B")])
    del without["fact"]
    load(embedded, [encode_record(one) for one in (with_null, without, record([request_row("C")], fact=fact("C")))])
    assert embedded.ask("SELECT count() FROM facts").rows[0][0] == 1
    assert embedded.ask("SELECT count() FROM requests").rows[0][0] == 3


def test_the_body_of_a_fact_and_a_change_are_stored_as_sent(embedded: Store) -> None:
    change = {
        "change_id": fact("change")["fact_id"],
        "type": "permission_granted",
        "occurred_at": 1_772_443_000,
        "before": "pending",
        "after": "granted",
        "cause": "permission_replied",
        "reason": None,
        "via": "request",
        "source": "user_action",
        "grant_id": grant_row("A")["grant_id"],
        "version": 4,
    }
    load(embedded, [encode_record(record(fact=fact("A"), changes=[change]))])
    body = embedded.ask("SELECT JSONExtractString(body, 'note'), toUnixTimestamp(recorded_at) FROM facts").rows[0]
    assert tuple(body) == ('a "quoted" }{ word', 1_772_442_001)
    told = embedded.ask("SELECT type, before, after, via, reason, toString(grant_id), version FROM changes").rows[0]
    assert tuple(told) == ("permission_granted", "pending", "granted", "request", "", change["grant_id"], 4)


def test_an_insert_repeated_under_its_token_leaves_no_second_row(embedded: Store) -> None:
    body = line(0, 0, encode_record(record([request_row("A")], fact=fact("A"))))
    assert isinstance(body, bytes)
    for _ in range(3):
        embedded.insert("inbox", body, token_of(body))
    assert embedded.ask("SELECT count() FROM requests").rows[0][0] == 1
    assert embedded.ask("SELECT count() FROM facts").rows[0][0] == 1
