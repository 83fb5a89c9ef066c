"""Lists of marks that are read as late as possible.

Owns a mark's array in the JSON: its fields in their order, without the nulls at its end. Reading a list costs no more
than its JSON: a mark is made when somebody looks at it, and those nobody touched are written back as they came.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, overload

from schemas.marks import Call, Decision, Message, Refusal, Request

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
        if self._whole is not None or isinstance(place, slice):
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
        if self._made is not None and self.raw[self._made[0]][0] == name:
            return self._made[0], True
        low, high = 0, len(self.raw)
        while low < high:
            middle = (low + high) // 2
            if self.raw[middle][0] < name:
                low = middle + 1
            else:
                high = middle
        return low, low < len(self.raw) and self.raw[low][0] == name

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


def unopened(kind: type[Named], raw: list[list[Any]]) -> Marks[Named]:
    """The marks of the JSON, as they are; a `TypeError` where they cannot be of the kind."""
    least, most = _WIDTHS[kind]
    if raw.__class__ is not list:
        raise TypeError(kind.__name__)
    for each in raw:
        if each.__class__ is not list or not least <= len(each) <= most:
            raise TypeError(kind.__name__)
    return Marks(kind, raw)


def _shortened(mark: tuple[Any, ...]) -> Sequence[Any]:
    """The array without its empty end: most requests have no error, many no read. Frequent words are one letter."""
    last = len(mark)
    while mark[last - 1] is None:
        last -= 1
    raw = mark[:last]
    letters = _LETTERS.get(mark.__class__)
    return raw if letters is None else _reworded(raw, letters)


def _reworded(raw: Sequence[Any], words: Sequence[tuple[int, Mapping[Any, str]]]) -> list[Any]:
    """An array with the words of some places exchanged; others stay as they are."""
    mark = [*raw]
    width = len(mark)
    for place, instead in words:
        if place < width:
            mark[place] = instead.get(mark[place], mark[place])
    return mark


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
_TEMPLATE: Final = Request._fields.index("template")


def filled(kind: type[Mark], fields: Iterable[Any]) -> Mark:
    """The mark of all its fields, in order: its own constructor is a Python function, at five times the cost."""
    return tuple.__new__(kind, fields)


def _made(kind: type[Mark], raw: Sequence[Any]) -> Mark:
    """The mark of an array."""
    width, words = len(raw), _WORDS.get(kind)
    mark = [*raw] if words is None else _reworded(raw, words)
    if kind is Request and width > _TEMPLATE and mark[_TEMPLATE].__class__ is list:
        mark[_TEMPLATE] = tuple(mark[_TEMPLATE])
    mark += _ENDS[kind][width]
    return filled(kind, mark)
