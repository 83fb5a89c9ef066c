"""Dropping the database of a generation that nobody reads any more.

Owns how it goes: a server drops it, an embedded store is a folder that is removed. Refuses a store that a process
holds. Nothing is lost by it: `permission.records` of that generation fill it again, as long as they stand.
"""

import shutil

from projections.folder import taken
from projections.settings import ProjectionSettings
from projections.store import open_server


def drop_database(settings: ProjectionSettings) -> str | None:
    """Remove it and say what was removed; None: nothing was here. Raises `StoreTaken`, `StoreBroken`, `Refused`."""
    if settings.clickhouse_url:
        store = open_server(settings.clickhouse_url, settings.database, readers=0)
        try:
            store.command(f"DROP DATABASE IF EXISTS {settings.database} SYNC")
        finally:
            store.close()
        return f"database {settings.database}"
    folder = settings.store_folder
    if not folder.exists():
        return None
    with taken(folder):
        shutil.rmtree(folder)
        shutil.rmtree(folder.with_name(folder.name + ".tmp"), ignore_errors=True)
        folder.with_name(folder.name + ".lock").unlink()
    return str(folder)
