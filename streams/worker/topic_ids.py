"""Do the local stores belong to the state topics that stand, or to others of the same name?

A topic that was deleted and made anew gets another id from its broker, whatever it holds by now. Offsets tell it only
while the new one is shorter (`places`): once it has grown past where a store stands, the store's rows and the topic's
would be joined as if one continued the other. So the id of each state topic is kept beside its stores, and compared
when a worker starts. Owns the file and the refusal; `broker_ids` asks. Refuses to judge where a broker tells no ids
(old ones): there it is as if nobody had looked. Refuses to start where it could only not be told just now: a fault of
the moment must not pass for "no ids" or "no store".
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson
import rocksdict
from aiokafka.errors import KafkaError
from faust.stores.rocksdb import Store

from streams.worker.broker_ids import ids_of
from streams.worker.codes import Code
from streams.worker.fitness import STATE
from streams.worker.places import REBUILD
from streams.worker.settings import WorkerSettings
from streams.worker.startup import SAY_EVERY_S, TRY_EVERY_S, Unfit
from streams.worker.stores import TRANSIENT, trouble_of

log = logging.getLogger(__name__)

FILE: Final = "topic-ids.json"
STORES: Final = {"permission.state": "pairs-*.db", "business.state": "numbers-*.db"}


async def check_ids(settings: WorkerSettings) -> None:
    """Raise `Unfit` when a store that stands here is of a topic that is gone; else keep what the ids are."""
    topics = {name: settings.names.of(name) for name in STATE}
    found = await _asked(settings, topics.values())
    if isinstance(found, str):
        log.warning("the ids of the state topics cannot be read (%s): one made anew may pass for the old one", found)
        return
    for topic in topics.values():
        if topic not in found:
            log.warning("the broker tells no id of %s: if it is made anew, it may pass for the old one", topic)
    folder = settings.folder / f"g{settings.generation}"
    kept = kept_ids(folder)
    for name, topic in topics.items():
        if topic in kept and topic in found and kept[topic] != found[topic] and _stand(folder, STORES[name]):
            raise Unfit(
                Code.STORE_AHEAD,
                f"{topic} was made anew: the local stores are of one that is gone. If the log of facts was made anew "
                f"with it (another cluster), remove the worker's store folder {folder} and start again. {REBUILD}",
            )
    if (now := kept | found) != kept:
        _keep(folder, now)


async def _asked(settings: WorkerSettings, topics: Iterable[str]) -> dict[str, str] | str:
    """What the broker tells, asked again within the patience of the start while a fault may pass."""
    began_at, said_at = time.monotonic(), 0.0
    while True:
        try:
            return await ids_of(settings.kafka_bootstrap, topics)
        except (KafkaError, OSError) as fault:
            why = str(fault) if isinstance(fault, KafkaError) else type(fault).__name__
        waited_s = time.monotonic() - began_at
        where = (
            f"the ids of the state topics cannot be told: {why}. Look at the broker at {settings.kafka_bootstrap} "
            "(CALLGRANT_KAFKA_BOOTSTRAP) and its log; callgrant topics check looks at the topics"
        )
        if waited_s > settings.broker_patience_s:
            raise Unfit(Code.BROKER_UNREACHABLE, f"{where}; gave up after {waited_s:.0f} s")
        if not said_at or time.monotonic() - said_at > SAY_EVERY_S:
            said_at = time.monotonic()
            log.warning("%s; trying for %.0f s more", where, settings.broker_patience_s - waited_s)
        await asyncio.sleep(TRY_EVERY_S)


def kept_ids(folder: Path) -> dict[str, str]:
    """What was kept in a folder. What cannot be understood is nothing; what cannot be read just now is `Unfit`."""
    file = folder / FILE
    try:
        told: dict[str, str] = orjson.loads(file.read_bytes())
        return {str(topic): str(one) for topic, one in told.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as fault:
        if _comes_again(fault):
            raise _untold(file, fault) from fault
        log.warning("%s cannot be read (%s): a topic made anew before this start may pass", file, type(fault).__name__)
        return {}


def _keep(folder: Path, ids: Mapping[str, str]) -> None:
    new = (folder / FILE).with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(orjson.dumps(ids))
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine may leave an empty file under the name
        new.replace(folder / FILE)
    except OSError as fault:
        raise _untold(folder / FILE, fault) from fault


def _stand(folder: Path, stores: str) -> bool:
    """Whether one of them holds anything of its topic. Not by `glob`: it passes over folders that it must not read."""

    def unread(fault: OSError) -> NoReturn:
        raise _untold(folder, fault) from fault

    for where, folders, files in os.walk(folder, onerror=unread):
        if any(_holds(Path(where, name)) for name in (*folders, *files) if fnmatch(name, stores)):
            return True
        folders[:] = [name for name in folders if not fnmatch(name, "*.db*")]
    return False


def _holds(path: Path) -> bool:
    """One that will be put aside (`stores`) holds nothing."""
    try:
        store = _opened(path)
    except Exception as fault:
        if not _comes_again(fault):
            return False
        raise _untold(path, fault) from fault
    with contextlib.closing(store):
        try:
            return store.get(Store.offset_key) is not None
        except Exception as fault:
            if trouble_of(fault) == "damaged":
                return False
            raise _untold(path, fault) from fault


def _opened(path: Path) -> Any:
    return rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True), access_type=rocksdict.AccessType.read_only())


def _comes_again(fault: BaseException) -> bool:
    """Whether it lies not in the file but around it: nothing is put aside for that (`stores`)."""
    return trouble_of(fault) == "full" or any(each in str(fault) for each in TRANSIENT)


def _untold(path: Path, fault: BaseException) -> Unfit:
    return Unfit(
        Code.STORE_FULL if trouble_of(fault) == "full" else Code.LANE_FAILED,
        f"whether the local stores belong to the state topics cannot be told: {path}: {fault}. Look at the permissions "
        "and the room of that folder (CALLGRANT_DATA_DIR) and at the limits of this process; no store was touched",
    )
