"""A ClickHouse server for tests: the embedded engine behind as much of the HTTP interface as the driver uses.

For tests only: 127.0.0.1, no authentication. It stands in for a real server where a process is needed that can be
killed, and can misbehave on purpose: `GET /_misbehave?how=busy|reset_before|reset_after&times=N`, the next N inserts.

    python chdb_server.py FOLDER            prints the port it listens on
"""

import contextlib
import gzip
import json
import re
import socket
import struct
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

# Read by the HTTP layer of a real server, unknown to the engine.
NO_SETTINGS: Final = {
    "query",
    "database",
    "default_format",
    "user",
    "password",
    "session_id",
    "session_timeout",
    "session_check",
    "query_id",
    "quota_key",
    "compress",
    "decompress",
    "wait_end_of_query",
    "role",
    "buffer_size",
    "client_protocol_version",
    "enable_http_compression",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close",
}
INSERT: Final = re.compile(rb"\s*(insert\s+into\s.+?)\sformat\s+(\w+)[ \t]*(?:\r?\n|$)", re.IGNORECASE | re.DOTALL)
FORMAT: Final = re.compile(r"\bformat\s+(\w+)\s*;?\s*$", re.IGNORECASE)
READS: Final = re.compile(r"\s*(select|with|show|desc|exists|explain|\()", re.IGNORECASE)
STATUS: Final = {47: 404, 60: 404, 62: 400, 81: 404, 159: 408, 497: 403, 516: 403}


def unpacked_lz4(data: bytes) -> bytes:
    """Every frame of the body: the driver sends one a block, and a one-shot decoder would stop after the first."""
    whole = []
    while data:
        frame: Any = lz4.frame.LZ4FrameDecompressor()
        whole.append(frame.decompress(data))
        data = frame.unused_data or b""
    return b"".join(whole)


UNPACK: Final[dict[str | None, Callable[[bytes], bytes]]] = {"lz4": unpacked_lz4, "gzip": gzip.decompress, None: bytes}


class Engine:
    """The engine, held open: it stops with its last connection."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.held = self.connect()
        self.zone: str = self.held.query("SELECT timezone()", "TSV").bytes().decode().strip()
        self.how, self.times = "", 0

    def connect(self) -> Any:
        """A connection of one's own."""
        connect: Any = chdb.connect  # ships no types
        return connect(self.folder)

    def misbehaves(self, how: str) -> bool:
        """Whether this insert is one of those that were asked to fail in this way."""
        if self.how != how or self.times <= 0:
            return False
        self.times -= 1
        return True


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True  # answers are two small writes; without this each waits for the other side
    engine: Engine

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name is the base class's
        """Silent."""

    def do_GET(self) -> None:
        """Everything: the driver asks by GET and by POST alike."""
        url = urlsplit(self.path)
        given = dict(parse_qsl(url.query, keep_blank_values=True))
        body = self.sent() if self.command == "POST" else b""
        if url.path == "/ping":
            self.answer(200, b"Ok.\n")
            return
        if url.path == "/_misbehave":
            self.engine.how, self.engine.times = given["how"], int(given["times"])
            self.answer(200, b"")
            return
        sql, data = (given["query"].encode(), body) if given.get("query") else (body, b"")
        insert = INSERT.match(sql)
        if insert and self.engine.misbehaves("busy"):
            self.answer(503, b"busy")
            return
        if insert and self.engine.misbehaves("reset_before"):
            self.reset()
            return
        with contextlib.closing(self.engine.connect()) as handle:  # its own: USE and SET must not leak
            try:
                self.prepare(handle, given)
                if insert:
                    self.inserted(handle, insert, sql[insert.end() :] + data)
                else:
                    self.asked(handle, sql.decode() + ("\n" + data.decode() if data else ""), given)
            except ConnectionError:
                raise
            except Exception as fault:  # noqa: BLE001 whatever the engine says becomes the answer
                text = str(fault)
                text = text[max(text.find("Code: "), 0) :]
                found = re.match(r"Code: (\d+)", text)
                code = int(found[1]) if found else 1002
                self.answer(STATUS.get(code, 500), text.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    do_POST = do_GET  # noqa: N815 the name is the base class's

    def prepare(self, handle: Any, given: dict[str, str]) -> None:
        """Database and settings of one request."""
        if database := given.get("database"):
            handle.query(f"USE `{database}`")
        for name, value in given.items():
            if name not in NO_SETTINGS and not name.startswith("param_"):
                escaped = value.replace("\\", "\\\\").replace("'", "\\'")
                handle.query(f"SET {name}='{escaped}'")

    def inserted(self, handle: Any, insert: re.Match[bytes], rows: bytes) -> None:
        """Run an insert."""
        with handle.send_insert(insert[1].decode(), insert[2].decode()) as stream:
            stream.append(rows)
            done = stream.finish()
        if self.engine.misbehaves("reset_after"):
            self.reset()
            return
        self.summed({"written_rows": str(done.rows_written), "written_bytes": str(done.bytes_written)}, b"", {})

    def asked(self, handle: Any, sql: str, given: dict[str, str]) -> None:
        """Run anything else."""
        named = FORMAT.search(sql)
        form = named[1] if named else given.get("default_format", "TabSeparated")
        parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
        done = handle.query(sql, form, params=parameters)
        out = done.bytes() or b""
        headers = {"X-ClickHouse-Format": form} if out or READS.match(sql) else {}
        self.summed({"read_rows": str(done.rows_read()), "read_bytes": str(done.bytes_read())}, out, headers)

    def summed(self, summary: dict[str, str], out: bytes, headers: dict[str, str]) -> None:
        """A good answer."""
        self.answer(200, out, {"X-ClickHouse-Query-Id": "test", "X-ClickHouse-Summary": json.dumps(summary), **headers})

    def sent(self) -> bytes:
        """The body of the request, unpacked."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(parts)
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return UNPACK[self.headers.get("Content-Encoding")](raw)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send an answer."""
        self.send_response(status)
        fixed = {"Content-Length": str(len(body)), "X-ClickHouse-Timezone": self.engine.zone}
        for name, value in (fixed | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def reset(self) -> None:
        """End the connection as a killed server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile.close()


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Handler.engine = Engine(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server = Server(("127.0.0.1", port), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
