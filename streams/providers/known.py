"""The business numbers that a translation may take a payload to be about (domain 4.3 rule 5).

Owns what *known* means here, and the words for what is not. Refuses to find out: whoever calls a translation hands it
in, from the policy file and from what was registered and shown.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

NOT_KNOWN: Final = (
    "no phone_number_id, and neither a display number nor an entry id that is known; make it known by POST /v1/actions "
    "(business_registered) or under `numbers` in the policy file (CALLGRANT_POLICY_FILE)"
)

CONTESTED: Final = (
    "the display number is known under several phone_number_ids; say whose it is by a POST /v1/actions "
    "(business_registered) that is newer than every other one, or under `numbers` in the policy file "
    "(CALLGRANT_POLICY_FILE)"
)


class KnowsNumbers(Protocol):
    """Who keeps what is known of business numbers."""

    def by_display(self) -> Mapping[str, str]:
        """The id of each display number that has one."""

    def contested(self) -> AbstractSet[str]:
        """Each display number that has several ids, while nobody said whose it is."""

    def ids(self) -> AbstractSet[str]:
        """Every id that is known."""


@dataclass(frozen=True, slots=True)
class Known:
    """Known numbers. `by_display`: phone_number_id by the digits of its display form. `ids`: every known
    phone_number_id, whether or not its display form is known; those of `by_display` are among them. `contested`:
    display numbers with several ids, of which none was chosen.
    """

    by_display: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ids: AbstractSet[str] = frozenset()
    contested: AbstractSet[str] = frozenset()

    @classmethod
    def of(cls, numbers: KnowsNumbers) -> "Known":
        """All that is known just now."""
        return cls(numbers.by_display(), numbers.ids(), numbers.contested())

    def why_unknown(self, displays: Iterable[str | None]) -> str:
        """Why none of these display numbers names a number, and what to do."""
        return NOT_KNOWN if self.contested.isdisjoint(displays) else CONTESTED

    @property
    def only(self) -> str | None:
        """The only number that is known, by however many forms; None when there are several, or none."""
        return next(iter(self.ids)) if len(self.ids) == 1 else None


NONE_KNOWN: Final = Known()
