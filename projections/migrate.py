"""Migrations: numbered SQL files, applied once, in order, remembered with their checksum.

Owns `schema_versions`. Its columns and the file names are those of the package clickhouse-migrations, so that an
operator may hand the database over to that tool. Refuses an edited file: what a database holds must follow from the
files alone.

DDL knows no transaction. Every statement is idempotent, so a migration that was cut short is simply run again.
"""

import re
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Final

from projections.faults import MigrationEdited, MigrationFailed, MigrationUnknown
from projections.store import Refused, Store

FOLDER: Final = Path(__file__).parent / "migrations"
_FILE_NAME: Final = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
_VERSIONS: Final = """
CREATE TABLE IF NOT EXISTS schema_versions
(version UInt32, script String, md5 String, created_at DateTime DEFAULT now())
ENGINE = MergeTree ORDER BY created_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The digest that the tool of the same table keeps; against accidents, not against attackers."""
        return md5(self.text.encode(), usedforsecurity=False).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements: each ends with a semicolon at the end of a line; lines of comment are left out."""
        lines = [row for row in self.text.splitlines() if not row.lstrip().startswith("--")]
        parts = re.split(r";[ \t]*(?:\n|$)", "\n".join(lines))
        return [part.strip() for part in parts if part.strip()]


def migrations_in(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of a folder in order. Two files of one number, or a gap, are an error of whoever added them."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        name = _FILE_NAME.fullmatch(path.name)
        if name is None:
            raise MigrationFailed(f"{path.name}: a migration is named like 001_tables.sql")
        found.append(Migration(version=int(name[1]), name=path.name, text=path.read_text()))
    if [step.version for step in found] != list(range(1, len(found) + 1)):
        raise MigrationFailed("migrations must be numbered 001, 002, … without gaps and without repeats")
    return found


def pending(migrations: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """What is still to be applied, given version → checksum of what was. Raises when the two histories differ."""
    known = {step.version: step for step in migrations}
    for version, checksum in sorted(applied.items()):
        if version not in known:
            raise MigrationUnknown(
                f"the database is at migration {version}, which this release does not have: "
                "run the release that made it, or a newer one"
            )
        if known[version].checksum != checksum:
            raise MigrationEdited(
                f"{known[version].name} changed after it was applied; put it back as it was and add a new file instead"
            )
    return [step for step in migrations if step.version not in applied]


def migrate(store: Store, folder: Path = FOLDER) -> list[str]:
    """Bring the database up to date; the names of the files applied. Twice does nothing."""
    store.command(_VERSIONS)
    applied = {int(row[0]): str(row[1]) for row in store.ask("SELECT version, md5 FROM schema_versions").rows}
    done = []
    for step in pending(migrations_in(folder), applied):
        for number, statement in enumerate(step.statements, start=1):
            try:
                store.command(statement)
            except Refused as fault:
                if fault.code is None:  # the store went away: not the statement's fault
                    raise
                raise MigrationFailed(f"{step.name}, statement {number}: the store answered {fault}") from None
        store.command(
            "INSERT INTO schema_versions (version, script, md5) "
            "VALUES ({version:UInt32}, {script:String}, {md5:String})",
            {"version": step.version, "script": step.text, "md5": step.checksum},
        )
        done.append(step.name)
    return done
