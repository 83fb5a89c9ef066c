"""The analysts' rows in ClickHouse, one sum a pair and table, made by the store itself.

Owns the statements that make of stored rows the digests that `streams.replay.verify_rows` makes of told ones, and the
way to the store: a server by its address; the embedded one only while no projection holds it. Refuses to read rows out:
what comes back is bounded by pairs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx

from deploy.config import Config, projection_settings
from deploy.verify_report import Findings
from schemas.ids import Pair
from streams.replay.verify_rows import NO_RESPONSE, RAN_OUT, TABLES, Kind, Rows, Sum, Sums, TableName, differing

if TYPE_CHECKING:
    from projections.store import Store

_TEXT_OF: Final[Mapping[Kind, str]] = {
    "text": "toString({})",
    "whole": "toString(toUInt64({}))",
    "flag": "toString(toUInt64({}))",
    "instant": "toString(toUnixTimestamp({}))",
    "texts": "arrayStringConcat({}, ',')",
}
ASKED_AT_ONCE: Final = 1_000


class Place(NamedTuple):
    """Where a row lies: the key by which the store replaces rows. `day`: since 1970."""

    number: str
    table: TableName
    id: str
    day: int


class NotLookedAt(Exception):
    """Why the store was not compared, and what to do about it."""


@contextmanager
def opened(config: Config) -> Iterator["Store"]:
    """The store of this generation. Raises `NotLookedAt`."""
    from projections.faults import ProjectionFault
    from projections.store import Refused, open_embedded, open_server

    settings = projection_settings(config)
    try:
        if settings.clickhouse_url:
            store = open_server(settings.clickhouse_url, settings.database, readers=1)
        elif _projection_runs(url := config.url(config.names.analytics_port)):
            raise NotLookedAt(
                f"the projection at {url} holds the embedded store: stop it to have its rows compared, or keep them on "
                f"a server (CALLGRANT_CLICKHOUSE_URL); what it reads was compared on permission.records"
            )
        elif not settings.store_folder.exists():
            raise NotLookedAt(
                f"no projection runs at {url} and there is no store in {settings.store_folder}: set "
                f"CALLGRANT_CLICKHOUSE_URL, CALLGRANT_ANALYTICS_PORT or CALLGRANT_DATA_DIR to where one is"
            )
        else:
            store = open_embedded(settings.store_folder, settings.database, readers=1)
        try:
            yield store
        finally:
            store.close()
    except (ProjectionFault, Refused) as fault:
        raise NotLookedAt(f"the store cannot be asked: {fault}") from fault


def compare(config: Config, sums: Mapping[bytes, Sums], other_names: Mapping[bytes, Rows], into: Findings) -> None:
    """Compare the store with what the log leads to. Raises `NotLookedAt`.

    `other_names`: the rows of pairs that name their user by no wa_id.
    """
    with opened(config) as store:
        stored = sums_of(store)
        held = _held(store, other_names.values())
    for key in sums.keys() | stored.keys():
        ours, theirs = sums.get(key, {}), stored.get(key, {})
        into.compared["rows"] += sum(one.rows for one in theirs.values())
        if key in other_names:
            ours = left_of(key, other_names[key], held)
        for table in differing(ours, theirs):
            counts = theirs.get(table, Sum()).rows, ours.get(table, Sum()).rows
            into.differs("rows.differs", key, f"{table}: {counts[0]} rows, {counts[1]} by the log")


def sums_of(store: "Store") -> dict[bytes, Sums]:
    """By pair what the store holds of it."""
    found: dict[bytes, Sums] = {}
    for table in TABLES:
        for number, user, rows, digests in store.ask(_statement(table)).rows:
            found.setdefault(Pair(number, user).key, {})[table] = Sum(int(rows), int(digests))
    return found


def holders(store: "Store", table: TableName, ids: Sequence[str]) -> Iterator[tuple[Place, str]]:
    """By place of these rows the user they are kept of. A row has no user in its key: of the rows of an id on a day the
    store keeps the newest, and one told under a wa_id is newer than any under another name, also once it was taken
    back."""
    form = TABLES[table]
    statement = (
        f"SELECT phone_number_id, toUInt32(day), toString({form.id}) AS name, argMax(user, version) FROM {table} "  # noqa: S608 - names of ours
        f"WHERE toString({form.id}) IN {{ids:Array(String)}} GROUP BY phone_number_id, day, name"
    )
    for first in range(0, len(ids), ASKED_AT_ONCE):
        for number, day, name, user in store.ask(statement, {"ids": list(ids[first : first + ASKED_AT_ONCE])}).rows:
            yield Place(str(number), table, str(name), int(day)), str(user)


def _held(store: "Store", all_rows: Iterable[Rows]) -> dict[Place, str]:
    ids: dict[TableName, set[str]] = {}
    for rows in all_rows:
        for table, name in rows.digests:
            ids.setdefault(table, set()).add(name)
    return {place: user for table, names in ids.items() for place, user in holders(store, table, sorted(names))}


def left_of(key: bytes, rows: Rows, held: Mapping[Place, str]) -> Sums:
    """What a store keeps of a pair's rows: those that no other user's row took the place of on each of their days."""
    number, _, user = key.decode().partition("/")
    left: Sums = {}
    for (table, name), digest in rows.digests.items():
        if any(held.get(Place(number, table, name, day), user) == user for day in rows.days[table, name]):
            left[table] = left.get(table, Sum()) + Sum(1, digest)
    return left


def _statement(table: TableName) -> str:
    """A fact that was told again with an earlier instant may lie under two days: it is one fact."""
    form = TABLES[table]
    texts = [f"toString({form.id})", *(_text(table, name, kind) for name, kind in form.fields)]
    joined = ", '\\x1f', ".join(texts)
    return (
        "SELECT phone_number_id, user, count(), sum(digest) FROM "  # noqa: S608 - names of ours
        f"(SELECT DISTINCT phone_number_id, user, toString({form.id}) AS name, halfMD5(concat({joined})) AS digest "
        f"FROM {table} FINAL) GROUP BY phone_number_id, user"
    )


def _text(table: TableName, name: str, kind: Kind) -> str:
    text = _TEXT_OF[kind].format(name)
    if table == "requests" and name == "final_class":
        return f"if({name} = '{NO_RESPONSE}', 'open', {text})"
    if table == "grants" and name in ("ended_at", "end_cause"):
        return f"if(end_cause = '{RAN_OUT}', '{'0' if kind == 'instant' else ''}', {text})"
    return text


def _projection_runs(url: str) -> bool:
    try:
        httpx.get(f"{url}/livez", timeout=5.0, trust_env=False)
    except httpx.ConnectError:
        return False
    except httpx.HTTPError:
        return True
    return True
