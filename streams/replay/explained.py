"""`explain`, put together: the answer about one pair, its story, why, and what lies ahead.

Owns the structured form and the text made of it: every word of the text stands in the structure. A phone number
appears in it, because the person asked for that pair by name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.codec import Unreadable
from schemas.ids import Pair, pair_text
from schemas.policy import Policy
from streams.permission.standing import timeline
from streams.replay.judged import standing_line
from streams.replay.listeners import Witness
from streams.replay.outlook import ahead, why
from streams.replay.replay import NothingToJudgeAt, Park, replay
from streams.replay.rules import Rule
from streams.replay.scout import Scouted
from streams.replay.sentences import printable, span, utc
from streams.replay.sources import Line, Sources, Told
from streams.replay.story import entries

SHOWN_PARKED = 20
Piece = tuple[str, str]
"""A piece of a line of text, and its style; the empty style is plain."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One pair explained. `parked`: how many parts of the whole input could not be read."""

    told: dict[str, Any]
    parked: int


def explain(
    sources: Sources,
    pair: Pair,
    policy: Policy,
    park: Park,
    *,
    as_of: int | None = None,
    horizon_s: int | None = None,
    told: Told | None = None,
) -> Explained:
    """Replay the whole history and tell of one pair. Raises `NothingToJudgeAt` when nothing says when."""
    witnesses: list[Witness] = []
    letters: list[dict[str, Any]] = []

    def listen(scouted: Scouted) -> Witness:
        witnesses.append(Witness(scouted.canonical(pair)))
        return witnesses[0]

    def put_aside(line: Line, fault: Unreadable) -> None:
        park(line, fault)
        if len(letters) < SHOWN_PARKED:
            where = {"file": line.file, "line": line.number} if sources.several else {"line": line.number}
            letters.append({**where, "reason": fault.reason, "path": fault.path, "detail": fault.detail})

    done = replay(sources, policy, put_aside, as_of=as_of, horizon_s=horizon_s, asked=[pair], listen=listen, told=told)
    if done.at is None:
        raise NothingToJudgeAt
    state = done.state_of(pair)
    number = done.fold.numbers.of(pair.phone_number_id)
    line = timeline(state, done.at, policy, number)
    heard = witnesses[0].heard_of.values()
    counts = done.counts
    answer = standing_line(state, done.at, policy, number, pair.user if pair != state.pair else None)
    return Explained(
        {
            **answer,
            "other_names": list(state.aliases),
            "why": why(line, policy, number),
            "story": [entry.shown() for entry in entries(state, done.at, heard, policy, number)],
            "ahead": ahead(line, policy, number),
            "input": {
                "lines": counts.lines,
                "facts_of_this_pair": len(heard),
                "repeated": sum(one.times - 1 for one in heard),
                "late": state.late,
                "pushed_out": state.dropped,
                "left_out": counts.left_out,
                "parked": counts.parked,
                "why_parked": letters,
            },
        },
        counts.parked,
    )


def text_of(told: dict[str, Any]) -> Iterator[list[Piece]]:
    """The same for a person, line by line; names of others do nothing to a terminal."""
    for line in _lines_of(told):
        yield [(printable(text), style) for text, style in line]


def _lines_of(told: dict[str, Any]) -> Iterator[list[Piece]]:
    named = f", asked as {told['asked_as']}" if "asked_as" in told else ""
    yield [(pair_text(told["phone_number_id"], told["user"]), "bold"), (f"{named} at {utc(told['as_of'])}", "")]
    if told["other_names"]:
        yield [(f"also known as {', '.join(told['other_names'])}", "dim")]
    yield [(f"Standing: {told['standing']['label'].replace('_', ' ')}", _colour(told["standing"]["label"]))]
    yield from _titled("What happened", told["story"], _entry, "nothing that we know of")
    yield from _titled("Why", told["why"], _because, "")
    yield from _titled("What would change it", told["ahead"], _coming, "nothing by itself")
    yield from _about_input(told["input"])


def _titled(
    title: str, items: list[dict[str, Any]], lines: Callable[[dict[str, Any]], Iterator[list[Piece]]], empty: str
) -> Iterator[list[Piece]]:
    yield []
    yield [(title, "bold underline")]
    if not items:
        yield [(f"  {empty}", "dim")]
    for item in items:
        yield from lines(item)


def _entry(entry: dict[str, Any]) -> Iterator[list[Piece]]:
    times = f" ({entry['times']} times)" if entry["times"] > 1 else ""
    rule = _rule(entry["rule"]) if entry["then"] or entry["what"] in _RULED else []
    yield [(f"  {utc(entry['at'])}  ", "cyan"), (entry["text"] + times, ""), *rule]
    if entry["learned_late"]:
        late = f"learned {span(entry['learned_at'] - entry['at'])} later, at {utc(entry['learned_at'])}"
        yield [(f"{_INDENT}{late}", "yellow")]
    for then in entry["then"]:
        yield [(f"{_INDENT}→ {then}", "red" if then.startswith("no ") else "green")]
    for note in entry["notes"]:
        yield [(f"{_INDENT}{note}", "dim")]


_INDENT = " " * 27
_RULED = frozenset(
    {"permission_replied", "reading_taken", "business_settings_changed", "business_restricted"}
    | {"request_refused", "call_refused"}
)
"""Decided by a rule even where nothing came of it."""


def _because(said: dict[str, Any]) -> Iterator[list[Piece]]:
    yield [("  ", ""), (said["text"], "bold" if said["what"] == "permission" else ""), *_rule(said["rule"])]


def _coming(said: dict[str, Any]) -> Iterator[list[Piece]]:
    when = f"{utc(said['at'])} (in {said['in'].removeprefix('in ')})  " if said["at"] is not None else "at any time  "
    yield [("  ", ""), (when, "cyan"), (said["text"], ""), *_rule(said["rule"])]


def _rule(rule: dict[str, str] | None) -> list[Piece]:
    if rule is None:
        return []
    said = Rule(**rule)
    return [(f"  [{said.file}, domain {said.domain}]", "dim")]


def _about_input(about: dict[str, Any]) -> Iterator[list[Piece]]:
    yield []
    yield [(f"{about['lines']} lines read, {about['facts_of_this_pair']} facts of this pair", "dim")]
    for name, text in (
        ("repeated", "came more than once and count once"),
        ("late", "came later than the horizon and changed nothing"),
        ("pushed_out", "were pushed out by newer ones"),
        ("left_out", "of all pairs occurred after the instant asked and were left out"),
        ("parked", "parts of the input could not be judged and were parked; they may concern this pair"),
    ):
        if about[name]:
            yield [(f"{about[name]} {text}", "yellow")]
    for letter in about["why_parked"]:
        file = f"{letter['file']}, " if "file" in letter else ""
        yield [(f"  {file}line {letter['line']}: {letter['reason']} at {letter['path']}: {letter['detail']}", "dim")]
    if (more := about["parked"] - len(about["why_parked"])) > 0:
        yield [(f"  and {more} more; --dead-letters FILE tells them all", "dim")]


def _colour(label: str) -> str:
    return {"granted": "bold green", "pending": "bold yellow", "not_requested": "bold"}.get(label, "bold red")
