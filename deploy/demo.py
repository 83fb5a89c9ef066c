"""`callgrant demo`: a simulated week through the whole house, and what we say of it beside the simulator's own ledger.

Owns the comparison and its order: post everything, wait until every reader has read to the end (offsets, not time),
ask, compare. Refuses to touch what `up` keeps: a demo lives in `DATA_DIR/demo`, which it empties first, with the
embedded store and, on a cluster that was named, with a topic prefix of its own.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from deploy.asking import ask, authorization
from deploy.config import Config
from deploy.progress import stages, until_caught_up
from deploy.simulated import week
from deploy.trouble import Trouble

if TYPE_CHECKING:
    from streams.simulator import Ledger, Permission

COMPARED_ANSWERS: Final = 250
AT_ONCE: Final = 16
ANSWERED_WITHIN_S: Final = 30.0
ASK_AGAIN_AFTER_S: Final = 0.2


class NotEverythingSent(Trouble):
    """The gateway did not take all of the week, so there is nothing fair to compare."""


@dataclass(frozen=True, slots=True)
class Line:
    """One number, twice."""

    what: str
    ours: int | None
    ledger: int

    @property
    def agrees(self) -> bool:
        return self.ours == self.ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the product says beside what the simulator caused."""

    funnel: Sequence[Line]
    revocations: Sequence[Line]
    answers: Line
    """How many pairs were asked about, and how many of the answers were as the ledger expects."""
    example: tuple[str, str]
    """A pair (phone_number_id, user) to try by hand."""
    sent: str

    @property
    def agrees(self) -> bool:
        return all(line.agrees for line in (*self.funnel, *self.revocations, self.answers))


def settings_of(config: Config) -> Config:
    """The demo's settings: its own folder and embedded store, and topics of its own on a cluster that was named."""
    own = {"data_dir": str(config.data_dir / "demo"), "clickhouse_url": "", "generation": "1"}
    if config.names.kafka_bootstrap:
        own["topic_prefix"] = f"{config.names.topic_prefix}demo-{secrets.token_hex(4)}."
    return config.changed("the demo", **own)


def emptied(folder: Path) -> None:
    """Remove what an earlier demo left. The caller holds the data folder, so no demo runs there now."""
    if folder.exists():
        shutil.rmtree(folder)


async def compare(config: Config, *, seed: int, pairs: int, end_at: int, tell: Callable[[str], None]) -> Comparison:
    """Post the week, wait, ask, compare. The processes of `config` must be running and their topics empty."""
    from streams.simulator import NotAccepted, run

    try:
        report = await run(
            week(end_at, seed=seed, pairs=pairs, config=config),
            lambda told: tell(f"posting the week: {told.acked} of {told.total} acknowledged"),
        )
    except NotAccepted as fault:
        raise Trouble(str(fault)) from fault
    if not report.complete:
        raise NotEverythingSent(report.summary())
    await until_caught_up(
        config.bootstrap,
        stages(config.topics),
        within_s=120.0 + 0.05 * pairs,
        tell=lambda unread: tell(_waiting(unread)),
    )
    tell("asking")
    funnel = await asyncio.to_thread(ask, config, "funnel", {})
    revocations = await asyncio.to_thread(ask, config, "revocations", {})
    held = sorted(report.ledger.permissions(), key=lambda one: one[0])
    asked = held[:: max(1, len(held) // COMPARED_ANSWERS)][:COMPARED_ANSWERS]
    right = await _right_answers(config, asked)
    return Comparison(
        funnel=funnel_lines(funnel["rows"], report.ledger),
        revocations=revocation_lines(revocations["rows"], report.ledger),
        answers=Line("answers of the api as expected", right, len(asked)),
        example=next((key for key, permission in asked if permission.status == "temporary"), asked[0][0]),
        sent=report.summary(),
    )


def funnel_lines(rows: Sequence[Mapping[str, Any]], ledger: "Ledger") -> list[Line]:
    """The ledger's words beside ours, in the ledger's order. No row at all counts as nothing, not as zero."""
    ours = rows[0] if rows else {}
    return [Line(what, ours.get(what), count) for what, count in ledger.funnel().items()]


def revocation_lines(rows: Sequence[Mapping[str, Any]], ledger: "Ledger") -> list[Line]:
    """Every cause that either side knows: one that only we count must be 0."""
    ours = {row["cause"]: row["ended"] for row in rows}
    theirs = ledger.revocations()
    return [
        *(Line(cause, ours.get(cause), count) for cause, count in theirs.items()),
        *(Line(cause, count, 0) for cause, count in ours.items() if cause not in theirs and count),
    ]


async def _right_answers(config: Config, asked: Sequence[tuple[tuple[str, str], "Permission"]]) -> int:
    """How many pairs the api answers as expected, asked again while its replica may still be reading."""
    gate = asyncio.Semaphore(AT_ONCE)
    url = config.url(config.names.api_port)
    async with httpx.AsyncClient(base_url=url, headers=authorization(config), timeout=10.0, trust_env=False) as client:

        async def right(key: tuple[str, str], expected: "Permission") -> bool:
            try:
                async with gate, asyncio.timeout(ANSWERED_WITHIN_S):
                    while True:
                        if await _answers_as(client, key, expected):
                            return True
                        await asyncio.sleep(ASK_AGAIN_AFTER_S)
            except TimeoutError:
                return False

        return sum(await asyncio.gather(*(right(key, expected) for key, expected in asked)))


async def _answers_as(client: httpx.AsyncClient, key: tuple[str, str], expected: "Permission") -> bool:
    try:
        answer = await client.get(f"/{key[0]}/call_permissions", params={"user_wa_id": key[1]})
    except httpx.HTTPError:
        return False
    if answer.status_code != httpx.codes.OK:
        return False
    said = answer.json()["permission"]
    until = expected.expires_at if expected.status == "temporary" else None
    return bool(said["status"] == expected.status and said.get("expiration_time") == until)


def _waiting(unread: Mapping[str, int]) -> str:
    left = ", ".join(f"{count} of {topic}" for topic, count in unread.items() if count)
    return f"waiting until everything is read: {left or 'nothing'} unread"
