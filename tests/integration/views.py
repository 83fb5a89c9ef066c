"""The views of an embedded store as JSON lines: `python -m tests.integration.views FOLDER DATABASE`.

A program of its own because the engine opens one folder a process, and keeps it. Instants come out as epoch seconds.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projections.store import open_embedded

VIEWS = ("v_requests", "v_grants", "v_calls")


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return value


def main(folder: str, database: str) -> None:
    store = open_embedded(Path(folder), database, readers=0)
    try:
        for view in VIEWS:
            found = store.ask(f"SELECT * FROM {view}")  # noqa: S608 - one of two names
            for row in found.rows:
                print(json.dumps({"view": view, **dict(zip(found.columns, map(plain, row), strict=True))}, default=str))
        found = store.ask("SELECT fact_id, count() AS times FROM facts FINAL GROUP BY fact_id")
        for row in found.rows:
            print(json.dumps({"view": "facts", **dict(zip(found.columns, row, strict=True))}, default=str))
    finally:
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
