"""Random histories of one pair in which what is rare in life happens often.

Few message ids and few instants: facts repeat, contradict each other under one id, share seconds, answer requests
that are unknown, expired or superseded, and fall on the very boundaries of every window.
"""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from schemas.events import Fact, MessageStatus, PermissionReplied, RequestSent, Template
from schemas.ids import derived_id

NUMBER = "700100200300400"
USER = "447700900123"
T0 = 1_772_442_000
HALF_HOUR_S, DAY_S, WEEK_S = 1_800, 86_400, 604_800

INSTANTS = st.sampled_from(
    [T0 + day * DAY_S + second for day in (0, 1, 2, 7, 8, 14) for second in (-1, 0, 1, HALF_HOUR_S)]
)
REQUEST_IDS = st.sampled_from(["wamid.TESTREQ0001", "wamid.TESTREQ0002", "wamid.TESTREQ0003"])
REPLY_IDS = st.sampled_from([f"wamid.TESTREPLY000{n}" for n in range(1, 7)])
CALL = "wacid.TESTUIC0001"
CONTEXTS = st.sampled_from([None, None, CALL, "wamid.TESTUNSEEN", "wamid.TESTREQ0001", "wamid.TESTREQ0002"])
COMMON: dict[str, Any] = {"phone_number_id": NUMBER, "user": USER}


@st.composite
def replies(draw: st.DrawFn) -> Fact:
    """A reply of any kind, told by any dialect."""
    at, message_id = draw(INSTANTS), draw(REPLY_IDS)
    response = draw(st.sampled_from(["accept", "accept", "reject"]))
    source = draw(st.sampled_from(["user_action", "user_action", "automatic", None]))
    context = draw(CONTEXTS)
    by_whatsapp = source == "automatic" or (source is None and context == CALL)
    may_be_permanent = response == "accept" and not by_whatsapp  # WhatsApp by itself gives nothing for ever
    return PermissionReplied(
        **COMMON,
        fact_id=derived_id("permission_replied", NUMBER, message_id),
        occurred_at=at,
        recorded_at=at + draw(st.integers(0, 3)),
        provider="meta",
        message_id=message_id,
        response=response,
        is_permanent=may_be_permanent and draw(st.sampled_from([False, False, True])),
        expires_at=draw(st.sampled_from([None, at - 1, at, at + 1, at + DAY_S, at + WEEK_S, at + WEEK_S, T0 + WEEK_S])),
        source=source,
        context_id=context,
        aliases=draw(st.sampled_from([(), ("GB.TEST1",), ("GB.TEST2",)])),
    )


@st.composite
def statuses(draw: st.DrawFn) -> Fact:
    """What became of a message, which may or may not be a request."""
    at, status = draw(INSTANTS), draw(st.sampled_from(["sent", "delivered", "delivered", "read", "failed"]))
    message_id = draw(st.one_of(REQUEST_IDS, st.just("wamid.TESTUNSEEN")))
    return MessageStatus(
        **COMMON,
        fact_id=derived_id("message_status", NUMBER, message_id, status),
        occurred_at=at,
        recorded_at=at + draw(st.integers(0, 3)),
        provider="meta",
        message_id=message_id,
        status=status,
        error_code=draw(st.sampled_from([131026, 131049, None])) if status == "failed" else None,
    )


@st.composite
def requests_sent(draw: st.DrawFn) -> Fact:
    """The business asked."""
    at, message_id = draw(INSTANTS), draw(REQUEST_IDS)
    kind = draw(st.sampled_from(["free_form", "template"]))
    names = st.sampled_from(["test_cpr_template", "test_other_template"])
    return RequestSent(
        **COMMON,
        fact_id=derived_id("request_sent", NUMBER, message_id),
        occurred_at=at,
        recorded_at=at + draw(st.integers(0, 3)),
        provider="actions",
        message_id=message_id,
        kind=kind,
        template=Template(name=draw(names), language="en", category="UTILITY") if kind == "template" else None,
        campaign=draw(st.sampled_from([None, "camp-41", "camp-42"])),
        origin=draw(st.sampled_from([None, "broadcast", "api"])),
        reservation_id=None,
    )


FACTS = st.one_of(replies(), replies(), statuses(), requests_sent())


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """Facts in an order of arrival, some of them more than once, some once more with another content."""
    facts = draw(st.lists(FACTS, min_size=1, max_size=12))
    again = draw(st.lists(st.sampled_from(facts), max_size=4))
    later = [replace(fact, recorded_at=fact.recorded_at + 60) for fact in again]
    return draw(st.permutations([*facts, *later]))
