"""Words for given/when/then: facts of one pair with fixed times, and what a step said."""

from dataclasses import dataclass
from typing import Any, Literal

from schemas.events import Fact, MessageStatus, MessageStatusName, PermissionReplied, ReplySource, RequestSent, Template
from schemas.ids import derived_id
from schemas.policy import DEFAULT_POLICY, NumberEntry
from schemas.state import PairState
from streams.permission.answer import answer
from streams.permission.step import Step, pass_time, step

T0 = 1_772_442_000  # 2026-03-02T09:00:00Z, as in the scenario tables of the domain
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NUMBER, USER = "700100200300400", "447700900123"
PRODUCTION = NumberEntry()


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


@dataclass(frozen=True)
class Told:
    """A pair after its story: the state, and every step on the way."""

    state: PairState
    steps: tuple[Step, ...]

    def at(self, instant: int, number: NumberEntry = PRODUCTION) -> "View":
        """The pair judged at an instant."""
        return View(answer(self.state, instant, DEFAULT_POLICY, number))

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Everything that was announced, in order."""
        return [change for one in self.steps for change in one.changes]

    @property
    def announced(self) -> list[tuple[str, str]]:
        """Type and cause of every announcement."""
        return [(change["type"], change["cause"]) for change in self.changes]

    def rows(self, kind: Literal["requests", "grants"]) -> dict[str, dict[str, Any]]:
        """The rows as a store keeps them: the newest version of each, without the deleted ones."""
        name = {"requests": "request_id", "grants": "grant_id"}[kind]
        kept: dict[tuple[str, int], dict[str, Any]] = {}
        for one in self.steps:
            for row in (one.record or {}).get(kind, ()):
                day = (row["anchor_at"] if kind == "requests" else row["granted_at"]) // DAY
                held = kept.get((row[name], day))
                if held is None or held["version"] <= row["version"]:
                    kept[row[name], day] = row
        alive = [row for row in kept.values() if not row["is_deleted"]]
        assert len({row[name] for row in alive}) == len(alive), "one row a key, wherever it was filed before"
        return {row[name]: row for row in alive}

    def then(self, *facts: Fact) -> "Told":
        """The story goes on."""
        return given(*facts, after=self)

    def when_time_reaches(self, until: int) -> "Told":
        """A tick."""
        done = pass_time(self.state, until, DEFAULT_POLICY, PRODUCTION)
        return Told(done.state, (*self.steps, done))


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
    def asked(self) -> tuple[tuple[int, int | None], tuple[int, int | None]]:
        """Usage and release of the day's and the week's window."""
        day, week = self.body["actions"][0]["limits"]
        return (
            (day["current_usage"], day.get("limit_expiration_time")),
            (week["current_usage"], week.get("limit_expiration_time")),
        )


def given(*facts: Fact, after: Told | None = None) -> Told:
    """The pair after `facts`, in order of arrival."""
    state = after.state if after else PairState(phone_number_id=NUMBER, user=USER)
    steps = list(after.steps) if after else []
    for fact in facts:
        done = step(state, fact, DEFAULT_POLICY, PRODUCTION)
        steps.append(done)
        state = done.state
    return Told(state, tuple(steps))


def evidence(state: PairState) -> tuple[object, ...]:
    """A state without its bookkeeping."""
    return state.phone_number_id, state.user, state.decisions, state.requests, state.aliases
