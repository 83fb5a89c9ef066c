"""A retry: look at each letter with today's code, send back what can be read now, mark it, tell what became of each.

Owns the order (`deadletters_desk`) and the words for what became. Refuses to send what is still unreadable: it stays a
letter. What was sent is judged by the worker like anything else; should it not read it after all, it parks it anew.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from deploy.deadletters import Ledger, Letter
from deploy.deadletters_desk import Desk, Gone
from deploy.deadletters_outlook import Return, outlook, returned
from schemas.codec import decode_fact
from schemas.events import NumberFact
from schemas.policy import Policy
from schemas.topics import TopicNames
from streams.countries import country_of
from streams.permission.directory import Directory
from streams.providers.known import NONE_KNOWN, Known

Fate = Literal["sent", "would_be_sent", "partly_readable", "still_unreadable", "never_sent", "too_large", "gone"]
AT_ONCE: Final = 500
AT_ONCE_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of one letter, or would."""

    letter: Letter
    fate: Fate
    says: str

    @property
    def stays(self) -> bool:
        """Whether the letter is as open as before."""
        return self.fate not in ("sent", "would_be_sent")


async def retry(
    desk: Desk,
    ledger: Ledger,
    letters: Sequence[Letter],
    names: TopicNames,
    policy: Policy,
    *,
    send: bool,
    partly: bool = False,
) -> AsyncIterator[Told]:
    """Look at each of the letters, one of each parked record; with `send`, send back what can be read.

    `partly`: also send what can be read only in part; the worker parks what is left as a new letter.
    """
    numbers = await known_numbers(desk, names, policy) if _any_unknown_number(letters) else NONE_KNOWN
    waiting: list[tuple[Told, Return]] = []
    async for letter, value in desk.bytes_of(_one_a_record(letters)):
        told, back = _looked_at(letter, value, names, numbers, partly=partly)
        if back is None or not send:
            yield told
            continue
        waiting.append((told, back))
        if len(waiting) >= AT_ONCE or sum(len(one.value or b"") for _, one in waiting) >= AT_ONCE_BYTES:
            for each in await _sent(desk, ledger, waiting):
                yield each
            waiting = []
    for each in await _sent(desk, ledger, waiting):
        yield each


async def known_numbers(desk: Desk, names: TopicNames, policy: Policy) -> Known:
    """The numbers of the policy file and of everything the log says of numbers."""
    numbers = Directory(policy, country_of)
    for value in await desk.facts_about_numbers(names.of("business.events")):
        fact = decode_fact(value)
        if isinstance(fact, NumberFact):
            numbers.take(fact)
    return Known.of(numbers)


def _any_unknown_number(letters: Collection[Letter]) -> bool:
    return any(letter.reason == "unknown_number" for letter in letters)


def _one_a_record(letters: Sequence[Letter]) -> list[Letter]:
    """A record that was parked for several reasons goes back once, under its first letter."""
    found: dict[object, Letter] = {}
    for letter in letters:
        found.setdefault(letter.address if letter.origin is None else letter.origin, letter)
    return list(found.values())


def _looked_at(
    letter: Letter, value: bytes | Gone | None, names: TopicNames, numbers: Known, *, partly: bool
) -> tuple[Told, Return | None]:
    if isinstance(value, Gone):
        return Told(letter=letter, fate="gone", says="retention has taken its bytes"), None
    found = outlook(letter, value, names.prefix, numbers)
    if found.verdict == "never":
        return Told(letter=letter, fate="never_sent", says=found.says), None
    if found.verdict == "unreadable":
        return Told(letter=letter, fate="still_unreadable", says=found.says), None
    if found.verdict == "partly" and not partly:
        return Told(letter=letter, fate="partly_readable", says=f"{found.says}; --partly sends it"), None
    back = returned(letter, value, names.prefix)
    if back.too_large:
        says = f"with our header no broker would take it; it still stands at {letter.origin}"
        return Told(letter=letter, fate="too_large", says=says), None
    return Told(letter=letter, fate="would_be_sent", says=found.says), back


async def _sent(desk: Desk, ledger: Ledger, waiting: Sequence[tuple[Told, Return]]) -> list[Told]:
    if not waiting:
        return []
    await desk.send_back([back for _, back in waiting])
    marked = {one.address for told, _ in waiting for one in ledger.of_record(told.letter)}
    await desk.mark(sorted(marked), "retried")
    return [Told(letter=told.letter, fate="sent", says=told.says) for told, _ in waiting]
