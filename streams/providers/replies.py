"""What the answer to a permission request says, whatever the dialect calls it (domain 1.5, 4.3 rules 1 to 4).

Owns the words for yes and no, the names of the expiry, and what is inferred where a dialect cannot say it: permanence,
here, and by name, so that the grant stays unconfirmed. Refuses to infer what depends on the pair: who answered
(`source` None) and the expiry of a temporary permission (`expires_at` None) are the core's to infer and to flag.
"""

from typing import Any, Final, NamedTuple

from schemas.events import ReplySource, Response
from streams.providers.fields import first_of, instant, instant_or_zero, mapping, word
from streams.providers.translation import Notes

_RESPONSES: Final[dict[str, Response]] = {
    "ACCEPT": "accept",
    "ACCEPTED": "accept",
    "APPROVE": "accept",
    "APPROVED": "accept",
    "GRANTED": "accept",
    "REJECT": "reject",
    "REJECTED": "reject",
    "DECLINED": "reject",
    "DENIED": "reject",
    "REVOKED": "reject",
}
_SOURCES: Final[dict[str, ReplySource]] = {"USER_ACTION": "user_action", "AUTOMATIC": "automatic"}
_EXPIRY: Final = ("expiration_timestamp", "expiration_time", "expirationTimestamp", "expirationTime")
_PERMANENT: Final = ("is_permanent", "isPermanent")
_SOURCE: Final = ("response_source", "responseSource")


class Reply(NamedTuple):
    """What was answered. `revoked`: the word says that a permission was held. `inferred`: fields nobody said."""

    response: Response
    is_permanent: bool
    expires_at: int | None
    source: ReplySource | None
    revoked: bool
    inferred: tuple[str, ...]


def read_reply(notes: Notes, said: Any, path: str, *, permanence: bool) -> Reply | None:
    """The reply in `said`; None when its word is neither yes nor no, which is counted.

    `permanence`: whether the dialect can say that a permission is permanent. Where it can, an accept without expiry is
    a temporary one whose expiry is not told. Where it cannot, it is a permanent one that nobody confirmed (A32).
    """
    said = mapping(said, path)
    response = _RESPONSES.get(word(said.get("response")))
    if response is None:
        notes.ignore_unknown("response_unknown", said.get("response"))
        return None
    permanent = response == "accept" and _is_permanent(notes, first_of(said, _PERMANENT)[1])
    expires_at: int | None = None
    inferred: tuple[str, ...] = ()
    if response == "accept" and not permanent:  # permanent with an expiry: permanent (design 15)
        name, expiry = first_of(said, _EXPIRY)
        # Zero is *none* to Meta. Where no expiry would mean a permanent permission, zero must not be read as one.
        expires_at = (instant_or_zero if permanence else instant)(expiry, f"{path}.{name}")
        if not permanence and expires_at is None and first_of(said, _PERMANENT)[1] is None:
            permanent, inferred = True, ("is_permanent",)
    source = first_of(said, _SOURCE)[1]
    if source is not None and word(source) not in _SOURCES:
        notes.ignore_unknown("source_unknown", source)
    return Reply(
        response=response,
        is_permanent=permanent,
        expires_at=expires_at,
        source=_SOURCES.get(word(source)),
        revoked=word(said.get("response")) == "REVOKED",
        inferred=inferred,
    )


def _is_permanent(notes: Notes, said: Any) -> bool:
    if isinstance(said, bool) or said is None:
        return bool(said)
    if word(said) not in {"TRUE", "FALSE"}:
        notes.ignore("permanence_unknown")
    return word(said) == "TRUE"
