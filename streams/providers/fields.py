"""The fields that every dialect shares: ids, instants, users, numbers, words (domain 4.3).

Owns tolerance: which forms are read. Refuses to guess: what is neither read nor known to be harmless is `Refused` with
the path to it, and no reason quotes a value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from schemas.codec import canonical
from schemas.events import EARLIEST_AT, LATEST_AT
from schemas.ids import PHONE_NUMBER_ID, WA_ID, user_of
from schemas.instants import read_instant, whole
from streams.providers.translation import Refused

MAX_ID: Final = 512
MAX_SECONDS: Final = 1 << 31
_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")


def mapping(value: Any, path: str) -> dict[str, Any]:
    """`value` as an object."""
    if not isinstance(value, dict):
        raise Refused("unreadable", path, "an object is expected here")
    return value


def items(holder: Mapping[str, Any], name: str, path: str) -> list[Any]:
    """The array under `name`; empty when absent or null."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused("unreadable", f"{path}.{name}", "an array is expected here")
    return value


def first_of(holder: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """The first of the names under which something stands, with it; else the first name and None."""
    for name in names:
        value = holder.get(name)
        if value is not None:
            return name, value
    return names[0], None


def identifier(value: Any, path: str) -> str | None:
    """An id of a message or call; None when absent. Ids are strings: a number would lose digits on its way."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_ID:
        raise Refused("unreadable_id", path, "an id is a string of at most 512 characters")
    if not value.isprintable():
        raise Refused("unreadable_id", path, "an id has no control characters or lone surrogates")
    return value


def number_id(value: Any, path: str) -> str | None:
    """A phone_number_id; None when absent."""
    text = identifier(value, path)
    if text is not None and not PHONE_NUMBER_ID.fullmatch(text):
        raise Refused("unreadable_number", path, "a phone_number_id has only digits")
    return text


def user_name(value: Any, path: str) -> str | None:
    """A user's name in its one form (domain 4.3 rule 6); None when absent."""
    text = identifier(value, path)
    if text is None:
        return None
    user = user_of(text)
    if user is None or user.startswith("0"):  # no country code begins with 0, and none is ever guessed
        raise Refused("unreadable_user", path, "neither digits with a country code nor a business-scoped id")
    return user


def instant(value: Any, path: str) -> int | None:
    """Epoch seconds of an instant; None when absent.

    Reads seconds and milliseconds as whole numbers or strings, and RFC 3339 with `Z`, `+00:00` or `+0000` (domain 4.3
    rule 2).
    """
    if value is None or value == "":
        return None
    try:
        at = read_instant(value)
    except ValueError:
        raise Refused("unreadable_time", path, "neither epoch seconds nor RFC 3339 with a zone") from None
    if at >= LATEST_AT and EARLIEST_AT <= at // 1000 < LATEST_AT:
        at //= 1000
    if not EARLIEST_AT <= at < LATEST_AT:
        raise Refused("time_out_of_range", path, "an instant lies between 2015 and 2100")
    return at


def instant_or_zero(value: Any, path: str) -> int | None:
    """`instant`, for fields where providers write 0 for *none*: an expiry, the start of a call never picked up."""
    return None if value in (0, "0") and value is not False else instant(value, path)


def seconds(value: Any, path: str) -> int | None:
    """A duration in whole seconds; None when absent."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:
        value = int(value)
    value = whole(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MAX_SECONDS:
        raise Refused("unreadable_duration", path, "a duration is a whole number of seconds")
    return value


def word(value: Any) -> str:
    """A word of a provider's closed list in upper case; empty when it can be none."""
    return value.upper() if isinstance(value, str) and _WORD.fullmatch(value) else ""


def text(value: Any) -> str | None:
    """A short text as it is; None when it is none, too long, or cannot be written as UTF-8."""
    if not isinstance(value, str) or not value or len(value) > MAX_ID:
        return None
    return value if value.isascii() or not any(0xD800 <= ord(one) <= 0xDFFF for one in value) else None


def error_code(errors: Any) -> int | None:
    """The code of the first error that has one; anything else stays in the raw log."""
    codes = map(_code, errors) if isinstance(errors, list) else ()
    return next((code for code in codes if code is not None), None)


def _code(error: Any) -> int | None:
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    code = whole(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < MAX_SECONDS else None


def display_digits(value: Any) -> str | None:
    """A business number's display form as digits, by which it is looked up; None when it is none."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    digits = value if value.isascii() and value.isdigit() else re.sub(r"[\s+().-]", "", value)
    return digits if WA_ID.fullmatch(digits) else None


def digest(value: Any) -> str:
    """What stands for a content in a derived id: the same for equal JSON, whatever order its keys came in."""
    try:
        written = canonical(value)
    except TypeError:  # nesting, integers and surrogates that orjson reads or is spared, and does not write
        try:
            written = json.dumps(value, sort_keys=True).encode()
        except RecursionError:
            raise Refused("unreadable", "$", "nested too deeply") from None
    return sha256(written).hexdigest()
