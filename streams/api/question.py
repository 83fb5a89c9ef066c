"""A question as Meta's clients put it: one business number, one user, perhaps an instant; or the number alone.

Owns reading it from path and query, and the sentence for each fault. Refuses to repeat what it was given. Parameters
it does not know are ignored, as Graph does. A name may be written with `+`, spaces or dashes; it is never guessed.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from schemas.actions import instant
from schemas.ids import PHONE_NUMBER_ID, Pair, is_wa_id, user_of

MAX_QUERY_BYTES: Final = 4_096
_KNOWN: Final = ("user_wa_id", "recipient", "at")


@dataclass(frozen=True, slots=True)
class Question:
    """Which pair; `at`: epoch seconds, None for now."""

    pair: Pair
    at: int | None


class BadQuestion(Exception):
    """The sentence for the caller: which parameter, what is allowed."""


def read_question(phone_number_id: str, query: bytes) -> Question:
    """The question, or `BadQuestion` with the first fault."""
    _check_number(phone_number_id)
    given = _parameters(query)
    if ("user_wa_id" in given) == ("recipient" in given):
        raise BadQuestion(
            "give exactly one of user_wa_id (digits with the country code) and recipient (business-scoped id)"
        )
    name = "user_wa_id" if "user_wa_id" in given else "recipient"
    user = user_of(given[name])
    if user is None or (name == "user_wa_id" and not is_wa_id(user)):
        allowed = (
            "digits with the country code" if name == "user_wa_id" else "a business-scoped id, or a wa_id's digits"
        )
        raise BadQuestion(f"{name}: {allowed}")
    return Question(Pair(phone_number_id, user), _instant(given["at"]) if "at" in given else None)


def read_number_question(phone_number_id: str, query: bytes) -> int | None:
    """The instant of a question about a number, None for now; or `BadQuestion` with the first fault."""
    _check_number(phone_number_id)
    given = _parameters(query)
    return _instant(given["at"]) if "at" in given else None


def _check_number(phone_number_id: str) -> None:
    if not PHONE_NUMBER_ID.fullmatch(phone_number_id):
        raise BadQuestion("phone_number_id: digits only, the id of the business number and not its display number")


def _parameters(query: bytes) -> dict[str, str]:
    if len(query) > MAX_QUERY_BYTES:
        raise BadQuestion(f"the query is longer than {MAX_QUERY_BYTES} bytes")
    given: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in _KNOWN:
            continue
        if name in given:
            raise BadQuestion(f"{name}: given twice")
        given[name] = value
    return given


def _instant(text: str) -> int:
    try:
        return instant(text)
    except (ValueError, OverflowError):
        raise BadQuestion(
            "at: epoch seconds, or RFC 3339 with a zone (in a URL write + as %2B), between 2015 and 2100"
        ) from None
