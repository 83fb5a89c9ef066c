"""Old bytes stay readable: each step lifts the fields of one event type from a version to the next (design 3).

Owns the steps. A removed or re-meant field is a new version with a step here and an example file that is never deleted.
"""

from collections.abc import Callable
from typing import Any, Final

from schemas.events import FACT_VERSIONS

Fields = dict[str, Any]
Step = Callable[[Fields], Fields]

STEPS: Final[dict[tuple[str, int], Step]] = {}
"""`(type, version)` to the function that makes `version + 1` of it. Empty while every type is at its first version."""


def lift(kind: str, version: int, fields: Fields, steps: dict[tuple[str, int], Step] = STEPS) -> Fields:
    """The fields of `kind` as of today's version. A version newer than ours is passed on: additive changes are
    ignored.
    """
    for older in range(version, FACT_VERSIONS.get(kind, version)):
        fields = steps[kind, older](fields)
    return fields
