"""Lists of marks that are read as late as possible.

Owns a mark's array in the JSON: its fields in their order, without the nulls at its end. A list stays text until
somebody looks into it, and a mark an array until somebody looks at it; what nobody touched is written back as it came.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar, overload

import orjson

from schemas.marks import Call, Decision, Message, Refusal, Request

Mark = TypeVar("Mark", bound=tuple[Any, ...])
Named = TypeVar("Named", bound=tuple[Any, ...])


_LOADS: Final = orjson.loads  # in the compiled core a constant is looked up nowhere, a name of orjson twice a call
_DUMPS: Final = orjson.dumps
_NO_LIST: Final = "a list of marks that is not of this program's form"


class StateUnreadable(Exception):
    """A stored state row is not one of ours: a damaged store or a foreign writer. Names no content."""


class Marks(Sequence[Mark], Generic[Mark]):
    """Marks of one kind, as the JSON has them until somebody looks; equal to a tuple of the same marks.

    Of `raw` and `text` one is given. Never changed: `put` gives a new list. Whoever looks first at a text that is no
    list of such marks is told by `StateUnreadable`.
    """

    __slots__ = ("_kind", "_made", "_raw", "_text", "_whole")

    def __init__(
        self,
        kind: type[Mark],
        raw: Sequence[Sequence[Any]] | None,
        whole: tuple[Mark, ...] | None = None,
        made: tuple[int, Mark] | None = None,
        text: bytes | None = None,
    ) -> None:
        self._kind = kind
        self._raw = raw
        self._text = text
        self._whole = whole
        self._made = made  # the mark that was looked at last: a step asks for one again and again

    @property
    def raw(self) -> Sequence[Sequence[Any]]:
        """An array a mark, without the nulls at its end."""
        raw = self._raw
        if raw is None:
            try:
                raw = self._raw = _checked(self._kind, _LOADS(self._text or b""))
            except (orjson.JSONDecodeError, TypeError) as fault:
                raise StateUnreadable(_NO_LIST) from fault
        return raw

    @property
    def text(self) -> bytes:
        """The JSON of the list."""
        return _DUMPS(self._raw) if self._text is None else self._text

    @property
    def is_opened(self) -> bool:
        """Whether the arrays are there."""
        return self._raw is not None

    def may_name(self, name: str) -> bool:
        """Whether `name` may stand in one of the marks. Cautious, and does not open the list: where something is
        escaped there are several forms of a name.
        """
        text = self._text  # not `in`: CPython raises and catches a TypeError before it looks for bytes in bytes
        return text is None or text.find(name.encode()) >= 0 or text.find(b"\\") >= 0

    def __bool__(self) -> bool:
        return self._raw is None or len(self._raw) > 0  # no text is kept of an empty list

    @property
    def whole(self) -> tuple[Mark, ...]:
        """All of them."""
        if self._whole is None:
            kind = self._kind
            self._whole = tuple([_made(kind, each) for each in self.raw])
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
        if self._whole is not None or not isinstance(place, int):
            return self.whole[place]
        if place < 0:
            place += len(self.raw)
        if self._made is not None and self._made[0] == place:
            return self._made[1]
        made = _made(self._kind, self.raw[place])
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
        raw = self.raw
        if self._made is not None and raw[self._made[0]][0] == name:
            return self._made[0], True
        low, high = 0, len(raw)
        while low < high:
            middle = (low + high) // 2
            if raw[middle][0] < name:
                low = middle + 1
            else:
                high = middle
        return low, low < len(raw) and raw[low][0] == name

    def put(self, place: int, mark: Mark, *, instead: bool) -> "Marks[Mark]":
        """With `mark` at `place`, instead of the one there or before it."""
        raw: list[Sequence[Any]] = [*self.raw]
        after, whole = place + instead, self._whole
        raw[place:after] = [_shortened(mark)]
        new = None if whole is None else (*whole[:place], mark, *whole[after:])
        return Marks(self._kind, raw, new, (place, mark))


def arrays_of(marks: Sequence[tuple[Any, ...]]) -> Sequence[Sequence[Any]]:
    """The arrays of some marks, to look at a few fields (`field_of`) without making the marks."""
    return marks.raw if isinstance(marks, Marks) else marks


def field_of(array: Sequence[Any], place: int) -> Any:
    """One field of a mark's array. A word that is stored as a letter may be either."""
    return array[place] if place < len(array) else None


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


def unopened(kind: type[Named], raw: list[list[Any]]) -> Marks[Named]:
    """The marks of the JSON, as they are; a `TypeError` where they cannot be of the kind."""
    return Marks(kind, _checked(kind, raw))


def _checked(kind: Any, raw: Any) -> list[list[Any]]:
    least, most = _WIDTHS[kind]
    if type(raw) is not list:
        raise TypeError(kind.__name__)
    for each in raw:
        if type(each) is not list or not least <= len(each) <= most:
            raise TypeError(kind.__name__)
    arrays: list[list[Any]] = raw
    return arrays


def _shortened(mark: tuple[Any, ...]) -> Sequence[Any]:
    """The array without its empty end: most requests have no error, many no read. Frequent words are one letter."""
    last = len(mark)
    while mark[last - 1] is None:
        last -= 1
    raw = mark[:last]
    letters = _LETTERS.get(type(mark))
    if letters is None:
        return raw
    array = [*raw]
    _reword(array, letters)
    return array


def _reword(array: list[Any], words: list[tuple[int, dict[Any, str]]]) -> None:
    """Exchange the words of some places; others stay as they are."""
    width = len(array)
    for place, instead in words:
        if place < width:
            word = array[place]
            if word is not None:
                array[place] = instead.get(word, word)


_LETTERS: Final[dict[Any, list[tuple[int, dict[Any, str]]]]] = {
    Decision: [(Decision._fields.index("source"), {"user_action": "u", "automatic": "a"})],
    Request: [(Request._fields.index("kind"), {"template": "t", "free_form": "f"})],
    Call: [
        (Call._fields.index("direction"), {"business_initiated": "b", "user_initiated": "u"}),
        (Call._fields.index("status"), {"completed": "c", "failed": "f", "cancelled": "x"}),
    ],
}
"""By kind of mark and place in its array: the word and its letter."""
_WORDS: Final[dict[Any, list[tuple[int, dict[Any, str]]]]] = {
    kind: [(place, {letter: word for word, letter in letters.items()}) for place, letters in places]
    for kind, places in _LETTERS.items()
}
_ENDS: Final[dict[Any, list[list[None]]]] = {
    kind: [[None] * (most - width) for width in range(most + 1)] for kind, (_, most) in _WIDTHS.items()
}
"""By kind and width of an array: the empty end that it was stored without."""
_MAKING: Final[dict[Any, tuple[list[list[None]], list[tuple[int, dict[Any, str]]], bool]]] = {
    kind: (ends, _WORDS.get(kind, []), kind is Request) for kind, ends in _ENDS.items()
}
_NEW: Final[Any] = tuple.__new__
_TEMPLATE: Final = Request._fields.index("template")


def either_form(kind: Any, place: int, word: str) -> tuple[str, str]:
    """The two forms in which a word may stand at a place of an array: whole, or as its letter."""
    return word, dict(_LETTERS[kind])[place][word]


def filled(kind: type[Mark], fields: Iterable[Any]) -> Mark:
    """The mark, or another named tuple, of all its fields in order: its own constructor is a Python function, at five
    times the cost. Nobody counts the fields.
    """
    mark: Mark = _NEW(kind, fields)
    return mark


def _made(kind: type[Mark], raw: Sequence[Any]) -> Mark:
    """The mark of an array."""
    ends, words, has_template = _MAKING[kind]
    fields = [*raw, *ends[len(raw)]]
    if words:
        try:
            _reword(fields, words)
        except TypeError as fault:  # an array or an object where a word should stand
            raise StateUnreadable(_NO_LIST) from fault
    if has_template and type(fields[_TEMPLATE]) is list:
        fields[_TEMPLATE] = tuple(fields[_TEMPLATE])
    return filled(kind, fields)
