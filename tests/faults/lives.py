"""What happens to the users of some business numbers in three weeks: seeded lives, as the facts that are to be known.

Owns the happenings, and by which doors each can be told. Refuses to say how a dialect tells them (`telling.py`), and to
know a rule of permissions. A fact here has no provider and no receipt time yet: whoever tells it fills them in. What a
dialect without times tells happens when it is received, and has no instant here either (`AT_RECEIPT`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any, Final, Literal

from schemas.codec import canonical
from schemas.events import (
    CallConnected,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRejected,
    CallRinging,
    DispositionRecorded,
    MessageStatus,
    MessageStatusName,
    PairFact,
    PermissionReplied,
    Reading,
    ReadingTaken,
    RequestRefused,
    RequestSent,
    Template,
    UserMessaged,
)
from schemas.ids import derived_id

Door = Literal["meta", "360dialog", "gupshup", "gupshup-sip", "infobip", "ycloud", "zernio", "actions", "meta-sendlog"]
HOUR_S: Final = 3_600
DAY_S: Final = 24 * HOUR_S
WEEK_S: Final = 7 * DAY_S
AT_RECEIPT: Final = 0

ENVELOPES: Final[tuple[Door, ...]] = ("meta", "meta", "meta", "360dialog", "gupshup")
"""Meta's own envelope, and who passes it on; Meta itself more often than the others."""
ITEMS: Final[tuple[Door, ...]] = (*ENVELOPES, "ycloud")
REPORTS: Final[tuple[Door, ...]] = ("actions", "meta-sendlog")
TEMPLATE: Final = Template(name="test_cpr_template", language="en", category="UTILITY")
DETAILS: Final = "sample text: no"


@dataclass(frozen=True, slots=True)
class Happening:
    """`facts`: what is to be known of it, the first one as it is told. `doors`: by which it can be told."""

    facts: tuple[PairFact, ...]
    doors: tuple[Door, ...]

    @property
    def at(self) -> int:
        return self.facts[0].occurred_at


class Life:
    """One user of one number in three weeks that end at `now`. `serial`: tells its ids from those of every other."""

    def __init__(self, number: str, user: str, serial: int, now: int, dice: Random) -> None:
        self._number = number
        self._pair: dict[str, Any] = {"phone_number_id": number, "user": user, "recorded_at": 0, "provider": ""}
        self._user = user
        self._name = f"{serial:06d}"
        self._now = now
        self._dice = dice

    def happenings(self) -> Iterator[Happening]:
        """Everything that happens, in no order."""
        dice = self._dice
        requests = [f"wamid.TESTREQ{self._name}{n}" for n in range(dice.choice((0, 1, 1, 1, 2)))]
        for request in requests:
            yield from self._asked(request)
        for n in range(dice.choice((0, 0, 1, 1, 2, 3))):
            yield from self._called(f"wacid.TESTCALL{self._name}{n}")
        for n in range(dice.choice((0, 0, 1, 2))):
            yield self._messaged(f"wamid.TESTTEXT{self._name}{n}")
        if dice.random() < 0.3:
            yield self._replied(f"wamid.TESTPROFILE{self._name}", self._instant(), None, ITEMS)
        if dice.random() < 0.15:
            yield self._replied(f"TESTZEVENT{self._name}", self._instant(), None, ("zernio",))
        if dice.random() < 0.12:
            yield self._answered_a_guide_for_sip()
        if dice.random() < 0.12:
            yield self._refused(f"TESTREFUSED{self._name}")
        if dice.random() < 0.08:
            yield self._read()

    def _instant(self) -> int:
        return self._now - self._dice.randint(2 * HOUR_S, 20 * DAY_S)

    def _later(self, at: int, most_s: int) -> int:
        """Some time after `at`, and still in the past."""
        return min(at + self._dice.randint(1, most_s), self._now - 600)

    def _asked(self, request: str) -> Iterator[Happening]:
        dice, at = self._dice, self._instant()
        if dice.random() < 0.9:  # some requests nobody reports to us
            sent = RequestSent(
                fact_id=derived_id("request_sent", self._number, request),
                **self._pair,
                occurred_at=at,
                message_id=request,
                kind="free_form" if (free := dice.random() < 0.3) else "template",
                template=None if free else TEMPLATE,
                campaign=dice.choice(("camp-41", "camp-42", None)),
                origin=dice.choice(("broadcast", "conversation", None)),
                reservation_id=None,
            )
            yield Happening((sent,), REPORTS)
        words: tuple[MessageStatusName, ...] = dice.choice(
            (("sent",), ("sent", "failed"), ("sent", "delivered"), ("delivered", "read"))
        )
        for word in words:
            at = self._later(at, HOUR_S)
            yield self._became(request, word, at)
        for n in range(dice.choice((0, 1, 1, 2))):
            at = self._later(at, 3 * DAY_S)
            context = dice.choice((request, request, request, None, f"wacid.TESTCALL{self._name}0"))
            yield self._replied(f"wamid.TESTREPLY{request[-7:]}{n}", at, context, (*ITEMS, "infobip"))

    def delivered(self, message_id: str) -> Happening:
        """A message that reached the user and asked for nothing."""
        return self._became(message_id, "delivered", self._instant())

    def _became(self, message_id: str, word: MessageStatusName, at: int) -> Happening:
        told = MessageStatus(
            fact_id=derived_id("message_status", self._number, message_id, word),
            **self._pair,
            occurred_at=at,
            message_id=message_id,
            status=word,
            error_code=131026 if word == "failed" else None,
        )
        return Happening((told,), ITEMS if word == "sent" else (*ITEMS, "infobip"))

    def _replied(self, message_id: str, at: int, context: str | None, doors: tuple[Door, ...]) -> Happening:
        dice = self._dice
        response: Literal["accept", "reject"] = dice.choice(("accept", "accept", "reject"))
        permanent = response == "accept" and dice.random() < 0.2
        until = dice.choice((HOUR_S, DAY_S, WEEK_S, WEEK_S))
        source: Literal["user_action", "automatic"] = dice.choice(("user_action", "user_action", "automatic"))
        reply = PermissionReplied(
            fact_id=derived_id("permission_replied", self._number, message_id),
            **self._pair,
            occurred_at=at,
            message_id=message_id,
            response=response,
            is_permanent=permanent,
            expires_at=at + until if response == "accept" and not permanent else None,
            source=source,
            context_id=context,
        )
        # Infobip's model of a reply has no word for permanence.
        return Happening((reply,), tuple(door for door in doors if door != "infobip") if permanent else doors)

    def _answered_a_guide_for_sip(self) -> Happening:
        """Gupshup's guide for SIP shows neither an id nor an instant: a reply is what it says."""
        accepts = self._dice.random() < 0.7
        said: dict[str, Any] = {
            "response": "accept" if accepts else "reject",
            "is_permanent": False,
            "expires_at": self._now + self._dice.randint(DAY_S, WEEK_S) if accepts else None,
            "source": None,
            "context_id": None,
        }
        fact_id = derived_id("permission_replied", self._number, self._user, "None", canonical(said).decode())
        reply = PermissionReplied(fact_id=fact_id, **self._pair, occurred_at=AT_RECEIPT, message_id=None, **said)
        return Happening((reply,), ("gupshup-sip",))

    def _messaged(self, message_id: str) -> Happening:
        fact_id = derived_id("user_messaged", self._number, message_id)
        said = UserMessaged(fact_id=fact_id, **self._pair, occurred_at=self._instant(), message_id=message_id)
        return Happening((said,), (*ITEMS, "infobip"))

    def _called(self, call_id: str) -> Iterator[Happening]:
        dice, at = self._dice, self._instant()
        by_user = dice.random() < 0.2
        direction: Literal["user_initiated", "business_initiated"] = (
            "user_initiated" if by_user else "business_initiated"
        )
        about: dict[str, Any] = {**self._pair, "call_id": call_id}
        end: Literal["picked_up", "missed", "rejected"] = (
            "picked_up" if by_user else dice.choice(("picked_up", "missed", "missed", "rejected"))
        )
        nobody_says: dict[str, Any] = {"origin": None, "reservation_id": None, "direction": direction}
        offered = CallOffered(
            fact_id=derived_id("call_offered", self._number, call_id),
            **about,
            occurred_at=at,
            campaign=None if by_user else dice.choice(("camp-42", None)),
            **nobody_says,
        )
        yield Happening((offered,), (*ITEMS, "zernio") if by_user else ITEMS)
        if not by_user and dice.random() < 0.5:
            fact_id = derived_id("call_offered", self._number, call_id, "started")
            started = CallOffered(
                fact_id=fact_id, **about, occurred_at=at, campaign="camp-43", reported=True, **nobody_says
            )
            yield Happening((started,), REPORTS)
        if not by_user:
            fact_id = derived_id("call_ringing", self._number, call_id)
            yield Happening((CallRinging(fact_id=fact_id, **about, occurred_at=at + 2),), ITEMS)
        picked_up_at, ended_at = at + 9, at + 9 + dice.randint(5, 900)
        if end == "rejected":
            fact_id = derived_id("call_rejected", self._number, call_id)
            yield Happening((CallRejected(fact_id=fact_id, **about, occurred_at=ended_at),), ITEMS)
        connected: dict[str, Any] = {
            "fact_id": derived_id("call_connected", self._number, call_id),
            **about,
            "direction": direction,
        }
        if end == "picked_up" and not by_user:
            yield Happening((CallConnected(**connected, occurred_at=picked_up_at + 1, exact=False),), ITEMS)
        ended = CallEnded(
            fact_id=derived_id("call_ended", self._number, call_id),
            **about,
            occurred_at=ended_at,
            direction=direction,
            status="completed",
            started_at=picked_up_at if end == "picked_up" else None,
            ended_at=ended_at,
            duration_s=ended_at - picked_up_at if end == "picked_up" else None,
            error_code=None,
        )
        if end == "picked_up":
            exact = CallConnected(**connected, occurred_at=picked_up_at, exact=True)
            yield Happening((ended, exact), (*ITEMS, "zernio"))
            yield from self._noted(call_id, ended_at)
        else:
            yield Happening((ended,), ITEMS if end == "rejected" else (*ITEMS, "zernio"))

    def _noted(self, call_id: str, at: int) -> Iterator[Happening]:
        if self._dice.random() < 0.3:
            fact_id = derived_id("disposition_recorded", self._number, call_id, at, "sold")
            noted = DispositionRecorded(fact_id=fact_id, **self._pair, occurred_at=at, call_id=call_id, outcome="sold")
            yield Happening((noted,), ("actions",))

    def _refused(self, action_id: str) -> Happening:
        about: dict[str, Any] = {
            **self._pair,
            "occurred_at": self._instant(),
            "action_id": action_id,
            "details": DETAILS,
            "retry_at": None,
            "campaign": "camp-42",
            "origin": None,
            "reservation_id": None,
        }
        if self._dice.random() < 0.5:
            fact_id = derived_id("request_refused", self._number, action_id)
            code = self._dice.choice((138009, 138017))
            return Happening((RequestRefused(fact_id=fact_id, error_code=code, **about),), REPORTS)
        fact_id = derived_id("call_refused", self._number, action_id)
        code = self._dice.choice((138006, 138012))
        return Happening((CallRefused(fact_id=fact_id, error_code=code, **about),), REPORTS)

    def _read(self) -> Happening:
        at = self._instant()
        status: Literal["no_permission", "temporary", "permanent"] = self._dice.choice(
            ("no_permission", "temporary", "permanent")
        )
        told: dict[str, Any] = {
            "status": status,
            "expires_at": at + DAY_S if status == "temporary" else None,
            "can_request": status == "no_permission",
            "can_call": status != "no_permission",
            "requests_24h": {"usage": 0, "maximum": 1},
            "requests_7d": {"usage": 1, "maximum": 2},
            "connected_calls_24h": {"usage": 3, "maximum": 100},
        }
        digest = sha256(canonical(told)).hexdigest()
        told |= {name: Reading(**value) for name, value in told.items() if isinstance(value, dict)}
        fact_id = derived_id("reading_taken", self._number, self._user, at, digest)
        return Happening((ReadingTaken(fact_id=fact_id, **self._pair, occurred_at=at, **told),), REPORTS)
