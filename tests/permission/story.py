"""Words for given/when/then: facts of one pair with fixed times, and what a step said."""

from dataclasses import dataclass
from typing import Any, Literal

from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    Direction,
    DispositionRecorded,
    EndStatus,
    MessageStatus,
    MessageStatusName,
    PairFact,
    PermissionReplied,
    ReadingTaken,
    ReplySource,
    RequestRefused,
    RequestSent,
    Template,
    UserMessaged,
    UserNumberChanged,
    UsersLinked,
)
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY, Policy
from schemas.state import PairState
from streams.permission.answer import answer
from streams.permission.number import Number
from streams.permission.step import Step, pass_time, step

T0 = 1_772_442_000  # 2026-03-02T09:00:00Z, as in the scenario tables of the domain
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NUMBER, USER = "700100200300400", "447700900123"
SCOPED = "GB.10000000000000000042"  # the same user, by a business-scoped id
PRODUCTION = Number()
SANDBOX = Number(profile="sandbox")


def sent(message_id: str, at: int, **said: Any) -> RequestSent:
    """A request that the provider took."""
    return RequestSent(
        fact_id=derived_id("request_sent", NUMBER, message_id),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=said.pop("recorded_at", at + 1),
        provider="actions",
        message_id=message_id,
        kind=said.pop("kind", "template"),
        template=said.pop("template", Template(name="test_cpr_template", language="en", category="UTILITY")),
        campaign=said.pop("campaign", None),
        origin=said.pop("origin", None),
        reservation_id=None,
    )


def status(message_id: str, name: MessageStatusName, at: int, error_code: int | None = None) -> MessageStatus:
    """What became of a message."""
    return MessageStatus(
        fact_id=derived_id("message_status", NUMBER, message_id, name),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="meta",
        message_id=message_id,
        status=name,
        error_code=error_code,
    )


def delivered(message_id: str, at: int) -> MessageStatus:
    """It reached the user."""
    return status(message_id, "delivered", at)


def replied(
    message_id: str,
    at: int,
    response: Literal["accept", "reject"] = "accept",
    *,
    to: str | None = None,
    permanent: bool = False,
    until: int | None = None,
    source: ReplySource | None = "user_action",
) -> PermissionReplied:
    """The user's word, or WhatsApp's for him."""
    return PermissionReplied(
        fact_id=derived_id("permission_replied", NUMBER, message_id),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="meta",
        message_id=message_id,
        response=response,
        is_permanent=permanent,
        expires_at=until,
        source=source,
        context_id=to,
    )


def accepted(message_id: str, at: int, *, to: str | None = None, until: int | None = None) -> PermissionReplied:
    """A temporary accept by the user; seven days unless told otherwise."""
    return replied(message_id, at, to=to, until=at + 7 * DAY if until is None else until)


def rejected(message_id: str, at: int, *, to: str | None = None) -> PermissionReplied:
    """A reject by the user."""
    return replied(message_id, at, "reject", to=to)


def call(
    call_id: str,
    *events: tuple[str, int],
    direction: Direction = "business_initiated",
    start: int | None = None,
    status: EndStatus = "completed",
) -> list[PairFact]:
    """The facts of one call, e.g. `call("c1", ("offered", T0), ("ended", T0 + 60), start=T0 + 5)`."""
    facts: list[PairFact] = []
    for name, at in events:
        common: dict[str, Any] = {
            "fact_id": derived_id(f"call_{name}", NUMBER, call_id),
            "phone_number_id": NUMBER,
            "user": USER,
            "occurred_at": at,
            "recorded_at": at + 1,
            "provider": "meta",
            "call_id": call_id,
        }
        match name:
            case "offered":
                facts.append(
                    CallOffered(direction=direction, campaign=None, origin=None, reservation_id=None, **common)
                )
            case "ringing":
                facts.append(CallRinging(**common))
            case "accepted":
                common["fact_id"] = derived_id("call_connected", NUMBER, call_id)
                facts.append(CallConnected(direction=direction, exact=False, **common))
            case "rejected":
                facts.append(CallRejected(**common))
            case "ended":
                if start is not None:
                    picked_up = common | {
                        "occurred_at": start,
                        "fact_id": derived_id("call_connected", NUMBER, call_id),
                    }
                    facts.append(CallConnected(direction=direction, exact=True, **picked_up))
                facts.append(
                    CallEnded(
                        direction=direction,
                        status=status,
                        started_at=start,
                        ended_at=at if start is not None else None,
                        duration_s=at - start if start is not None else None,
                        error_code=138_020 if status == "failed" else None,
                        **common,
                    )
                )
            case other:
                raise AssertionError(other)
    return facts


def unanswered(*ends: int) -> list[PairFact]:
    """Calls of the business that nobody picked up, one an instant."""
    return [fact for at in ends for fact in call(f"c{at}", ("offered", at - 30), ("ended", at))]


def connected(*starts: int, direction: Direction = "business_initiated") -> list[PairFact]:
    """Calls of half a minute, one a start."""
    return [fact for at in starts for fact in call(f"c{at}", ("ended", at + 30), start=at, direction=direction)]


def refused(
    door: Literal["request", "call"], code: int, at: int, retry_at: int | None = None, action_id: str = ""
) -> PairFact:
    """A request or call that the provider did not take."""
    kind = RequestRefused if door == "request" else CallRefused
    action_id = action_id or f"{door}-{code}-{at}"
    return kind(
        fact_id=derived_id(f"{door}_refused", NUMBER, action_id),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="actions",
        action_id=action_id,
        error_code=code,
        details=None,
        retry_at=retry_at,
        campaign=None,
        origin=None,
        reservation_id=None,
    )


def reading(
    status: Literal["no_permission", "temporary", "permanent"], at: int, until: int | None = None, **said: Any
) -> ReadingTaken:
    """Meta's answer about the pair."""
    return ReadingTaken(
        fact_id=derived_id("reading_taken", NUMBER, USER, at),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="actions",
        status=status,
        expires_at=until,
        can_request=said.pop("can_request", None),
        can_call=said.pop("can_call", None),
        requests_24h=said.pop("requests_24h", None),
        requests_7d=said.pop("requests_7d", None),
        connected_calls_24h=said.pop("connected_calls_24h", None),
    )


def messaged(message_id: str, at: int) -> UserMessaged:
    """The user wrote."""
    return UserMessaged(
        fact_id=derived_id("user_messaged", NUMBER, message_id),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="meta",
        message_id=message_id,
    )


def moved(role: Literal["old", "new"], at: int, other: str = "447700900456") -> UserNumberChanged:
    """The user has another number."""
    return UserNumberChanged(
        fact_id=derived_id("user_number_changed", NUMBER, USER, "wamid.TESTSYS0001"),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="meta",
        message_id="wamid.TESTSYS0001",
        role=role,
        other=other,
    )


def linked(at: int = T0, wa_id: str = USER, user: str = SCOPED) -> UsersLinked:
    """A payload showed that both names are one user."""
    return UsersLinked(
        fact_id=derived_id("users_linked", NUMBER, user, wa_id),
        phone_number_id=NUMBER,
        user=user,
        occurred_at=at,
        recorded_at=at + 1,
        provider="meta",
        wa_id=wa_id,
    )


def disposed(call_id: str, at: int, outcome: str = "sold") -> DispositionRecorded:
    """An agent's note."""
    return DispositionRecorded(
        fact_id=derived_id("disposition_recorded", NUMBER, call_id, at, outcome),
        phone_number_id=NUMBER,
        user=USER,
        occurred_at=at,
        recorded_at=at + 1,
        provider="actions",
        call_id=call_id,
        outcome=outcome,
    )


@dataclass(frozen=True)
class Told:
    """A pair after its story: the state, what was told in order of arrival, and every step on the way."""

    state: PairState
    steps: tuple[Step, ...]
    number: Number = PRODUCTION
    facts: tuple[PairFact, ...] = ()
    policy: Policy = DEFAULT_POLICY

    def at(self, instant: int, number: Number | None = None) -> "View":
        """The pair judged at an instant."""
        return View(answer(self.state, instant, self.policy, number or self.number))

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Everything that was announced, in order."""
        return [change for one in self.steps for change in one.changes]

    @property
    def announced(self) -> list[tuple[str, str]]:
        """Type and cause of every announcement of a changed permission."""
        return [(one["type"], one["cause"]) for one in self.changes if one["type"].startswith("permission_")]

    @property
    def noticed(self) -> list[tuple[str, str]]:
        """Type and cause of every other announcement."""
        return [(one["type"], one["cause"]) for one in self.changes if not one["type"].startswith("permission_")]

    def rows(self, kind: Literal["requests", "grants", "calls"]) -> dict[str, dict[str, Any]]:
        """The rows as a store keeps them: the newest version of each, without the deleted ones."""
        name = {"requests": "request_id", "grants": "grant_id", "calls": "call_id"}[kind]
        kept: dict[tuple[str, int], dict[str, Any]] = {}
        for one in self.steps:
            for row in (one.record or {}).get(kind, ()):
                day = (row["granted_at"] if kind == "grants" else row["anchor_at"]) // DAY
                held = kept.get((row[name], day))
                if held is None or held["version"] <= row["version"]:
                    kept[row[name], day] = row
        alive = [row for row in kept.values() if not row["is_deleted"]]
        assert len({row[name] for row in alive}) == len(alive), "one row a key, wherever it was filed before"
        return {row[name]: row for row in alive}

    def then(self, *facts: PairFact) -> "Told":
        """The story goes on."""
        return given(*facts, after=self, number=self.number, policy=self.policy)

    def when_time_reaches(self, until: int) -> "Told":
        """A tick."""
        done = pass_time(self.state, until, self.policy, self.number)
        return Told(done.state, (*self.steps, done), self.number, self.facts, self.policy)


@dataclass(frozen=True)
class View:
    """An answer with short names for its parts."""

    body: dict[str, Any]

    @property
    def status(self) -> str:
        """Meta's status."""
        return str(self.body["permission"]["status"])

    @property
    def until(self) -> int | None:
        """When a temporary permission ends."""
        until = self.body["permission"].get("expiration_time")
        return None if until is None else int(until)

    @property
    def reason(self) -> str | None:
        """Why there is none."""
        reason = self.body["standing"]["reason"]
        return None if reason is None else str(reason)

    @property
    def label(self) -> str:
        """The product's label."""
        return str(self.body["standing"]["label"])

    @property
    def flags(self) -> list[str]:
        """What was odd."""
        return list(self.body["standing"]["flags"])

    @property
    def may_ask(self) -> bool:
        """Whether a request may be sent."""
        return bool(self.body["actions"][0]["can_perform_action"])

    @property
    def may_call(self) -> bool:
        """Whether a call may be started."""
        return bool(self.body["actions"][1]["can_perform_action"])

    @property
    def ask_refused(self) -> tuple[str | None, int | None]:
        """Why not, and when it opens."""
        return self.body["actions"][0]["reason"], self.body["actions"][0]["retry_at"]

    @property
    def call_refused(self) -> tuple[str | None, int | None]:
        """Why not, and when it opens."""
        return self.body["actions"][1]["reason"], self.body["actions"][1]["retry_at"]

    @property
    def called(self) -> tuple[int, int, int | None]:
        """Connected calls in the day's window, its maximum and its release."""
        limit = self.body["actions"][1]["limits"][0]
        return limit["current_usage"], limit["max_allowed"], limit.get("limit_expiration_time")

    @property
    def streak(self) -> int:
        """Unanswered calls in a row."""
        return int(self.body["standing"]["unanswered_streak"])

    @property
    def window_until(self) -> int | None:
        """Until when the service window is open."""
        until = self.body["standing"]["service_window_until"]
        return None if until is None else int(until)

    @property
    def confirmed(self) -> bool:
        """Whether a provider said so."""
        return bool(self.body["standing"]["confirmed"])

    @property
    def via(self) -> str | None:
        """Which way it was given."""
        via = self.body["standing"]["via"]
        return None if via is None else str(via)

    @property
    def day(self) -> tuple[int, int, int | None]:
        """Requests in the day's window, its maximum and its release."""
        return self._window(0)

    @property
    def week(self) -> tuple[int, int, int | None]:
        """Requests in the week's window, its maximum and its release."""
        return self._window(1)

    def _window(self, place: int) -> tuple[int, int, int | None]:
        limit = self.body["actions"][0]["limits"][place]
        return limit["current_usage"], limit["max_allowed"], limit.get("limit_expiration_time")

    @property
    def asked(self) -> tuple[tuple[int, int | None], tuple[int, int | None]]:
        """Usage and release of the day's and the week's window."""
        day, week = self.body["actions"][0]["limits"]
        return (
            (day["current_usage"], day.get("limit_expiration_time")),
            (week["current_usage"], week.get("limit_expiration_time")),
        )


def given(
    *facts: PairFact, after: Told | None = None, number: Number = PRODUCTION, policy: Policy = DEFAULT_POLICY
) -> Told:
    """The pair after `facts`, in order of arrival."""
    state = after.state if after else PairState(phone_number_id=NUMBER, user=USER)
    steps = list(after.steps) if after else []
    for fact in facts:
        done = step(state, fact, policy, number, None)
        steps.append(done)
        state = done.state
    return Told(state, tuple(steps), number, (*(after.facts if after else ()), *facts), policy)


def switched(**switches: Any) -> Policy:
    """The policy with other switches."""
    return DEFAULT_POLICY.model_copy(update={"defaults": DEFAULT_POLICY.defaults.model_copy(update=switches)})


def evidence(state: PairState) -> tuple[object, ...]:
    """A state without its bookkeeping."""
    marks = (state.decisions, state.requests, state.refusals, state.calls, state.messages, state.links, state.aliases)
    return state.phone_number_id, state.user, *marks
