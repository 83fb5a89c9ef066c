import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.config import load
from deploy.data_folder import FolderUnusable, made_private, open_to_others
from deploy.doctor import examine
from deploy.drawn_secrets import secrets_or_drawn
from deploy.supervisor.premises import alone_in
from tests.ports import free_port


def mode_of(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_data_folder_that_we_make_is_ours_alone_whoever_of_us_makes_it(tmp_path: Path) -> None:
    with alone_in(tmp_path / "up" / "var"):
        assert mode_of(tmp_path / "up" / "var") == 0o700
    assert mode_of(tmp_path / "up") == 0o755
    secrets_or_drawn(load({"CALLGRANT_DATA_DIR": str(tmp_path / "drawn")}, tmp_path))
    assert mode_of(tmp_path / "drawn") == 0o700


def test_one_that_holds_only_what_is_ours_is_tightened(tmp_path: Path) -> None:
    for inside in ("cache/tmp", "kafka", "logs", "worker", "clickhouse", "clickhouse.g2", "clickhouse.tmp", "demo"):
        (tmp_path / inside).mkdir(parents=True)
    for inside in ("secrets.env", "up.lock", "clickhouse.lock", "clickhouse.g2.lock"):
        (tmp_path / inside).touch()
    tmp_path.chmod(0o755)
    made_private(tmp_path)
    assert mode_of(tmp_path) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_folder_that_is_not_only_ours_is_left_as_it_is_and_the_doctor_says_so(tmp_path: Path, mode: int) -> None:
    if mode == 0o755:
        (tmp_path / "letters").mkdir()
    tmp_path.chmod(mode)
    made_private(tmp_path)
    assert mode_of(tmp_path) == mode & 0o777
    nowhere = {"CALLGRANT_DATA_DIR": str(tmp_path), "CALLGRANT_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}"}
    (found,) = [one for one in asyncio.run(examine(load(nowhere, tmp_path))) if one.check == "data folder"]
    assert (found.verdict, found.mend) == ("warning", f"chmod 700 {tmp_path}")


def test_a_folder_that_is_closed_already_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not open_to_others(tmp_path)
    made_private(tmp_path)
    assert mode_of(tmp_path) == 0o700


def test_what_is_no_folder_is_told_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FolderUnusable, match="CALLGRANT_DATA_DIR"):
            made_private(place)
