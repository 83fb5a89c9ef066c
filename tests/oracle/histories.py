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
REQUESTS = st.sampled_from(["REQ0001", "REQ0002", "REQ0003"])
REPLIES = st.sampled_from([f"REPLY000{n}" for n in range(1, 7)])
CALL = "wacid.TESTUIC0001"
CONTEXTS = st.sampled_from([None, None, CALL, "wamid.TESTUNSEEN", "wamid.TESTREQ0001", "wamid.TESTREQ0002"])
COMMON: dict[str, Any] = {"phone_number_id": NUMBER, "user": USER}

Filled = dict[str, Any]


def reply(name: str, at: int, response: str = "accept", **more: Any) -> PermissionReplied:
    """A reply of the user, temporary and without context unless said otherwise."""
    message_id = f"wamid.TEST{name}"
    filled: Filled = {"is_permanent": False, "expires_at": None, "source": "user_action", "context_id": None, **more}
    return PermissionReplied(
        **COMMON,
        fact_id=derived_id("permission_replied", NUMBER, message_id),
        occurred_at=at,
        provider="meta",
        message_id=message_id,
        response="reject" if response == "reject" else "accept",
        **{"recorded_at": at, **filled},
    )


def status(name: str, at: int, word: str, **more: Any) -> MessageStatus:
    """A status of a message of the business."""
    message_id = f"wamid.TEST{name}"
    return MessageStatus(
        **COMMON,
        fact_id=derived_id("message_status", NUMBER, message_id, word),
        occurred_at=at,
        provider="meta",
        message_id=message_id,
        **{"recorded_at": at, "status": word, "error_code": None, **more},
    )


def request_sent(name: str, at: int, **more: Any) -> RequestSent:
    """A request of the business, free-form unless said otherwise."""
    message_id = f"wamid.TEST{name}"
    filled: Filled = {"kind": "free_form", "template": None, "campaign": None, "origin": None, "reservation_id": None}
    return RequestSent(
        **COMMON,
        fact_id=derived_id("request_sent", NUMBER, message_id),
        occurred_at=at,
        provider="actions",
        message_id=message_id,
        **{"recorded_at": at, **filled, **more},
    )


@st.composite
def replies(draw: st.DrawFn) -> Fact:
    """A reply of any kind, told by any dialect."""
    at, name = draw(INSTANTS), draw(REPLIES)
    response = draw(st.sampled_from(["accept", "accept", "reject"]))
    source = draw(st.sampled_from(["user_action", "user_action", "automatic", None]))
    context = draw(CONTEXTS)
    return reply(
        name,
        at,
        response,
        recorded_at=at + draw(st.integers(0, 3)),
        is_permanent=response == "accept" and draw(st.sampled_from([False, False, True])),
        expires_at=draw(st.sampled_from([None, at - 1, at, at + 1, at + DAY_S, at + WEEK_S, at + WEEK_S, T0 + WEEK_S])),
        source=source,
        context_id=context,
        aliases=draw(st.sampled_from([(), ("GB.TEST1",), ("GB.TEST2",)])),
    )


@st.composite
def statuses(draw: st.DrawFn) -> Fact:
    """What became of a message, which may or may not be a request."""
    at, word = draw(INSTANTS), draw(st.sampled_from(["sent", "delivered", "delivered", "read", "failed"]))
    code = draw(st.sampled_from([131026, 131049, None])) if word == "failed" else None
    name = draw(st.one_of(REQUESTS, st.just("UNSEEN")))
    return status(name, at, word, recorded_at=at + draw(st.integers(0, 3)), error_code=code)


@st.composite
def requests_sent(draw: st.DrawFn) -> Fact:
    """The business asked."""
    at = draw(INSTANTS)
    template = Template(name=draw(st.sampled_from(["test_cpr_a", "test_cpr_b"])), language="en", category="UTILITY")
    by_template = draw(st.booleans())
    return request_sent(
        draw(REQUESTS),
        at,
        recorded_at=at + draw(st.integers(0, 3)),
        kind="template" if by_template else "free_form",
        template=template if by_template else None,
        campaign=draw(st.sampled_from([None, "camp-41", "camp-42"])),
        origin=draw(st.sampled_from([None, "broadcast", "api"])),
    )


FACTS = st.one_of(replies(), replies(), statuses(), requests_sent())


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """Facts in an order of arrival, some of them more than once, some once more with another content."""
    facts = draw(st.lists(FACTS, min_size=1, max_size=12))
    again = draw(st.lists(st.sampled_from(facts), max_size=4))
    later = [replace(fact, recorded_at=fact.recorded_at + 60) for fact in again]
    return draw(st.permutations([*facts, *later]))
