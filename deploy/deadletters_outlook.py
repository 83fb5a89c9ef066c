"""What today's code makes of a parked record, and what would be sent back to its origin. Pure: nothing is sent here.

Owns the decision whether a letter can be retried, by the topic it comes from:

- raw webhooks and actions are translated again. All readable: it goes back, with its headers and its receipt time.
  Some parts readable: it goes back only when that is asked for; the worker then parks what is left as a new letter.
- facts (`permission.events`, `business.events`) go back under their own key when they can be decoded and stand under
  the key of their pair. They are in that log already; but a fact that a rule or an unreadable row refused never reached
  the state, and the log is read only once. Sent twice it is the same fact, by its id.
- rows for analytics (`permission.records`) go back when they look like rows; whether the store takes them is the
  store's to say. Rows carry versions, so a late one does no harm.
- commands and ticks never go back. Whoever wished has long been told that nobody answered: to decide the wish today
  would be to invent it. A tick of the past says nothing.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from deploy.deadletters import Letter, registered
from projections.rows import DETAIL as ROW_DETAIL
from projections.rows import line
from schemas.codec import Unreadable, decode_fact
from schemas.envelope import RECEIVED_AT, RETRIED, Headers, header, received_at_of, rfc3339_ms
from schemas.events import Fact, PairFact
from schemas.ids import pair_text
from schemas.topics import MAX_RECORD_BYTES
from streams.providers.known import Known
from streams.providers.registry import translate

Verdict = Literal["readable", "partly", "unreadable", "never"]
FRAME_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What would become of a letter. `says` quotes no content."""

    verdict: Verdict
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A record on its way back to its origin. `keyed`: it belongs on the partition of its key."""

    topic: str
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)
    keyed: bool

    @property
    def too_large(self) -> bool:
        """Whether no broker would take it; our header may carry a record of the very largest size beyond."""
        size = len(self.key or b"") + len(self.value or b"") + sum(len(n) + len(t) + 8 for n, t in self.headers)
        return size + FRAME_BYTES > MAX_RECORD_BYTES


def outlook(letter: Letter, value: bytes | None, prefix: str, numbers: Known) -> Outlook:
    """What today's code makes of these bytes. `numbers`: as the worker knows them."""
    topic = registered(letter.origin.topic, prefix) if letter.origin else None
    if topic is None:
        return Outlook(verdict="never", says="its origin is no topic of this deployment")
    match topic.name:
        case "webhooks.raw" | "actions.raw":
            return _raw(letter, value, numbers)
        case "permission.events" | "business.events":
            return _fact(letter, value, of_pairs=topic.name == "permission.events")
        case "permission.records":
            row = line(0, 0, value)
            if isinstance(row, bytes):
                return Outlook(verdict="readable", says="a row; the store judges it")
            return Outlook(verdict="unreadable", says=f"{row} at $: {ROW_DETAIL[row]}")
        case _:
            return Outlook(verdict="never", says=f"{topic.name} says nothing any more: drop it")


def returned(letter: Letter, value: bytes | None, prefix: str) -> Return:
    """The record to send: as it came, with its receipt time, and the address of the letter it was."""
    assert letter.origin is not None  # noqa: S101 - narrows a type: `outlook` answered `never` otherwise
    topic = registered(letter.origin.topic, prefix)
    headers = [(name, text) for name, text in letter.arrived if name != RETRIED]
    raw = topic is not None and topic.spread == "free"
    if raw and header(headers, RECEIVED_AT) is None and letter.origin_at_ms is not None:
        headers.append((RECEIVED_AT, rfc3339_ms(letter.origin_at_ms).encode()))
    headers.append((RETRIED, str(letter.address).encode()))
    return Return(topic=letter.origin.topic, key=letter.key, value=value, headers=headers, keyed=not raw)


def _raw(letter: Letter, value: bytes | None, numbers: Known) -> Outlook:
    if value is None:
        return _unreadable([Unreadable(reason="no_value", path="$", detail="a raw record is never a tombstone")])
    received_at = received_at_of(header(letter.arrived, RECEIVED_AT) or "")
    if received_at is None:
        at_ms = letter.parked_at_ms if letter.origin_at_ms is None else letter.origin_at_ms
        received_at = at_ms // 1000
    done = translate(letter.provider or "", value, received_at, numbers)
    if not done.parked:
        return Outlook(verdict="readable", says=_facts(done.facts) or "nothing for us in it, and that is known now")
    if done.facts:
        return Outlook(verdict="partly", says=f"{_facts(done.facts)}; still {_faults(done.parked)}")
    return _unreadable(list(done.parked))


def _fact(letter: Letter, value: bytes | None, *, of_pairs: bool) -> Outlook:
    fact = decode_fact(value or b"")
    if isinstance(fact, Unreadable):
        return _unreadable([fact])
    if isinstance(fact, PairFact) != of_pairs:
        fault = Unreadable(reason="not_of_a_pair", path="$.type", detail="a fact of another log")
        return _unreadable([fault])
    if isinstance(fact, PairFact) and letter.key != pair_text(fact.phone_number_id, fact.user).encode():
        return _unreadable([Unreadable(reason="key_mismatch", path="$", detail="the key is not the pair of the fact")])
    return Outlook(verdict="readable", says=_facts((fact,)))


def _facts(facts: tuple[Fact, ...]) -> str:
    counts = Counter(fact.type for fact in facts)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _faults(parked: tuple[Unreadable, ...]) -> str:
    first = parked[0]
    more = f" and {len(parked) - 1} more" if len(parked) > 1 else ""
    return f"{first.reason} at {first.path}: {first.detail}{more}"


def _unreadable(parked: list[Unreadable]) -> Outlook:
    return Outlook(verdict="unreadable", says=_faults(tuple(parked)))
