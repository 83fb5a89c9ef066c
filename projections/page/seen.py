"""What one page shows: the questions behind it, asked side by side.

Owns which questions the page asks. The choice of numbers and the days for which there is data come without the
filters, so that an empty answer can say where the data is.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from projections.questions import QUESTIONS, Asked, Found, ask
from projections.store import Store

_FUNNEL: Final = QUESTIONS["funnel"]
_REVOCATIONS: Final = QUESTIONS["revocations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers to what was asked for."""

    total: Found
    days: Found
    templates: Found
    revocations: Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything one page shows.

    `answers`: None when the filters could not be used, and then `fault` says why. `behind`: records not stored yet;
    None when that is not known, and then `behind_reason` says why. `as_of`: epoch seconds.
    """

    asked: Asked
    as_of: int
    numbers: Found
    every_day: Found
    answers: Answers | None
    fault: str | None
    behind: int | None
    behind_reason: str


async def look(store: Store, asked: Asked | str, behind: int | None, behind_reason: str) -> Seen:
    """Ask the store for a page. `asked`: the filters, or why they cannot be used."""
    numbers, every_day = await asyncio.gather(
        asyncio.to_thread(ask, store, _FUNNEL, Asked(by="number")),
        asyncio.to_thread(ask, store, _FUNNEL, Asked(by="day")),
    )
    answers = None
    if isinstance(asked, Asked):
        plain, day, template = (
            Asked(number=asked.number, since=asked.since, until=asked.until, by=by) for by in (None, "day", "template")
        )
        total, days, templates, revocations = await asyncio.gather(
            asyncio.to_thread(ask, store, _FUNNEL, plain),
            asyncio.to_thread(ask, store, _FUNNEL, day),
            asyncio.to_thread(ask, store, _FUNNEL, template),
            asyncio.to_thread(ask, store, _REVOCATIONS, plain),
        )
        answers = Answers(total=total, days=days, templates=templates, revocations=revocations)
    return Seen(
        asked=asked if isinstance(asked, Asked) else Asked(),
        as_of=numbers.as_of,
        numbers=numbers,
        every_day=every_day,
        answers=answers,
        fault=asked if isinstance(asked, str) else None,
        behind=behind,
        behind_reason=behind_reason,
    )
