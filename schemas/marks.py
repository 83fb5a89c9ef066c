"""Marks: the pieces of evidence a pair's state holds, and lists of them that are read as late as possible.

Owns what a mark of each kind keeps and its array in the JSON: its fields in their order, without the nulls at its end.
Reading a list costs no more than its JSON: a mark is made when somebody looks at it, and those nobody touched are
written back as they came.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, overload

MAX_UNMATCHED: Final = 64
"""Messages with statuses that match no known request: the newest are kept (design 4)."""
MAX_MESSAGES: Final = 32
"""Messages of the user: the newest are kept (design 4)."""


INFERRED: Final = 1
REVOKED: Final = 2

What = Literal[
    "temporary",
    "permanent",
    "reject",
    "read_none",
    "read_temporary",
    "read_permanent",
    "refused_138017",
    "refused_138006",
    "moved_away",
    "moved_here",
]


class Decision(NamedTuple):
    """A word on the permission: a reply, a reading, an error that tells of it, a change of the user's number.

    `id`: the message or action id, or `#` and the fact's id where there is none. `opens`: what a reading says may be
    done, 1 a request, 2 a call, 3 both; None for anything else. `hints`: 1, that what it says of the permission was
    inferred from a dialect that does not tell; 2, that the dialect's own word is *revoked*; 3 both; None neither.
    """

    id: str
    at: int
    recorded_at: int
    what: What
    expires_at: int | None = None
    source: str | None = None
    context_id: str | None = None
    opens: int | None = None
    hints: int | None = None

    @property
    def is_inferred(self) -> bool:
        """Whether what it says of the permission is an inference, to be confirmed."""
        return self.hints is not None and self.hints & INFERRED != 0

    @property
    def is_revocation(self) -> bool:
        """Whether the dialect says that a permission was held and taken back."""
        return self.hints is not None and self.hints & REVOKED != 0


class Request(NamedTuple):
    """A message of the business with what became of it; a known request once `sent_at` is known.

    Entries without `sent_at` hold statuses of messages that are, so far, no request of ours. `template` is name,
    language and category. `status_sent_at` is the provider's word, `sent_at` the action's.
    """

    message_id: str
    sent_at: int | None = None
    recorded_at: int | None = None
    kind: str | None = None
    template: tuple[str, str, str] | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    status_sent_at: int | None = None
    delivered_at: int | None = None
    read_at: int | None = None
    failed_at: int | None = None
    error_code: int | None = None


class Refusal(NamedTuple):
    """A request or call that the provider did not take.

    `id`: the door and the action's id, as `request:<id>` or `call:<id>`: a caller may use one id at both doors.
    """

    id: str
    at: int
    recorded_at: int
    door: Literal["request", "call"]
    error_code: int
    retry_at: int | None = None
    campaign: str | None = None
    origin: str | None = None

    @property
    def action_id(self) -> str:
        """The action's id as it was reported."""
        return self.id.partition(":")[2]


class Call(NamedTuple):
    """One call with what became of it. `started_at` is exact, `accepted_at` the report of the pick-up; `offered_at` is
    the provider's word, `reported_at` the business's.

    The JSON has a letter for the direction (`b`, `u`: who began it) and for the status (`c` completed, `f` failed, `x`
    cancelled).
    """

    call_id: str
    recorded_at: int
    direction: str | None = None
    offered_at: int | None = None
    ringing_at: int | None = None
    accepted_at: int | None = None
    started_at: int | None = None
    rejected_at: int | None = None
    terminated_at: int | None = None
    status: str | None = None
    ended_at: int | None = None
    duration_s: int | None = None
    error_code: int | None = None
    campaign: str | None = None
    origin: str | None = None
    reservation_id: str | None = None
    disposition: str | None = None
    disposed_at: int | None = None
    reported_at: int | None = None


class Message(NamedTuple):
    """A message of the user."""

    fact_id: str
    at: int


class Link(NamedTuple):
    """What names this business-scoped id the user `wa_id`; the earliest holds (design 7)."""

    at: int
    wa_id: str


Mark = TypeVar("Mark", bound=tuple[Any, ...])
Named = TypeVar("Named", bound=tuple[Any, ...])


class Marks(Sequence[Mark], Generic[Mark]):
    """Marks of one kind, as the JSON has them until somebody looks; equal to a tuple of the same marks.

    `raw`: an array a mark, without the nulls at its end. Never changed: `put` gives a new list.
    """

    __slots__ = ("_kind", "_made", "_whole", "raw")

    def __init__(
        self,
        kind: type[Mark],
        raw: Sequence[Sequence[Any]],
        whole: tuple[Mark, ...] | None = None,
        made: tuple[int, Mark] | None = None,
    ) -> None:
        self._kind = kind
        self.raw = raw
        self._whole = whole
        self._made = made  # the mark that was looked at last: a step asks for one again and again

    @property
    def whole(self) -> tuple[Mark, ...]:
        """All of them."""
        if self._whole is None:
            make: Callable[[Sequence[Any]], Mark] = _MAKE[self._kind]
            self._whole = tuple([make(each) for each in self.raw])
        return self._whole

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Mark]:
        return iter(self.whole)

    @overload
    def __getitem__(self, place: int) -> Mark: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Mark, ...]: ...

    def __getitem__(self, place: int | slice) -> Mark | tuple[Mark, ...]:
        if self._whole is not None or isinstance(place, slice):
            return self.whole[place]
        if self._made is not None and self._made[0] == place:
            return self._made[1]
        made: Mark = _MAKE[self._kind](self.raw[place])
        self._made = place, made
        return made

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Marks):
            return self.whole == other.whole
        return self.whole == other

    def __hash__(self) -> int:
        return hash(self.whole)

    def __repr__(self) -> str:
        return f"Marks({len(self.raw)})"

    def find(self, name: str) -> tuple[int, bool]:
        """Where the mark of this id stands, in a list ordered by id, or would stand; and whether it does."""
        if self._made is not None and self.raw[self._made[0]][0] == name:
            return self._made[0], True
        place = bisect_left(self.raw, name, key=_first)
        return place, place < len(self.raw) and self.raw[place][0] == name

    def put(self, place: int, mark: Mark, *, instead: bool) -> "Marks[Mark]":
        """With `mark` at `place`, instead of the one there or before it."""
        raw: list[Sequence[Any]] = [*self.raw]
        after, whole = place + instead, self._whole
        raw[place:after] = [_shortened(mark)]
        new = None if whole is None else (*whole[:place], mark, *whole[after:])
        return Marks(self._kind, raw, new, (place, mark))


def marks_of(kind: type[Mark], whole: Sequence[Mark]) -> Marks[Mark]:
    """These marks, in this order."""
    return whole if isinstance(whole, Marks) else Marks(kind, [_shortened(mark) for mark in whole], tuple(whole))


_WIDTHS: Final[dict[Any, tuple[int, int]]] = {
    Decision: (4, 9),
    Request: (1, 13),
    Refusal: (5, 8),
    Call: (2, 19),
    Message: (2, 2),
}
"""How many elements a stored mark of the kind has, at least and at most."""


def unopened(kind: type[Named], raw: Any) -> Marks[Named]:
    """The marks of the JSON, as they are; a `TypeError` where they cannot be of the kind."""
    least, most = _WIDTHS[kind]
    for width in map(len, raw):
        if not least <= width <= most:
            raise TypeError(kind.__name__)
    return Marks(kind, raw)


def _shortened(mark: tuple[Any, ...]) -> Sequence[Any]:
    """The array without its empty end: most requests have no error, many no read. A call's words are one letter."""
    last = len(mark)
    while mark[last - 1] is None:
        last -= 1
    return _reworded(mark[:last], _LETTERS) if mark.__class__ is Call else mark[:last]


def _reworded(raw: Sequence[Any], words: Mapping[Any, str]) -> list[Any]:
    """A call's array with its words exchanged."""
    mark = [*raw]
    for place in (_DIRECTION, _STATUS):
        if place < len(mark):
            mark[place] = words.get(mark[place], mark[place])
    return mark


_DIRECTION, _STATUS = Call._fields.index("direction"), Call._fields.index("status")
_LETTERS: Final[dict[Any, str]] = {
    "business_initiated": "b",
    "user_initiated": "u",
    "completed": "c",
    "failed": "f",
    "cancelled": "x",
}
_WORDS: Final[dict[Any, str]] = {letter: word for word, letter in _LETTERS.items()}


_NO_MORE: Final = (None,) * len(Request._fields)


def _request(raw: Sequence[Any]) -> Request:
    if len(raw) > 4 and raw[4].__class__ is list:
        return Request._make((*raw[:4], tuple(raw[4]), *raw[5:], *_NO_MORE[len(raw) :]))
    return Request(*raw)


_MAKE: Final[dict[Any, Any]] = {
    Decision: lambda raw: Decision(*raw),
    Request: _request,
    Refusal: lambda raw: Refusal(*raw),
    Call: lambda raw: Call(*_reworded(raw, _WORDS)),
    Message: lambda raw: Message(*raw),
}


def _first(raw: Sequence[Any]) -> Any:
    return raw[0]
