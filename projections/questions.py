"""Named questions: what may be asked of the store, with typed parameters. Never free SQL.

Owns the list of questions and the checking of parameters. The SQL and the definition of each metric stand together in
`queries/<name>.sql`. A grouping is a word of a closed list here that names a column there; every other value travels
to the engine as a typed parameter.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from projections.store import Store
from schemas.ids import PHONE_NUMBER_ID

_FOLDER: Final = Path(__file__).parent / "queries"
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2148, 12, 31)  # what the store's Date holds


class BadParameter(ValueError):
    """A parameter that cannot be used. `parameter` names it, None when it is none of ours.

    Nothing of what was given is repeated, not even an unknown name: in `?447700900123=` it is a phone number.
    """

    def __init__(self, parameter: str | None, message: str) -> None:
        super().__init__(message if parameter is None else f"{parameter}: {message}")
        self.parameter = parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Checked parameters. Days are UTC and inclusive; None: no bound, all numbers, no grouping."""

    number: str | None = None
    since: date | None = None
    until: date | None = None
    by: str | None = None

    def as_words(self) -> dict[str, str | None]:
        """The parameters as they would be asked again."""
        return {
            "number": self.number,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question. `groupings`: what `by` may be, and the column it stands for."""

    name: str
    asks: str
    groupings: dict[str, str] = field(default_factory=dict)

    def sql(self, by: str | None) -> str:
        """The statement, grouped as asked."""
        text = (_FOLDER / f"{self.name}.sql").read_text()
        if by is None:
            return text
        return (
            text.replace("/*group*/", f"{by},")
            .replace("/*grouped*/", f"f.{self.groupings[by]} AS {by},")
            .replace("/*by*/", f"GROUP BY f.{self.groupings[by]}")
            .replace("/*order*/", f"ORDER BY {by}")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer to a question: plain values only (text, whole numbers, fractions, None). `as_of`: epoch seconds."""

    question: str
    asked: Asked
    as_of: int
    columns: tuple[str, ...]
    rows: list[dict[str, str | int | float | None]]


QUESTIONS: Final[dict[str, Question]] = {
    question.name: question
    for question in (
        Question(
            name="funnel",
            asks="How many call permission requests were sent, delivered, answered and approved?",
            groupings={"day": "day", "template": "template", "number": "phone_number_id"},
        ),
        Question(name="revocations", asks="Why did permissions end, and how many of them were taken back?"),
    )
}


def asked_of(question: Question, given: Iterable[tuple[str, str]]) -> Asked:
    """Check parameters as they came in a query string. Empty values count as not given. Raises `BadParameter`."""
    known = {"number", "since", "until", *(["by"] if question.groupings else [])}
    values: dict[str, str] = {}
    for name, value in given:
        if name not in known:
            raise BadParameter(None, f"unknown parameter; {question.name} takes {', '.join(sorted(known))}")
        if name in values:
            raise BadParameter(name, "given more than once")
        if value:
            values[name] = value
    number, by = values.get("number"), values.get("by")
    if number is not None and not PHONE_NUMBER_ID.fullmatch(number):
        raise BadParameter("number", "a phone_number_id is 3 to 32 digits")
    if by is not None and by not in question.groupings:
        raise BadParameter("by", f"must be one of {', '.join(question.groupings)}")
    since, until = _day("since", values.get("since")), _day("until", values.get("until"))
    if since and until and until < since:
        raise BadParameter("until", "lies before since")
    return Asked(number=number, since=since, until=until, by=by)


def ask(store: Store, question: Question, asked: Asked) -> Found:
    """Ask the store. Blocks; raises `Refused` when the store does not answer."""
    as_of = _clock(store)  # the engine's clock: by it the views judge what is open and what ran out
    parameters = {"number": asked.number or "", "since": asked.since or FIRST_DAY, "until": asked.until or LAST_DAY}
    table = store.ask(question.sql(asked.by), parameters)
    columns = table.columns
    if asked.by is not None and not columns:  # a grouped answer without rows comes back without its head
        columns = (asked.by, *store.ask(question.sql(None), parameters).columns)
    return Found(
        question=question.name,
        asked=asked,
        as_of=as_of,
        columns=columns,
        rows=[{name: _plain(value) for name, value in zip(columns, row, strict=True)} for row in table.rows],
    )


def _clock(store: Store) -> int:
    return int(store.ask("SELECT toUnixTimestamp(now())").rows[0][0])


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise BadParameter(name, "must be a day like 2026-03-02 (UTC, inclusive)")
    return day


def _plain(value: Any) -> str | int | float | None:
    match value:
        case None | str() | int() | float():
            return value
        case datetime():
            return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())
        case date():
            return value.isoformat()
        case other:
            return str(other)
