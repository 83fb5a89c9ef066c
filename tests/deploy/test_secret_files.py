"""API keys in a file, read again by the api and the projection while they run."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.config import api_settings, load, projection_settings
from projections.keys import Keys as AnalystsKeys
from streams import rotation
from streams.api.keys import Keys


def settled(folder: Path) -> dict[str, str]:
    (folder / "keys").write_text("one:old")
    return {"CALLGRANT_API_KEYS_FILE": "keys"}


async def changed(keep: object, take: Callable[[tuple[tuple[str, str], ...]], None], path: Path, said: str) -> None:
    """Say something else in the file and wait until it is taken."""
    taken = asyncio.Event()

    def take_and_tell(keys: tuple[tuple[str, str], ...]) -> None:
        take(keys)
        taken.set()

    assert callable(keep)
    keeping = asyncio.create_task(keep(take_and_tell))
    await asyncio.to_thread(path.write_text, said)
    async with asyncio.timeout(5):
        await taken.wait()
    keeping.cancel()
    await asyncio.wait({keeping})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    init = rotation.Rotation.__init__
    monkeypatch.setattr(rotation.Rotation, "__init__", lambda *given, **_: init(*given, every_s=0.001))


async def test_the_api_takes_the_keys_that_their_file_says_now(tmp_path: Path) -> None:
    settings = api_settings(load(settled(tmp_path), tmp_path))
    keys = Keys(settings.api_keys)
    assert keys.admit(b"Bearer one:old")
    await changed(settings.keys_again, keys.take, tmp_path / "keys", "one:new")
    assert keys.admit(b"Bearer one:new")
    assert not keys.admit(b"Bearer one:old")


async def test_the_projection_takes_the_keys_that_their_file_says_now(tmp_path: Path) -> None:
    settings = projection_settings(load(settled(tmp_path), tmp_path))
    keys = AnalystsKeys(settings.api_keys)
    await changed(settings.keys_again, keys.take, tmp_path / "keys", "one:new\none:old")
    assert keys.fit("Bearer one:new")
    await changed(settings.keys_again, keys.take, tmp_path / "keys", "one:newest")
    assert keys.fit("Bearer one:newest")
    assert not keys.fit("Bearer one:new")


def test_keys_that_are_in_no_file_are_read_once(tmp_path: Path) -> None:
    config = load({"CALLGRANT_API_KEYS": "one:old"}, tmp_path)
    assert api_settings(config).keys_again is None
    assert projection_settings(config).keys_again is None
