import asyncio
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.config import child_environment, gateway_settings, load
from deploy.secret_files import OPENS_THE_GATEWAY
from streams.gateway.admission import Admission
from streams.gateway.settings import GatewaySettings
from streams.rotation import MAX_FILE_BYTES, Rotation
from tests.gateway.asgi import ask, gateway, signed
from tests.gateway.test_doors import BODY, JSON
from tests.kafka.sessions import Cluster

SETTING = "CALLGRANT_META_APP_SECRETS_FILE"


class Kept:
    """The gateway's settings of a folder with secret files, and what a rotation handed over since."""

    def __init__(self, folder: Path, **said: str) -> None:
        self.folder = folder
        for field, text in said.items():
            self.say(field, text)
        names = {f"CALLGRANT_{field.upper()}_FILE": field for field in said}
        self.settings = gateway_settings(load(names, folder))
        self.taken: list[GatewaySettings] = []
        self.rotation = Rotation(self.settings.secret_files, self.settings, self.taken.append)

    def say(self, field: str, text: str) -> None:
        (self.folder / field).write_text(text)


async def test_every_secret_of_the_gateway_is_read_again_from_its_file(tmp_path: Path) -> None:
    fields = sorted(OPENS_THE_GATEWAY)
    kept = Kept(tmp_path, **{field: "id:old" if field == "api_keys" else "old" for field in fields})
    await kept.rotation.look()
    assert kept.taken == []
    for field in fields:
        kept.say(field, "id:new, id:old" if field == "api_keys" else "new\nold\n")
    await kept.rotation.look()
    now = kept.taken[-1]
    assert now.meta_app_secrets == (("", "new"), ("", "old"))
    assert now.meta_verify_tokens == ("new", "old")
    assert now.api_keys == (("id", "new"), ("id", "old"))
    for provider in ("gupshup", "infobip", "360dialog", "ycloud", "zernio"):
        assert [token for owner, token in now.provider_tokens if owner == provider] == ["new", "old"]
    await kept.rotation.look()
    assert kept.taken[-1] is now


@pytest.mark.parametrize("how", ["in place, same length and time", "by another file", "by a link"])
async def test_a_change_is_noticed_however_it_was_made(tmp_path: Path, how: str) -> None:
    kept = Kept(tmp_path, meta_app_secrets="first")
    path = tmp_path / "meta_app_secrets"
    before = path.stat()
    other = tmp_path / "other"
    other.write_text("other")
    if how == "by another file":
        other.replace(path)
    elif how == "by a link":
        path.unlink()
        path.symlink_to(other)
    else:
        path.write_text("other")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    await kept.rotation.look()
    assert [settings.meta_app_secrets for settings in kept.taken] == [(("", "other"),)]


def _empty(path: Path) -> None:
    path.write_text(" \n")


def _too_long(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_FILE_BYTES + 1))


def _no_text(path: Path) -> None:
    path.write_bytes(b"hush-\xff")


def _no_secret(path: Path) -> None:
    path.write_text("hush:")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_empty, _too_long, _no_text, _no_secret, _a_folder, Path.unlink])
async def test_a_file_that_cannot_be_used_keeps_the_secrets_before_and_says_so_once(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    kept = Kept(tmp_path, meta_app_secrets="first", api_keys="id:one")
    path = tmp_path / "meta_app_secrets"
    spoil(path)
    kept.say("api_keys", "id:two")
    with capture_logs() as lines:
        for _ in range(3):
            await kept.rotation.look()
    assert [settings.api_keys for settings in kept.taken] == [(("id", "two"),)]
    assert kept.taken[-1].meta_app_secrets == (("", "first"),)
    assert kept.rotation.unusable == {SETTING: True, "CALLGRANT_API_KEYS_FILE": False}
    [told] = [line for line in lines if line["event"] == "secrets_unusable"]
    assert told["setting"] == SETTING
    assert told["why"]
    assert "hush" not in repr(lines)
    if path.is_dir():
        path.rmdir()
    path.write_text("second")
    with capture_logs() as lines:
        await kept.rotation.look()
    assert kept.taken[-1].meta_app_secrets == (("", "second"),)
    assert not kept.rotation.unusable[SETTING]
    assert {line["event"] for line in lines} == {"secrets_changed", "secrets_usable_again"}


async def test_a_file_that_is_empty_at_the_start_closes_its_door_and_opens_it_when_it_is_filled(tmp_path: Path) -> None:
    kept = Kept(tmp_path, meta_app_secrets="")
    assert kept.settings.meta_app_secrets == ()
    kept.say("meta_app_secrets", "at last")
    await kept.rotation.look()
    assert [settings.meta_app_secrets for settings in kept.taken] == [(("", "at last"),)]


def test_a_child_process_is_told_the_file_and_not_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("hush")
    (tmp_path / ".env").write_text("CALLGRANT_META_APP_SECRETS=another\n")
    config = load({f"{SETTING}": "secrets"}, tmp_path)
    told = child_environment(config, {})
    assert told[SETTING] == str(tmp_path / "secrets")
    assert "hush" not in repr(told)
    again = gateway_settings(load(told, tmp_path))
    assert again.meta_app_secrets == (("", "hush"),)
    assert [file.path for file in again.secret_files] == [tmp_path / "secrets"]


def test_a_door_sees_the_old_secrets_or_the_new_ones() -> None:
    settings = GatewaySettings(
        kafka_bootstrap="", topic_prefix="", bind="", port=0, meta_app_secrets=(("", "old"),), api_keys=(("id", "old"),)
    )
    admission = Admission(settings)
    before = admission.signatures
    admission.take(dataclasses.replace(settings, meta_app_secrets=(("", "new"), ("", "old"))))
    assert before.slots == ("current",)
    assert admission.signatures.slots == ("current", "previous")
    assert admission.keys.slots == ("id/current",)


async def test_a_running_gateway_takes_the_new_secret_and_later_refuses_the_old_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path, meta_app_secrets="old", api_keys="id:old", gupshup_tokens="old")
    settings = dataclasses.replace(kept.settings, topic_prefix="t.")
    async with gateway(settings, Cluster()) as app:

        async def statuses(secret: str) -> list[int]:
            doors = [
                ("/webhooks/meta", signed(BODY, secret)),
                ("/v1/actions", [("Authorization", f"Bearer id:{secret}"), JSON]),
                ("/webhooks/gupshup", [("X-Callgrant-Token", secret)]),
            ]
            replies = [await ask(app, "POST", path, headers, BODY) for path, headers in doors]
            return [reply.status for reply in replies if reply is not None]

        assert (await statuses("old"), await statuses("new")) == ([200, 422, 200], [401, 401, 401])
        for said in ("{0}new\n{0}old", "{0}new"):
            for field in ("meta_app_secrets", "api_keys", "gupshup_tokens"):
                kept.say(field, said.format("id:" if field == "api_keys" else ""))
            await app.rotation.look()
            assert await statuses("new") == [200, 422, 200]
            assert await statuses("old") == ([200, 422, 200] if "old" in said else [401, 401, 401])
        reply = await ask(app, "GET", "/metrics")
        assert reply is not None
        assert 'callgrant_gateway_secrets_unusable{setting="CALLGRANT_API_KEYS_FILE"} 0.0' in reply.body.decode()
        assert b'slot="previous"' not in reply.body  # the slots are those of the secrets that hold


async def test_the_files_are_read_every_so_often_until_the_end(tmp_path: Path) -> None:
    kept = Kept(tmp_path, meta_app_secrets="old")
    settings, files = kept.settings, kept.settings.secret_files
    changed = asyncio.Event()
    keeping = asyncio.create_task(Rotation(files, settings, lambda _: changed.set(), every_s=0.001).keep())
    kept.say("meta_app_secrets", "new")
    async with asyncio.timeout(5):
        await changed.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_a_look_that_breaks_is_told_and_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, meta_app_secrets="old")
    settings, files = kept.settings, kept.settings.secret_files
    changed = asyncio.Event()
    rotation = Rotation(files, settings, lambda _: changed.set(), every_s=0.001)
    look, faults = rotation.look, [RuntimeError("can't start new thread")]

    async def breaks_once() -> None:
        if faults:
            raise faults.pop()
        await look()

    monkeypatch.setattr(rotation, "look", breaks_once)
    kept.say("meta_app_secrets", "new")
    with capture_logs() as lines:
        keeping = asyncio.create_task(rotation.keep())
        async with asyncio.timeout(5):
            await changed.wait()
    keeping.cancel()
    await asyncio.wait([keeping])
    assert lines[0] == {"event": "secrets_not_read", "error": "RuntimeError", "log_level": "warning"}
