"""The end of a store and of the door to dead letters: closed after the calls under way, and nothing left open."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import ConsumerRecord
from clickhouse_connect.driver.client import Client

from projections.batch import batch_of
from projections.deadletters import DeadLetters
from projections.settings import ProjectionSettings
from projections.store import Refused, Store
from tests.ports import free_port


class Slow:
    """A driver's client whose statements return when they are let go."""

    def __init__(self, told: list[str]) -> None:
        self.told = told
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def raw_insert(self, *_: object, **__: object) -> None:
        self._take("insert")

    def query(self, *_: object, **__: object) -> Any:
        self._take("query")
        return SimpleNamespace(column_names=("n",), result_rows=[[1]])

    def command(self, *_: object, **__: object) -> None:
        pass

    def close(self) -> None:
        self.told.append("closed")

    def _take(self, what: str) -> None:
        self.begun.set()
        assert self.let_go.wait(20)
        self.told.append(what)


@pytest.mark.parametrize("what", ["insert", "query"])
def test_a_store_is_closed_only_after_the_call_under_way_has_returned(what: str) -> None:
    told: list[str] = []
    client = Slow(told)

    def release() -> None:
        told.append("lock free")

    store = Store(kind="server", database="test", connect=lambda _: cast("Client", client), readers=1, release=release)
    call: Callable[[], object] = (
        (lambda: store.insert("inbox", b"{}", "t")) if what == "insert" else lambda: store.ask("SELECT 1")
    )
    calling, closing = threading.Thread(target=call), threading.Thread(target=store.close)
    calling.start()
    assert client.begun.wait(20)
    closing.start()
    closing.join(0.2)
    assert (closing.is_alive(), told) == (True, [])
    client.let_go.set()
    calling.join(20)
    closing.join(20)
    assert told == [what, "closed", "closed", "closed", "lock free"]


def test_a_closed_store_refuses_and_may_be_closed_again() -> None:
    client = Slow([])
    client.let_go.set()
    store = Store(kind="server", database="test", connect=lambda _: cast("Client", client), readers=2)
    store.close()
    store.close()
    for call in (lambda: store.insert("inbox", b"{}", "t"), lambda: store.command("SELECT 1"), lambda: store.ask("")):
        with pytest.raises(Refused, match="the store is closed"):
            call()
    assert client.told == ["closed"] * 4


async def test_a_producer_that_cannot_start_is_not_left_behind(tmp_path: Path) -> None:
    settings = ProjectionSettings(
        kafka_bootstrap=f"127.0.0.1:{free_port()}", topic_prefix="test.", generation=1, data_dir=tmp_path
    )
    record = ConsumerRecord("test", 0, 0, 0, 0, None, None, None, 0, 0, ())
    door = DeadLetters(settings)
    with pytest.raises(KafkaConnectionError):
        await door.park(batch_of([record]))
    await door.close()
    gc.collect()  # a producer left open warns when it is collected, and warnings are errors here
