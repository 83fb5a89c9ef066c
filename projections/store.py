"""The store: ClickHouse embedded in this process or a server by URL; the same code from `connect` on.

Owns opening, inserting, asking and closing. Everything here blocks: callers in an event loop go through
`asyncio.to_thread` (the engine releases the GIL). Refuses to know what a row means.

Decisions:
- Every setting an insert relies on is sent with it: defaults have moved between releases.
- A caller that was cancelled leaves its thread behind: a store is closed only after the calls under way have returned.
- An error's text quotes the row it choked on. Outside this module only its code, its name and the row number exist.
"""

import contextlib
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import Error as CodedError

from projections.faults import EngineMissing, StoreBroken
from projections.folder import kept_to_itself, taken

INSERT_SETTINGS: Final[dict[str, Any]] = {
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    "date_time_input_format": "best_effort",
    "input_format_skip_unknown_fields": 1,
    "input_format_null_as_default": 1,
    "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
    "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
    "input_format_json_read_objects_as_strings": 1,
}
QUERY_SETTINGS: Final[dict[str, Any]] = {"max_execution_time": 30, "max_memory_usage": 1_000_000_000}

# The codes with which the engine says that a row's text, not the store, is at fault.
_DATA_CODES: Final = frozenset({6, 25, 26, 27, 32, 33, 38, 41, 53, 69, 72, 117, 130, 131, 376, 467})
_AT_ROW: Final = re.compile(r"\(at row (\d+)\)")


class Refused(Exception):
    """The store did not take a statement. `row`: the row of an insert (from 1) whose content is at fault."""

    def __init__(self, *, name: str, code: int | None = None, row: int | None = None) -> None:
        super().__init__(name if code is None else f"{name}, code {code}")
        self.code = code
        self.row = row


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


class Store:
    """An open store. One connection writes, a few read; each serialises its own calls."""

    def __init__(
        self,
        *,
        kind: Literal["embedded", "server"],
        database: str,
        connect: Callable[[str | None], Client],
        readers: int,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.kind = kind
        self.database = database
        self._release = release
        self._clients: list[Client] = []
        self._readers: queue.Queue[Client | None] = queue.Queue()
        """Those nobody asks through at the moment; None once the store is closed."""
        self._reading = 0
        self._writing = threading.Lock()
        self._closed = False
        try:
            first = connect(None)
            self._clients.append(first)
            with _told():
                first.command(f"CREATE DATABASE IF NOT EXISTS {database}")
            self._writer = connect(database)
            self._clients.append(self._writer)
            for _ in range(readers):
                reader = connect(database)
                self._clients.append(reader)
                self._admit(reader)
            if not readers:  # somebody who does one thing after the other, like a migration
                self._admit(self._writer)
        except BaseException:
            self.close()
            raise

    def insert(self, table: str, body: bytes, token: str) -> None:
        """Insert lines of JSON. Returns when they are durable; raises `Refused`. The same token twice: stored once."""
        with self._turn(), _told():
            self._writer.raw_insert(
                table,
                insert_block=body,
                fmt="JSONEachRow",
                settings={**INSERT_SETTINGS, "insert_deduplication_token": token},
            )

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement without an answer, in turn with the inserts. Raises `Refused`."""
        with self._turn(), _told():
            self._writer.command(statement, parameters=dict(parameters or {}))

    def ask(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Table:
        """Answer a query. Parameters go typed, as `{name:Type}`, never into the text. Raises `Refused`."""
        reader = self._readers.get()
        try:
            if reader is None:
                raise Refused(name="the store is closed")
            with _told():
                found = reader.query(sql, parameters=dict(parameters or {}), settings=QUERY_SETTINGS)
                return Table(tuple(found.column_names), found.result_rows)
        finally:
            self._readers.put(reader)

    def close(self) -> None:
        """Wait for the calls under way, then let go of the engine and of the lock. Later calls are `Refused`."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
        for _ in range(self._reading):
            self._readers.get()
        self._readers.put(None)
        for client in self._clients:
            with contextlib.suppress(ClickHouseError):
                client.close()
        self._clients.clear()
        self._release()

    def _admit(self, reader: Client) -> None:
        self._readers.put(reader)
        self._reading += 1

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with self._writing:
            if self._closed:
                raise Refused(name="the store is closed")
            yield


def open_server(url: str, database: str, *, readers: int = 2) -> Store:
    """A server by URL. Raises `StoreBroken` for a URL that cannot work, `Refused` while nobody answers."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StoreBroken("CALLGRANT_CLICKHOUSE_URL must look like http://user:password@host:8123")
    if parts.path.strip("/"):
        raise StoreBroken(
            f"CALLGRANT_CLICKHOUSE_URL must not name a database: each generation has its own (this one: {database})"
        )

    def connect(name: str | None) -> Client:
        with _told():
            return clickhouse_connect.get_client(
                dsn=url,
                database=name or "default",
                autogenerate_session_id=False,  # sessions would make concurrent questions wait for each other
                connect_timeout=5,
                send_receive_timeout=60,
            )

    return Store(kind="server", database=database, connect=connect, readers=readers)


def open_embedded(folder: Path, database: str, *, memory_bytes: int = 2_000_000_000, readers: int = 2) -> Store:
    """The engine in this process, its data in `folder`. Puts this process on UTC.

    Raises `EngineMissing`, `StoreTaken`, `StoreBroken`.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    undo = contextlib.ExitStack()
    try:
        undo.enter_context(taken(folder))
        undo.enter_context(kept_to_itself(folder.with_name(folder.name + ".tmp")))
        try:
            import chdb  # noqa: F401 half a gigabyte of engine: only where it is wanted
        except ImportError as missing:
            raise EngineMissing(
                "the embedded ClickHouse engine is not installed: install callgrant with the extra `embedded`, "
                "or set CALLGRANT_CLICKHOUSE_URL to the address of a server"
            ) from missing

        def connect(name: str | None) -> Client:
            try:
                return clickhouse_connect.get_client(
                    interface="chdb",
                    path=str(folder),
                    database=name,
                    chdb_options={"max_server_memory_usage": str(memory_bytes)},
                )
            except ClickHouseError as fault:
                raise StoreBroken(
                    f"the embedded store in {folder} does not open ({_short(fault)}); it can be deleted and is "
                    "then filled again from permission.records"
                ) from None

        return Store(kind="embedded", database=database, connect=connect, readers=readers, release=undo.close)
    except BaseException:
        undo.close()
        raise


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn the driver's errors into `Refused`: what is at fault, without the content that the text may quote."""
    try:
        yield
    except ClickHouseError as fault:
        code = fault.code if isinstance(fault, CodedError) else None
        row = None
        if code in _DATA_CODES and (rows := _AT_ROW.findall(str(fault))):
            row = int(rows[-1])  # quoted content comes before the engine's own words
        raise Refused(code=code, name=_short(fault), row=row) from None
    except OSError as fault:
        raise Refused(name=type(fault).__name__) from None


def _short(fault: ClickHouseError) -> str:
    return (fault.name if isinstance(fault, CodedError) else None) or type(fault).__name__
