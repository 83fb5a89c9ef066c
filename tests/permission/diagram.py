"""The state diagram of a permission, measured: in each standing every word is said, and where it leads is drawn.

Owns the drawing between the marks in `streams/permission/README.md`. Refuses to know a rule: what is not observed is
not drawn. A word that leads from all standings of a group to one and the same is drawn once, from the group; one that
changes nothing is not drawn.

Run by `python -m tests.permission.diagram --write`; without `--write` it is printed.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from schemas.events import PairFact
from tests.permission.story import (
    DAY,
    HOUR,
    T0,
    Told,
    View,
    accepted,
    delivered,
    given,
    moved,
    reading,
    refused,
    rejected,
    replied,
    sent,
    unanswered,
)

README: Final = Path(__file__).parents[2] / "streams" / "permission" / "README.md"
BEGIN: Final = "<!-- drawn by `python -m tests.permission.diagram --write` -->\n"
END: Final = "<!-- end of the drawing -->\n"

SOON, LATER = T0 + 2 * DAY, T0 + 9 * DAY
ASKED: Final = (sent("r1", T0), delivered("r1", T0 + 5))
PERMANENT: Final = replied("a1", T0 + HOUR, to="r1", permanent=True)

# Each standing as it usually comes about, and the instant at which the word is said.
STANDINGS: Final[Mapping[str, tuple[tuple[PairFact, ...], int]]] = {
    "not_requested": ((), SOON),
    "pending": (ASKED, SOON),
    "denied": ((*ASKED, rejected("a1", T0 + HOUR, to="r1")), SOON),
    "no_answer": (ASKED, LATER),
    "expired": ((*ASKED, accepted("a1", T0 + HOUR, to="r1")), LATER),
    "auto_revoked": ((*ASKED, PERMANENT, *unanswered(*[T0 + DAY + place * HOUR for place in range(4)])), SOON),
    "temporary": ((*ASKED, accepted("a1", T0 + HOUR, to="r1")), SOON),
    "permanent": ((*ASKED, PERMANENT), SOON),
}
GROUPS: Final[Mapping[str, Sequence[str]]] = {"any_without": tuple(STANDINGS)[:6], "any_with": tuple(STANDINGS)[6:]}
SAID_OF_GROUPS: Final = {"any_without": "whoever has no permission", "any_with": "whoever has a permission"}
WORDS: Final[Mapping[str, Callable[[int], Sequence[PairFact]]]] = {
    "request sent": lambda at: [sent("r2", at)],
    "user accepts for a week": lambda at: [accepted("a2", at, to="r1")],
    "user accepts for ever": lambda at: [replied("a2", at, to="r1", permanent=True)],
    "user rejects a request": lambda at: [rejected("a2", at, to="r1")],
    "user revokes in the profile": lambda at: [rejected("a2", at)],
    "callback accept": lambda at: [replied("a2", at, to="wacid.TESTUIC0001", until=at + 7 * DAY, source="automatic")],
    "automatic reject": lambda at: [replied("a2", at, "reject", source="automatic")],
    "four unanswered calls": lambda at: unanswered(*[at - place for place in range(3, -1, -1)]),
    "reading of nothing": lambda at: [reading("no_permission", at)],
    "reading of a temporary one": lambda at: [reading("temporary", at, at + 7 * DAY)],
    "reading of a permanent one": lambda at: [reading("permanent", at)],
    "error 138006": lambda at: [refused("call", 138_006, at)],
    "error 138017": lambda at: [refused("request", 138_017, at)],
    "user changes number": lambda at: [moved("old", at)],
    "a week passes": lambda at: [],
}
WEEK_PASSES: Final = "a week passes"


def shown(view: View) -> str:
    """The standing of a view, as the drawing names it: the kind of a permission, else the label."""
    return view.status if view.label == "granted" else view.label


def start(name: str) -> tuple[Told, int]:
    """A pair in that standing."""
    facts, at = STANDINGS[name]
    return given(*facts), at


def led(name: str, word: str) -> str:
    """Where a word leads from a standing."""
    told, at = start(name)
    told = told.then(*WORDS[word](at))
    return shown(told.at(at + 8 * DAY if word == WEEK_PASSES else at))


def drawn() -> str:
    """The diagram."""
    lines = ["```mermaid", "stateDiagram-v2", *(f"    {name}: {said}" for name, said in SAID_OF_GROUPS.items())]
    edges: dict[tuple[str, str], list[str]] = {}
    for word in WORDS:
        for group, inside in GROUPS.items():
            for edge in _edges(word, group, inside):
                edges.setdefault(edge, []).append(word)
    order = [*GROUPS, *STANDINGS]
    lines.append("    [*] --> not_requested")
    for source, target in sorted(edges, key=lambda edge: (order.index(edge[0]), order.index(edge[1]))):
        lines.append(f"    {source} --> {target}: {', '.join(edges[source, target])}")
    return "\n".join([*lines, "```", ""])


def _edges(word: str, group: str, inside: Sequence[str]) -> list[tuple[str, str]]:
    """The edges of a word from a group: one, where all of them end in one standing."""
    ends = {name: led(name, word) for name in inside}
    if len(targets := set(ends.values())) == 1:
        return [(group, targets.pop())]
    return [(name, end) for name, end in ends.items() if end != name]


def placed(text: str) -> str:
    """The README with the diagram of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + drawn() + END + after


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        README.write_text(placed(README.read_text("utf-8")), "utf-8")
    else:
        print(drawn(), end="")
