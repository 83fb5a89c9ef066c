"""The doors of the business: what it reports about itself, with an API key.

Owns the order behind them: a key, then a body that is valid as a whole, then stored, acknowledged, answered. Refuses to
store a part of a request.
"""

from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from streams.gateway import answers
from streams.gateway.actions import Actions, Unacceptable, read_actions
from streams.gateway.admission import Admission
from streams.gateway.answers import Answer, Counted, Reason, Receive, Scope
from streams.gateway.body import NOT_DECLARED, OF_FAULT, BodyReader, packed
from streams.gateway.clock import now_ms
from streams.gateway.counters import ACTIONS
from streams.gateway.storing import RawTopic, Store

TITLES: Final = {400: "Bad Request", 415: "Unsupported Media Type", 422: "Unprocessable Content"}


class Read(Protocol):
    """Reads a body: its items, or every fault of it."""

    def __call__(self, body: bytes, content_type: str, *, now_at: int) -> Actions | Unacceptable: ...


class Report(NamedTuple):
    """A body that came in with a key."""

    slot: str
    body: bytes
    kind: str

    @property
    def delivery_id(self) -> str:
        return sha256(self.body).hexdigest()[:32]


class Reports:
    """What these doors have in common."""

    def __init__(self, admission: Admission, bodies: BodyReader, store: Store) -> None:
        self._admission = admission
        self._bodies = bodies
        self._store = store

    async def act(self, scope: Scope, receive: Receive) -> Answer | None:
        return await self._kept(scope, receive, read_actions, "actions.raw", "actions")

    async def _kept(self, scope: Scope, receive: Receive, read: Read, topic: RawTopic, provider: str) -> Answer | None:
        """All items of a report as `read` wants them are kept in `topic`, or none is."""
        report = await self._received(scope, receive)
        if not isinstance(report, Report):
            return report
        found = read(report.body, report.kind, now_at=now_ms() // 1000)
        if isinstance(found, Unacceptable):
            return unacceptable(found)
        refusal = await self._store.all(
            ACTIONS, topic, found.values, provider=provider, delivery_id=report.delivery_id, slot=report.slot
        )
        return refusal or answers.json(202, {"accepted": len(found.values)})

    async def _received(self, scope: Scope, receive: Receive) -> Report | Answer | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return answers.SEVERAL_KEYS if given else answers.NO_KEY
        slot = self._admission.keys.check(given[0])
        if slot is None:
            return answers.WRONG_KEY
        if packed(scope["headers"]):
            return answers.PACKED
        said = {name: value.decode("latin-1") for name, value in scope["headers"]}
        body = await self._bodies.read(receive, int(said.get(b"content-length", NOT_DECLARED)))
        if isinstance(body, str):
            return OF_FAULT[body]
        return Report(slot, body, said.get(b"content-type", ""))


def unacceptable(found: Unacceptable) -> Answer:
    """Every fault, by index and path."""
    reason: Reason = "kind" if found.status == 415 else "invalid"
    return answers.problem(
        Counted("refused", reason), found.status, TITLES[found.status], found.detail, faults=found.faults
    )
