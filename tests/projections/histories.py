"""Random histories of records, and the counts that the views must then show, counted the slow way.

Shares nothing with the projection but the row shapes of `schemas.records`.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.ids import derived_id
from schemas.records import CallRow, GrantRow, RequestRow, encode_record

DAY = 86_400
NUMBERS = ("700100200300400", "700100200300401")
TEMPLATES = ("test_cpr_template", "test_cpr_other", None)
CLASSES = (
    "refused",
    "failed",
    "accepted_temporary",
    "accepted_permanent",
    "declined",
    "expired_no_response",
    "superseded",
    "open",
)
CAUSES = (
    "revoked_via_request",
    "revoked_via_profile",
    "auto_revoked",
    "auto_revoke_inferred",
    "expired",
    "replaced",
    "reading",
    "refused_138006",
    "number_changed",
)
Row = dict[str, Any]


def request_row(name: str, **changed: object) -> Row:
    """A request row, every field present."""
    row: Row = {
        "request_id": f"wamid.TEST{name}",
        "phone_number_id": NUMBERS[0],
        "user": "447700900123",
        "kind": "template",
        "template_name": "test_cpr_template",
        "template_language": "en",
        "template_category": "UTILITY",
        "campaign": None,
        "origin": None,
        "attempt": 1,
        "prior": "never",
        "anchor_at": 1_772_442_000,
        "sent_at": 1_772_442_000,
        "delivered_at": None,
        "read_at": None,
        "failed_at": None,
        "error_code": None,
        "first_response": None,
        "first_response_at": None,
        "last_response": None,
        "last_response_at": None,
        "superseded_at": None,
        "expires_at": 1_772_442_000 + 7 * DAY,
        "final_class": "open",
        "version": 1,
        "is_deleted": 0,
        **changed,
    }
    RequestRow.model_validate(row)
    return row


def grant_row(name: str, **changed: object) -> Row:
    """A grant row, every field present."""
    row: Row = {
        "grant_id": derived_id("grant", name),
        "phone_number_id": NUMBERS[0],
        "user": "447700900123",
        "request_id": None,
        "kind": "temporary",
        "via": "request",
        "source": "user_action",
        "confirmed": True,
        "granted_at": 1_772_443_000,
        "expires_at": 1_772_443_000 + 7 * DAY,
        "ended_at": None,
        "end_cause": None,
        "flags": [],
        "version": 1,
        "is_deleted": 0,
        **changed,
    }
    GrantRow.model_validate(row)
    return row


def call_row(name: str, **changed: object) -> Row:
    """A call row, every field present."""
    row: Row = {
        "call_id": f"wacid.TEST{name}",
        "phone_number_id": NUMBERS[0],
        "user": "447700900123",
        "direction": "business_initiated",
        "outcome": "open",
        "anchor_at": 1_772_445_600,
        "started_at": 1_772_445_600,
        "connected_at": None,
        "ended_at": None,
        "duration_s": None,
        "pulses": 0,
        "campaign": None,
        "disposition": None,
        "version": 1,
        "is_deleted": 0,
        **changed,
    }
    CallRow.model_validate(row)
    return row


def record(
    requests: Iterable[Row] = (), grants: Iterable[Row] = (), calls: Iterable[Row] = (), **changed: object
) -> Row:
    """A record as the writer makes it; its pair is that of its rows."""
    rows = [*requests, *grants, *calls]
    pair = {name: rows[0][name] for name in ("phone_number_id", "user")} if rows else {}
    return {
        "phone_number_id": NUMBERS[0],
        "user": "447700900123",
        **pair,
        "fact": None,
        "requests": list(requests),
        "grants": list(grants),
        "calls": list(calls),
        "changes": [],
        **changed,
    }


def fact(name: str, at: int = 1_772_442_000) -> Row:
    """A fact as it stands in a record."""
    body = {"type": "request_sent", "note": 'a "quoted" }{ word'}
    return {
        "fact_id": derived_id("fact", name),
        "type": "request_sent",
        "occurred_at": at,
        "recorded_at": at + 1,
        "version": 1,
        "body": body,
    }


@dataclass(frozen=True)
class History:
    """The newest rows, and the records that led to them in the order they were written."""

    requests: list[Row]
    grants: list[Row]
    records: list[Row]

    def delivered(self, seed: int) -> list[bytes]:
        """The values as Kafka may deliver them: repeated, in any order."""
        chance = random.Random(seed)
        values = [encode_record(one) for one in self.records]
        values += chance.choices(values, k=len(values) // 3)
        chance.shuffle(values)
        return values


def history(seed: int, now: int, pairs: int = 60) -> History:
    """Requests and grants that grow by versions: some end by the clock, some days move, some rows vanish."""
    chance = random.Random(seed)
    made = History([], [], [])
    for index in range(pairs):
        number, user = chance.choice(NUMBERS), f"447700900{index % 1000:03d}"
        pair = {"phone_number_id": number, "user": user}
        for turn in range(chance.randint(0, 4)):
            _request(made, chance, now, f"{seed}-{index}-{turn}", pair)
        for turn in range(chance.randint(0, 3)):
            _grant(made, chance, now, f"{seed}-{index}-{turn}", pair)
    return made


def _request(made: History, chance: random.Random, now: int, name: str, pair: Row) -> None:
    at = now - chance.randint(0, 40 * DAY)
    row = request_row(
        name,
        **pair,
        template_name=chance.choice(TEMPLATES),
        anchor_at=at,
        sent_at=at,
        expires_at=at + 7 * DAY,
        final_class=chance.choice(CLASSES),
        version=chance.randint(1, 50),
    )
    row["kind"] = "template" if row["template_name"] else chance.choice(["free_form", "template"])
    if row["final_class"] in {"refused", "failed"}:
        row |= {"expires_at": None}
    if chance.random() < 0.7 and row["final_class"] not in {"refused", "failed"}:
        row["delivered_at"] = at + 5
        row["read_at"] = at + 9 if chance.random() < 0.6 else None
    if row["final_class"] in {"accepted_temporary", "accepted_permanent", "declined"}:
        row |= {"first_response": row["final_class"], "first_response_at": at + chance.randint(1, 3 * DAY)}
        row["last_response"] = chance.choice(["accepted_temporary", "accepted_permanent", "declined"])
        row["last_response_at"] = row["first_response_at"] + 60
    made.requests.append(row)
    last = row["version"]
    for version in sorted(chance.sample(range(1, 50), 3)):
        if version < last:  # what was believed earlier: any class, sometimes another day
            older = {**row, "version": version, "final_class": chance.choice(CLASSES)}
            if chance.random() < 0.4:
                older["anchor_at"] = older["sent_at"] = at - chance.randint(1, 35) * DAY
                made.records.append(record([{**older, "version": last, "is_deleted": 1}, row]))
            made.records.append(record([older]))
    if chance.random() < 0.1:  # turned out never to have been
        made.requests.pop()
        made.records.append(record([{**row, "version": last + 1, "is_deleted": 1}]))
    made.records.append(record([row], fact=fact(name, at)))


def _grant(made: History, chance: random.Random, now: int, name: str, pair: Row) -> None:
    at = now - chance.randint(60, 40 * DAY)
    kind = chance.choice(["temporary", "permanent"])
    row = grant_row(
        name,
        **pair,
        kind=kind,
        granted_at=at,
        expires_at=at + 7 * DAY if kind == "temporary" else None,
        version=chance.randint(2, 50),
    )
    older = {**row, "version": 1}
    if chance.random() < 0.5:
        row |= {"end_cause": chance.choice(CAUSES), "ended_at": min(now - 1, at + chance.randint(1, 6 * DAY))}
    if chance.random() < 0.1:
        made.records.append(record(grants=[{**row, "version": row["version"] + 1, "is_deleted": 1}]))
    else:
        made.grants.append(row)
    made.records.append(record(grants=[older]))
    made.records.append(record(grants=[row]))


def class_at(row: Row, now: int) -> str:
    """The class of a request, the clock taken into account."""
    expires_at = row["expires_at"]
    ran_out = row["final_class"] == "open" and expires_at is not None and expires_at <= now
    return "expired_no_response" if ran_out else str(row["final_class"])


def funnel_of(requests: Iterable[Row], now: int) -> Counter[str]:
    """The counts of the funnel."""
    counts: Counter[str] = Counter()
    for row in requests:
        its_class = class_at(row, now)
        counts["requested"] += 1
        counts[its_class] += 1
        counts["accepted_by_api"] += its_class != "refused"
        refused = row["final_class"] == "refused"
        reached = any(row[mark] for mark in ("delivered_at", "read_at", "first_response_at"))
        counts["delivered"] += reached and not refused
        counts["read"] += row["read_at"] is not None
        counts["responded"] += row["first_response_at"] is not None and not refused
        counts["accepted"] += its_class in {"accepted_temporary", "accepted_permanent"}
        counts["changed_mind"] += row["first_response"] != row["last_response"]
    return counts


def ends_of(grants: Iterable[Row], now: int) -> Counter[tuple[str, str]]:
    """How many grants ended, by cause and kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in grants:
        if row["ended_at"] is not None:
            counts[row["end_cause"], row["kind"]] += 1
        elif row["expires_at"] is not None and row["expires_at"] <= now:
            counts["expired", row["kind"]] += 1
    return counts
