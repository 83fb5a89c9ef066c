"""Random histories of one pair in which what is rare in life happens often.

Few message ids and few instants: facts repeat, contradict each other under one id, share seconds, answer requests
that are unknown, expired or superseded, and fall on the very boundaries of every window.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    MessageStatus,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    Template,
    UserMessaged,
    UserNumberChanged,
)
from schemas.ids import derived_id
from tests.oracle.business import Business, Restriction, Setting
from tests.oracle.calls import CALL_FACTS

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
def replies(draw: st.DrawFn) -> PairFact:
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
        inferred=draw(st.sampled_from([(), (), (), ("is_permanent",), ("phone_number_id",)])),
        revoked=response == "reject" and draw(st.sampled_from([False, False, True])),
    )


@st.composite
def statuses(draw: st.DrawFn) -> PairFact:
    """What became of a message, which may or may not be a request."""
    at, word = draw(INSTANTS), draw(st.sampled_from(["sent", "delivered", "delivered", "read", "failed"]))
    code = draw(st.sampled_from([131026, 131049, None])) if word == "failed" else None
    name = draw(st.one_of(REQUESTS, st.just("UNSEEN")))
    return status(name, at, word, recorded_at=at + draw(st.integers(0, 3)), error_code=code)


@st.composite
def requests_sent(draw: st.DrawFn) -> PairFact:
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


@dataclass(frozen=True)
class Plan:
    """What a call is, whoever tells of it: facts about one call never disagree about these.

    `end`: `answered | missed | rejected | rejected_failed | cancelled | failed | failed_late` (after the pick-up).
    """

    call_id: str
    by_user: bool
    end: str
    starts_at: int
    lasts_s: int

    @property
    def picked_up(self) -> bool:
        return self.end in ("answered", "failed_late")


PLANS = st.builds(
    Plan,
    call_id=st.sampled_from([f"wacid.TESTCALL000{n}" for n in range(1, 8)]),
    by_user=st.sampled_from([False, False, False, True]),
    end=st.sampled_from(
        [
            *("answered", "missed", "missed", "missed", "missed", "rejected", "rejected_failed"),
            *("cancelled", "failed", "failed_late"),
        ]
    ),
    starts_at=st.sampled_from(
        [T0 + day * DAY_S + second for day in (0, 1, 2, 7) for second in (-91, 0, 9, 10, 11, 900)]
    ),
    lasts_s=st.sampled_from([1, 56, 60]),
)


def call_fact(kind: type[PairFact], name: str, plan: Plan, at: int, **more: Any) -> PairFact:
    """One fact about a call."""
    made: Any = kind
    fact: PairFact = made(
        **COMMON,
        fact_id=derived_id(name, NUMBER, plan.call_id),
        occurred_at=at,
        recorded_at=at,
        provider="meta",
        call_id=plan.call_id,
        **more,
    )
    return fact


def all_of_a_call(plan: Plan, campaign: str | None = None) -> list[PairFact]:
    """Everything that is told of a call in life. Its terminate and the pick-up it proves come together."""
    direction = "user_initiated" if plan.by_user else "business_initiated"
    started: dict[str, Any] = {"direction": direction, "origin": None, "reservation_id": None}
    over_at = plan.starts_at + plan.lasts_s
    facts = [call_fact(CallOffered, "call_offered", plan, plan.starts_at - 5, campaign=None, **started)]
    if not plan.by_user:
        started["reported"] = True
        facts.append(call_fact(CallOffered, "call_started", plan, plan.starts_at - 6, campaign=campaign, **started))
        facts.append(call_fact(CallRinging, "call_ringing", plan, plan.starts_at - 3))
    if plan.picked_up and not plan.by_user:
        late = plan.starts_at + 2
        facts.append(call_fact(CallConnected, "call_connected", plan, late, direction=direction, exact=False))
    if plan.end.startswith("rejected") and not plan.by_user:
        facts.append(call_fact(CallRejected, "call_rejected", plan, plan.starts_at))
    if plan.picked_up:
        exact = {"direction": direction, "exact": True}
        facts.append(call_fact(CallConnected, "call_connected", plan, plan.starts_at, **exact))
    ends = {"failed": "failed", "failed_late": "failed", "rejected_failed": "failed", "cancelled": "cancelled"}
    status = ends.get(plan.end, "completed")
    facts.append(
        call_fact(
            CallEnded,
            "call_ended",
            plan,
            over_at,
            direction=direction,
            status=status,
            started_at=plan.starts_at if plan.picked_up else None,
            ended_at=over_at if plan.picked_up else None,
            duration_s=plan.lasts_s if plan.picked_up else None,
            error_code=138020 if status == "failed" else None,
        )
    )
    return facts


@st.composite
def told_of_a_call(draw: st.DrawFn) -> list[PairFact]:
    """A call of which everything is told, or only a part."""
    plan = draw(PLANS)
    facts = all_of_a_call(plan, draw(st.sampled_from([None, "camp-41"])))
    last = 2 if plan.picked_up else 1
    told, end = [fact for fact in facts[:-last] if draw(st.sampled_from([True, True, False]))], facts[-last:]
    if draw(st.sampled_from([True, True, True, False])) or not told:
        told += end
    if draw(st.sampled_from([False, False, True])):
        told.append(
            call_fact(DispositionRecorded, "disposition_recorded", plan, plan.starts_at + 90, outcome="Resolved")
        )
    return told


REJECTED = ("rejected", "rejected_failed")


@st.composite
def calls_in_a_row(draw: st.DrawFn) -> list[PairFact]:
    """Calls that nobody picked up, most of the time the fourth too."""
    first = draw(st.sampled_from([T0 + second for second in (-HALF_HOUR_S, 300, DAY_S + 300)]))
    plans = [
        Plan(f"wacid.TESTROW000{n}", False, draw(st.sampled_from(["missed", "missed", *REJECTED])), first + 60 * n, 20)
        for n in range(draw(st.integers(2, 6)))
    ]
    return [fact for plan in plans for fact in all_of_a_call(plan)]


@st.composite
def refusals(draw: st.DrawFn) -> PairFact:
    """The provider did not take a request, or did not place a call."""
    at = draw(st.sampled_from([T0 + day * DAY_S + second for day in (0, 1, 2, 7) for second in (0, 30, 31, 3_600)]))
    by_call = draw(st.booleans())
    own = [138006, 138012] if by_call else [138009, 138017, 131047]
    action_id = draw(st.sampled_from(["TESTACTION1", "TESTACTION2", "TESTACTION3"]))  # at either door, with any error
    code = draw(st.sampled_from([*own, *own, 138000, 138013, 138014]))
    retry_at = draw(st.sampled_from([None, at - 1, at, at + 1, at + 3_600, at + 2 * DAY_S]))
    door = "call" if by_call else "request"
    return refusal(door, action_id, at, code, retry_at)


def refusal(door: str, action_id: str, at: int, code: int, retry_at: int | None = None) -> PairFact:
    """One refusal."""
    made: Any = CallRefused if door == "call" else RequestRefused
    fact: PairFact = made(
        **COMMON,
        fact_id=derived_id(f"{door}_refused", NUMBER, action_id),
        occurred_at=at,
        recorded_at=at,
        provider="actions",
        action_id=action_id,
        error_code=code,
        details=None,
        retry_at=retry_at,
        campaign=None,
        origin=None,
        reservation_id=None,
    )
    return fact


def reading(at: int, status: str, expires_at: int | None = None, **more: Any) -> ReadingTaken:
    """Meta's answer about the pair."""
    nothing: Filled = dict.fromkeys(["can_request", "can_call", "requests_24h", "requests_7d", "connected_calls_24h"])
    made: Any = ReadingTaken
    fact: ReadingTaken = made(
        **COMMON,
        fact_id=derived_id("reading_taken", NUMBER, USER, at, status, str(expires_at), *more.get("inferred", ())),
        occurred_at=at,
        recorded_at=at,
        provider="actions",
        status=status,
        expires_at=expires_at,
        **{**nothing, **more},
    )
    return fact


@st.composite
def readings(draw: st.DrawFn) -> PairFact:
    """A reading of any kind."""
    at = draw(st.sampled_from([T0 + day * DAY_S + second for day in (0, 1, 2, 7) for second in (0, 20, 21, 7_200)]))
    kind = draw(st.sampled_from(["no_permission", "no_permission", "temporary", "temporary", "permanent"]))
    ends = [at - 1, at, at + 1, T0 + WEEK_S, T0 + WEEK_S + HALF_HOUR_S, T0 + 8 * DAY_S]
    opens = draw(st.sampled_from([None, None, True, False]))
    ends_at = draw(st.sampled_from([*ends, None])) if kind == "temporary" else None
    asks = draw(st.sampled_from([None, None, True, False]))
    inferred = draw(st.sampled_from([(), (), (), ("status",)]))
    return reading(at, kind, ends_at, can_call=opens, can_request=asks, inferred=inferred)


@st.composite
def messages(draw: st.DrawFn) -> PairFact:
    """The user wrote."""
    return message(draw(st.sampled_from(["TESTTEXT1", "TESTTEXT2"])), draw(INSTANTS))


def message(name: str, at: int) -> UserMessaged:
    """A message of the user."""
    message_id = f"wamid.{name}"
    return UserMessaged(
        **COMMON,
        fact_id=derived_id("user_messaged", NUMBER, message_id),
        occurred_at=at,
        recorded_at=at,
        provider="meta",
        message_id=message_id,
    )


@st.composite
def moves(draw: st.DrawFn) -> PairFact:
    """The user has another phone number, or is the one behind the new one, whatever was granted before."""
    at = draw(st.sampled_from([T0 + day * DAY_S + second for day in (0, 1, 2) for second in (-HALF_HOUR_S, 0, 40)]))
    return moved(at, draw(st.sampled_from(["old", "new"])))


def moved(at: int, role: str) -> UserNumberChanged:
    """A change of number, as one of both pairs is told."""
    made: Any = UserNumberChanged
    fact: UserNumberChanged = made(
        **COMMON,
        fact_id=derived_id("user_number_changed", NUMBER, f"wamid.TESTSYS{at}", role),
        occurred_at=at,
        recorded_at=at,
        provider="meta",
        message_id=f"wamid.TESTSYS{at}",
        role=role,
        other="447700900456",
    )
    return fact


BUSINESSES = st.builds(
    Business,
    profile=st.sampled_from(["production", "production", "production", "sandbox"]),
    country=st.sampled_from([None, None, "GB", "US", "TR"]),
    settings=st.lists(
        st.builds(Setting, at=st.sampled_from([T0 + 50, T0 + DAY_S + 50, T0 + 2 * DAY_S]), enabled=st.booleans()),
        max_size=2,
        unique=True,
    ).map(lambda told: tuple(sorted(told, key=lambda one: (one.at, one.enabled)))),
    restrictions=st.lists(
        st.builds(
            Restriction,
            at=st.sampled_from([T0 + 60, T0 + DAY_S + 60]),
            restricts=st.sampled_from(["business_initiated", "user_initiated", "both"]),
            until=st.sampled_from([T0 + 61, T0 + 2 * DAY_S, T0 + WEEK_S + 60]),
        ),
        max_size=2,
        unique=True,
    ).map(lambda told: tuple(sorted(told, key=lambda one: (one.at, one.restricts, one.until)))),
)

ASKED_AND_ANSWERED = st.one_of(replies(), replies(), statuses(), requests_sent())
FACTS = st.one_of(
    ASKED_AND_ANSWERED.map(lambda fact: [fact]),
    ASKED_AND_ANSWERED.map(lambda fact: [fact]),
    st.one_of(refusals(), readings(), messages(), moves(), refusals(), readings()).map(lambda fact: [fact]),
    told_of_a_call(),
    told_of_a_call(),
    calls_in_a_row(),
)


@st.composite
def histories(draw: st.DrawFn) -> list[PairFact]:
    """Facts in an order of arrival, some of them more than once."""
    groups = draw(st.lists(FACTS, min_size=1, max_size=10))
    facts: list[PairFact] = []
    told: set[str] = set()
    for group in groups:
        names = {fact.call_id for fact in group if isinstance(fact, CALL_FACTS)}  # a call happens once
        if not names & told:
            facts += group
            told |= names
    again = draw(st.lists(st.sampled_from(facts), max_size=4))
    later = [replace(fact, recorded_at=fact.recorded_at + 60) for fact in again]
    return draw(ARRIVALS)(draw, [*facts, *later])


def _anyhow(draw: st.DrawFn, facts: list[PairFact]) -> list[PairFact]:
    return draw(st.permutations(facts))


def _in_time(_draw: st.DrawFn, facts: list[PairFact]) -> list[PairFact]:
    return sorted(facts, key=lambda fact: fact.occurred_at)


def _nearly(draw: st.DrawFn, facts: list[PairFact]) -> list[PairFact]:
    """In order of time but for a few that come later or earlier."""
    told = _in_time(draw, facts)
    for _ in range(draw(st.integers(1, 2))):
        moved = told.pop(draw(st.integers(0, len(told) - 1)))
        told.insert(draw(st.integers(0, len(told))), moved)
    return told


ARRIVALS = st.sampled_from([_anyhow, _in_time, _nearly])
"""In life nearly all facts come in order of time, and what is judged then may be judged another way."""
