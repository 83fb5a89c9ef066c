"""Do the local stores belong to the state topics that stand, or to others of the same name?

A topic that was deleted and made anew gets another id from its broker, whatever it holds by now. Offsets tell it only
while the new one is shorter (`places`): once it has grown past where a store stands, the store's rows and the topic's
would be joined as if one continued the other. So the id of each state topic is kept beside its stores, and compared
when a worker starts. Owns the file, the request (Metadata 12, which aiokafka does not have) and the refusal. Refuses to
judge where a broker tells no ids (old ones): there it is as if nobody had looked.
"""

import contextlib
import logging
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
import rocksdict
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)
from faust.stores.rocksdb import Store

from streams.worker.codes import Code
from streams.worker.fitness import STATE
from streams.worker.places import REBUILD
from streams.worker.settings import WorkerSettings
from streams.worker.startup import Unfit

log = logging.getLogger(__name__)

FILE: Final = "topic-ids.json"
STORES: Final = {"permission.state": "pairs-*.db", "business.state": "numbers-*.db"}
NO_ID: Final = UUID(int=0)


class Uuid(AbstractType[UUID]):
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _Answer(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Ask(Request[_Struct]):
    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        return request_struct_class([(NO_ID, name, {}) for name in self._topics], False, False, {})


async def ids_of(bootstrap: str, topics: Iterable[str]) -> dict[str, str] | str:
    """The id of each topic that is there, or why none can be told."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        answer = await admin._send_request(_Ask(topics))  # noqa: SLF001 - it has no method for it
    except (KafkaError, OSError, NotImplementedError) as fault:
        return type(fault).__name__
    finally:
        await admin.close()
    return {row[1]: str(row[2]) for row in answer.topics if row[0] == 0 and row[2] != NO_ID}


async def check_ids(settings: WorkerSettings) -> None:
    """Raise `Unfit` when a store that stands here is of a topic that is gone; else keep what the ids are."""
    topics = {name: settings.names.of(name) for name in STATE}
    found = await ids_of(settings.kafka_bootstrap, topics.values())
    if isinstance(found, str):
        log.warning("the ids of the state topics cannot be read (%s): one made anew may pass for the old one", found)
        return
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


def kept_ids(folder: Path) -> dict[str, str]:
    """What was kept in a folder; what cannot be read is nothing."""
    try:
        told: dict[str, str] = orjson.loads((folder / FILE).read_bytes())
        return {str(topic): str(one) for topic, one in told.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _keep(folder: Path, ids: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    new = (folder / FILE).with_suffix(".new")
    new.write_bytes(orjson.dumps(ids))
    new.replace(folder / FILE)


def _stand(folder: Path, stores: str) -> bool:
    """Whether one of them holds anything of its topic. One that cannot be opened is not ours to judge (`stores`)."""
    for path in folder.glob(f"**/{stores}"):
        with contextlib.suppress(Exception), contextlib.closing(_opened(path)) as store:
            if store.get(Store.offset_key) is not None:
                return True
    return False


def _opened(path: Path) -> Any:
    return rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True), access_type=rocksdict.AccessType.read_only())
