"""Migrations: what is pending, what is refused, and the same on the real engine."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest

from projections.faults import MigrationEdited, MigrationFailed, MigrationUnknown
from projections.migrate import FOLDER, Migration, migrate, migrations_in, pending
from projections.store import Store, open_embedded


def folder_of(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_was_applied_unchanged_is_not_pending() -> None:
    steps = migrations_in()
    assert pending(steps, {}) == steps
    assert pending(steps, {steps[0].version: steps[0].checksum}) == steps[1:]


def test_an_edited_file_is_refused_with_what_to_do() -> None:
    steps = migrations_in()
    with pytest.raises(MigrationEdited, match=r"001_tables\.sql changed after it was applied; put it back .* new file"):
        pending(steps, {1: "0" * 32})


def test_a_database_of_a_newer_release_is_refused() -> None:
    with pytest.raises(MigrationUnknown, match="migration 99"):
        pending(migrations_in(), {99: "0" * 32})


@pytest.mark.parametrize(
    "names", [("001_a.sql", "003_b.sql"), ("001_a.sql", "001_b.sql"), ("1_a.sql",), ("002_a.sql",)]
)
def test_misnumbered_files_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(MigrationFailed):
        migrations_in(folder_of(tmp_path, dict.fromkeys(names, "SELECT 1;")))


def test_statements_end_at_a_semicolon_at_the_end_of_a_line() -> None:
    text = "-- a; comment;\nSELECT ';', -- not here\n  2;\n\n  -- another\nSELECT 3\n;\nSELECT 4"
    step = Migration(version=1, name="001_a.sql", text=text)
    assert step.statements == ["SELECT ';', -- not here\n  2", "SELECT 3", "SELECT 4"]


def test_every_statement_may_be_run_again() -> None:
    again = re.compile(r"CREATE (TABLE|MATERIALIZED VIEW) IF NOT EXISTS |CREATE OR REPLACE VIEW ")
    for step in migrations_in():
        for statement in step.statements:
            assert again.match(statement), f"{step.name}: {statement[:60]}"
            assert "Kafka(" not in statement


@pytest.mark.clickhouse
def test_migrating_twice_does_nothing_the_second_time(store: Store) -> None:
    assert migrate(store) == []
    rows = store.ask("SELECT version, md5 FROM schema_versions ORDER BY version").rows
    assert [tuple(row) for row in rows] == [(step.version, step.checksum) for step in migrations_in()]


@pytest.mark.clickhouse
def test_one_connection_is_enough_to_migrate(tmp_path: Path) -> None:
    with contextlib.closing(open_embedded(tmp_path / "clickhouse", "callgrant_g2", readers=0)) as store:
        assert migrate(store) == [step.name for step in migrations_in()]
        assert store.ask("SELECT currentDatabase()").rows[0][0] == "callgrant_g2"


@pytest.mark.clickhouse
def test_a_migration_cut_short_is_completed(embedded: Store) -> None:
    embedded.command("TRUNCATE TABLE schema_versions")
    embedded.command("DROP VIEW v_grants_daily")
    assert migrate(embedded) == [step.name for step in migrations_in()]
    assert embedded.ask("SELECT count() FROM v_grants_daily").rows[0][0] == 0


@pytest.mark.clickhouse
def test_an_edited_file_stops_a_real_database_and_changes_nothing(embedded: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER, copy)
    (copy / "001_tables.sql").write_text((copy / "001_tables.sql").read_text() + "\n-- a word more\n")
    (copy / "004_more.sql").write_text("CREATE TABLE IF NOT EXISTS more (a UInt8) ENGINE = Memory;\n")
    with pytest.raises(MigrationEdited):
        migrate(embedded, copy)
    assert embedded.ask("EXISTS TABLE more").rows[0][0] == 0
    shutil.copy(FOLDER / "001_tables.sql", copy)
    assert migrate(embedded, copy) == ["004_more.sql"]


@pytest.mark.clickhouse
def test_a_statement_that_the_engine_refuses_is_named(embedded: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER, copy)
    (copy / "004_more.sql").write_text("CREATE TABLE IF NOT EXISTS more (a UInt8) ENGINE = Memory;\nCREATE NONSENSE;\n")
    with pytest.raises(MigrationFailed, match=r"004_more\.sql, statement 2: the store answered [A-Z_]+, code \d+"):
        migrate(embedded, copy)
