"""Rows: a judged request, grant, call and change in the shape that analytics stores (design 13).

Owns the field names of rows; what they say is judged elsewhere. Refuses to number versions: the step does.
"""

from typing import Any

from schemas.marks import Call
from streams.permission.calls import begun_at, connected_at, is_over, offered_at, outcome_of, pulses_of
from streams.permission.grants import Grant
from streams.permission.requests import Life

Row = dict[str, Any]


def request_row(life: Life) -> Row:
    """One request, without pair and version."""
    template = life.template
    return {
        "request_id": life.request_id,
        "kind": life.kind,
        "campaign": life.campaign,
        "origin": life.origin,
        "attempt": life.attempt,
        "prior": life.prior,
        "anchor_at": life.anchor_at,
        "sent_at": life.sent_at,
        "delivered_at": life.delivered_at,
        "read_at": life.read_at,
        "failed_at": life.failed_at,
        "error_code": life.error_code,
        "first_response": life.first_response,
        "first_response_at": life.first_response_at,
        "last_response": life.last_response,
        "last_response_at": life.last_response_at,
        "superseded_at": life.superseded_at,
        "expires_at": life.expires_at,
        "final_class": life.final_class,
        "template_name": template[0] if template is not None else None,
        "template_language": template[1] if template is not None else None,
        "template_category": template[2] if template is not None else None,
    }


def grant_row(grant: Grant) -> Row:
    """One grant, without pair and version."""
    return {
        "grant_id": grant.grant_id,
        "kind": grant.kind,
        "via": grant.via,
        "source": grant.source,
        "granted_at": grant.granted_at,
        "expires_at": grant.expires_at,
        "request_id": grant.request_id,
        "confirmed": grant.confirmed,
        "flags": grant.flags,
        "ended_at": grant.ended_at,
        "end_cause": grant.end_cause,
    }


def call_row(call: Call) -> Row:
    """One call, without pair and version. A call whose direction nobody told is the business's: only those have
    statuses.
    """
    ended_at = call.ended_at if call.ended_at is not None else call.terminated_at
    return {
        "call_id": call.call_id,
        "direction": call.direction or "business_initiated",
        "outcome": outcome_of(call),
        "anchor_at": begun_at(call),
        "started_at": offered_at(call) or begun_at(call),
        "connected_at": connected_at(call),
        "ended_at": ended_at if is_over(call) else None,
        "duration_s": call.duration_s,
        "pulses": pulses_of(call.duration_s),
        "campaign": call.campaign,
        "disposition": call.disposition,
    }


def change_row(change: dict[str, Any]) -> Row:
    """One announcement, flat: labels instead of standings."""
    after = change["after"]
    return {
        "change_id": change["change_id"],
        "type": change["type"],
        "occurred_at": change["occurred_at"],
        "before": change["before"]["label"],
        "after": after["label"],
        "cause": change["cause"],
        "reason": after["reason"],
        "via": after["via"],
        "source": after["source"],
        "grant_id": change["data"].get("grant_id"),
        "version": change["version"],
    }
