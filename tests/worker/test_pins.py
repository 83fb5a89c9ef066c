"""What this room leans on inside Faust, aiokafka and rocksdict. Another version must fail here, before it loses data.

Some of it is looked up in their source text: what matters there is the order of statements that no call can show.
"""

import asyncio
import importlib.metadata
import inspect
import logging
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rocksdict
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer import fetcher as fetching
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import StaleMetadata
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust import topics
from faust.app.base import App
from faust.assignor.partition_assignor import PartitionAssignor
from faust.sensors import Sensor
from faust.stores.rocksdb import RocksDBOptions, Store
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor, ConductorCompiler
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.queues import FlowControlEvent, FlowControlQueue

from streams.worker.app import build, faust_app
from streams.worker.batches import batched_topic
from streams.worker.fetching import FETCH_MAX_BYTES, FetchThread
from streams.worker.measures import Measures
from streams.worker.places import CheckedRecovery
from streams.worker.portions import Fetched, keep_bytes
from streams.worker.settings import WorkerSettings
from streams.worker.stores import LocalStore
from streams.worker.transport import BatchConsumer


def source(of: Any) -> str:
    return inspect.getsource(of)


def in_order(text: str, *parts: str) -> bool:
    at = -1
    for part in parts:
        at = text.find(part, at + 1)
        if at < 0:
            return False
    return True


@pytest.mark.parametrize(
    ("package", "version"),
    [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0"), ("rocksdict", "0.3.29")],
)
def test_the_versions_are_the_ones_the_overrides_were_made_for(package: str, version: str) -> None:
    assert importlib.metadata.version(package) == version, "go through every test in this file before changing a pin"


def test_after_recovery_faust_seeks_then_clears_queues_then_ends_the_rebalance_through_the_instance() -> None:
    steps = ("consumer.perform_seek()", "self.app.flow_control.resume()", "self.app.on_rebalance_end()")

    assert in_order(source(Recovery.on_recovery_completed), *steps)
    assert in_order(source(Recovery._resume_streams), "perform_seek()", "flow_control.resume()", "on_rebalance_end()")


def test_resuming_the_flow_clears_queues() -> None:
    control = FlowControlEvent()
    queue: Any = FlowControlQueue(flow_control=control, clear_on_resume=True)
    queue.put_nowait(1)
    control.resume()
    assert queue.empty()
    assert "clear_on_resume" in source(App.FlowControlQueue)


def test_recovery_keeps_the_books_we_read(settings: WorkerSettings) -> None:
    recovery = Recovery(faust_app(settings), cast(Any, SimpleNamespace()))
    log = TP("log", 0)
    recovery.active_offsets[log], recovery.active_highwaters[log] = 3, 7

    assert recovery._generation_id == 0
    assert recovery.in_recovery is False
    assert recovery.active_remaining() == Counter({log: 4})
    assert "value - 1 if value is not None else -1" in source(Recovery._build_highwaters), "-1: the topic is empty"
    assert "except Exception as ex:" in source(Recovery._slurp_changelogs.fun), "it swallows; so apply must not raise"
    assert isinstance(cast(Any, TableManager).recovery, property)


def test_the_base_consumer_keeps_the_books_we_override() -> None:
    made = source(Consumer.__init__)
    for name in ("_acked = ", "_acked_index = ", "_committed_offset = ", "scheduler = "):
        assert f"self.{name}" in made
    for name in ("_get_active_partitions", "_is_changelog_tp", "_new_offset", "_add_gap", "getmany", "ack", "commit"):
        assert callable(getattr(Consumer, name))
    assert callable(driver.Consumer._to_message)
    assert in_order(source(Consumer.on_partitions_revoked), "self._acked.pop(tp", "self._on_partitions_revoked")
    assert "offset = self._new_offset(tp)" in source(Consumer._filter_committable_offsets)
    assert "await self.app.producer.flush()" in source(Consumer._commit_offsets)
    assert "did_commit = await self._commit(committable_offsets)" in source(Consumer._commit_offsets)
    waiting = source(Consumer.wait_empty)
    assert in_order(waiting, "and self._unacked_messages:", "self._wait_for_ack", "self._clean_unacked_messages()")


def test_each_delivery_races_with_a_rebalance_and_waits_for_nothing_else_than_we_look_at() -> None:
    assert "callback(message), self.suspend_flow.wait()" in source(Consumer._drain_messages)
    assert "async with self._tp_to_callback_lock:" in source(Conductor._compile_message_handler)
    compiled = Path(inspect.getfile(ConductorCompiler)).parent / "_cython" / "conductor.pyx"  # what runs
    for delivery in (source(ConductorCompiler.build), compiled.read_text()):
        waits = [line.split("await ")[1].removeprefix("self.") for line in delivery.splitlines() if "await " in line]
        assert waits[:3] == [
            "acquire_flow_control()",
            "wait_until_producer_ebb()",  # the buffer of `send`, which we do not use
            "chan.decode(message, propagate=True)",  # ours (`RawBatchSchema`)
        ]
        assert in_order(delivery, "if queue.full():", "full.append(", "queue.put_nowait_enhanced(")


def test_a_delivery_is_told_by_its_code(settings: WorkerSettings) -> None:
    app = faust_app(settings)
    made = cast(BatchConsumer, app.consumer)
    made._thread.thread_loop.close()
    delivery = made.callback(cast(Any, None))

    assert cast(Any, delivery).cr_code is made._delivery
    cast(Any, delivery).close()


def test_our_overrides_still_override_something() -> None:
    for ours, base in ((BatchConsumer, driver.Consumer), (FetchThread, driver.AIOKafkaConsumerThread)):
        for name in ("_new_consumer_thread", "on_partitions_revoked", "on_partitions_assigned", "getmany", "ack"):
            if name in vars(ours):
                assert hasattr(base, name)
    assert hasattr(driver.AIOKafkaConsumerThread, "_create_worker_consumer")
    assert hasattr(driver.Producer, "_settings_extra")
    assert driver.Transport.Consumer is driver.Consumer
    assert "self.Consumer(" in source(driver.Transport.create_consumer)
    assert "self.Producer(" in source(driver.Transport.create_producer)
    tasks = [task.fun.__name__ for task in BatchConsumer.__new__(BatchConsumer)._get_tasks()]
    assert "_finish_recovery" in tasks
    assert "_commit_handler" in tasks


def test_a_fetcher_decides_in_one_place_what_it_asks_for_next() -> None:
    assert "fetch_max_wait_ms=1500" in source(driver.AIOKafkaConsumerThread._create_worker_consumer)
    routine, decision = source(Fetcher._fetch_requests_routine), source(Fetcher._get_actions_per_node)
    assert "= self._get_actions_per_node(assignment)" in routine, "looked up anew each time"
    assert in_order(routine, "fetch_requests,", "reset_requests,", "timeout,", "invalid_metadata,", "resume_futures,")
    assert in_order(decision, "return (\n", "fetch_requests,", "awaiting_reset,", "backoff,", "invalid_metadata,")
    assert "other_futs = [self._wait_consume_future" in routine, "what wakes it"
    assert in_order(decision, "if tp in self._records:", "calculate_backoff()", "if node_id in backoff_by_nodes:")
    assert set(re.findall(r"assignment\.(\w+)", decision)) == {"tps", "state_value"}
    assert in_order(decision, "FetchRequest(", "self._fetch_max_wait_ms,", "self._fetch_min_bytes,")


async def test_the_bound_of_a_fetch_reaches_the_consumer(settings: WorkerSettings) -> None:
    assert "fetch_max_bytes=self._fetch_max_bytes" in source(AIOKafkaConsumer.start)
    app = faust_app(settings)
    app.loop = asyncio.get_running_loop()
    consumer = cast(BatchConsumer, app.consumer)
    made = consumer._fetching._create_worker_consumer(app.transport)
    consumer._thread.thread_loop.close()

    made._closed = True  # never started
    assert made._fetch_max_bytes == FETCH_MAX_BYTES
    assert isinstance(made, AIOKafkaConsumer)


async def test_popping_records_without_a_timeout_does_not_suspend() -> None:
    fetcher = Fetcher.__new__(Fetcher)
    fetcher._subscriptions = SimpleNamespace(reassignment_in_progress=False)
    fetcher._records = {}
    fetcher._closed = True  # its own clean-up then has nothing to do
    popping = fetcher.fetched_records(set(), timeout=0)

    with pytest.raises(StopIteration) as done:
        popping.send(None)  # a coroutine that ends at its first step never suspended
    assert done.value.value == {}


def test_the_fetchers_private_parts_are_where_we_reach_for_them() -> None:
    assert callable(Fetcher._create_fetch_waiter)
    assert hasattr(SubscriptionState, "fetch_context")
    assert isinstance(SubscriptionState.reassignment_in_progress, property)
    started = source(AIOKafkaConsumer.start)
    assert in_order(started, "self._fetcher = Fetcher(", "self._coordinator = GroupCoordinator(")
    assert "self._subscription" in source(AIOKafkaConsumer)


def test_fetched_records_wait_undecoded_behind_a_generator_that_has_not_begun() -> None:
    made = source(PartitionRecords.__init__)
    for name in ("_records", "_check_crcs", "_isolation_level", "next_fetch_offset"):
        assert f"self.{name} = " in made
    assert "self._records_iterator = self._unpack_records()" in made
    assert inspect.isgeneratorfunction(PartitionRecords._unpack_records), "nothing is decoded before it is asked"
    assert "next(self._records_iterator)" in source(PartitionRecords.__next__)
    drained = source(FetchResult.getall)
    assert in_order(drained, "self.check_assignment(tp)", "for msg in self._partition_records", "_update_position()")
    assert "consumed_to(self._partition_records.next_fetch_offset)" in source(FetchResult._update_position)
    popping = source(Fetcher.fetched_records)
    assert in_order(popping, "type(res_or_error) is FetchResult", "getall(max_records)", "drained[tp] = records")
    stock = source(PartitionRecords._unpack_records)
    assert in_order(stock, "records.has_next()", "next_batch()", "validate_crc()", "is_control_batch", "next_offset")


def test_the_drivers_consumer_decodes_neither_keys_nor_values_nor_transactions() -> None:
    made = source(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert "deserializer" not in made
    assert in_order(made, '"read_uncommitted"', "if self.consumer.in_transaction", "isolation_level=isolation_level")


def test_a_batch_tells_where_it_ends_before_it_is_decoded() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    for at in range(3):
        builder.append(at, 1, b"key", b"value", [("version", b"3")])
    records = Fetched(bytes(builder.build()))
    assert issubclass(Fetched, MemoryRecords)
    assert records.size_in_bytes() == len(records.raw)
    batch = cast(Any, records.next_batch())

    assert (batch.next_offset, batch.is_control_batch, batch.validate_crc()) == (3, False, True)
    assert [(each.offset, each.key, each.headers) for each in batch][2] == (2, b"key", [("version", b"3")])


def test_the_client_makes_what_it_fetched_by_a_name_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "records = MemoryRecords(part_data[-1])" in source(Fetcher._proc_fetch_request)
    monkeypatch.setattr(fetching, "MemoryRecords", MemoryRecords)
    keep_bytes()
    assert Fetcher._proc_fetch_request.__globals__["MemoryRecords"] is Fetched


def test_a_write_past_the_log_is_in_the_files_once_flushed_and_a_flush_can_be_left_to_itself(tmp_path: Path) -> None:
    store = rocksdict.Rdict(str(tmp_path / "store"), rocksdict.Options(raw_mode=True))
    options: Any = rocksdict.WriteOptions()
    assert options.disable_wal is False, "a property"
    options.disable_wal = True
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.put(b"a", b"1")
    store.write(batch, options)
    assert sum(each.stat().st_size for each in (tmp_path / "store").glob("*.log")) == 0
    store.flush(wait=False)
    store.flush()
    assert len(list((tmp_path / "store").glob("*.sst"))) == 1
    store.close()


def test_before_work_begins_faust_tells_every_table_that_recovery_is_over_and_passes_over_what_it_raises() -> None:
    told = source(Recovery.on_recovery_completed)
    assert in_order(told, "table.on_recovery_completed(", "await asyncio.wait(callback_coros)", "on_rebalance_end()")
    assert "self.data.on_recovery_completed" in source(Collection.on_recovery_completed)
    assert "if self.tp_to_table[tp].recovery_buffer_size == 1" in source(Recovery._restart_recovery.fun)


def test_a_heartbeat_answers_truth_and_is_looked_up_on_the_instance() -> None:
    text = source(GroupCoordinator._do_heartbeat)

    assert "return True" in text
    assert "return False" in text
    assert "success = await self._do_heartbeat()" in source(GroupCoordinator._heartbeat_routine)


def test_the_coordinator_tells_what_the_group_committed_of_any_partition_and_tries_again_by_itself() -> None:
    asked = source(GroupCoordinator.fetch_committed_offsets)
    assert in_order(asked, "while True:", "err.retriable", "return offsets"), "so we put a bound to it"
    assert "assignment" not in asked, "of partitions of other members too"


async def test_the_ends_of_a_topic_that_metadata_leaves_out_are_not_told(settings: WorkerSettings) -> None:
    app = faust_app(settings)
    app.loop = asyncio.get_running_loop()
    thread = cast(BatchConsumer, app.consumer)._fetching
    thread.thread_loop.close()
    thread._consumer = cast(Any, SimpleNamespace(partitions_for_topic=lambda _: None))
    with pytest.raises(StaleMetadata):
        await thread.ends_of(["t.permission.events"])


async def test_an_override_of_rebalance_end_and_the_gate_are_of_one_app(settings: WorkerSettings) -> None:
    app = faust_app(settings)
    app.loop = asyncio.get_running_loop()
    consumer = app.consumer
    cast(Any, consumer)._thread.thread_loop.close()

    assert app.gate is consumer
    assert app.conf.id == settings.names.group("worker")
    assert isinstance(app.transport, driver.Transport)


def test_the_store_is_what_we_take_it_for(tmp_path: Path) -> None:
    assert Store.offset_key == b"__faust\0offset__"
    assert "self._dbs[partition]" in source(Store._db_for_partition)
    assert "raw_mode=True" in source(RocksDBOptions.as_options)
    path = str(tmp_path / "store")
    first = rocksdict.Rdict(path, rocksdict.Options(raw_mode=True))
    with pytest.raises(Exception, match=r"(?i)lock"):
        rocksdict.Rdict(path, rocksdict.Options(raw_mode=True))
    first[b"k"] = b"v"
    first.close()
    second = rocksdict.Rdict(path, rocksdict.Options(raw_mode=True))
    assert second[b"k"] == b"v"
    second.close()


def test_a_write_batch_is_whole(tmp_path: Path) -> None:
    store = rocksdict.Rdict(str(tmp_path / "store"), rocksdict.Options(raw_mode=True))
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.put(b"a", b"1")
    batch.delete(b"b")
    store.write(batch)
    assert (store.get(b"a"), store.get(b"b")) == (b"1", None)
    store.close()


def test_the_table_takes_our_changelogs_name(settings: WorkerSettings) -> None:
    worker = build(settings, Measures())

    assert worker.table.changelog_topic_name == settings.names.of("permission.state")
    assert settings.names.of("permission.state") in worker.app.batched_topics
    assert worker.table.recovery_buffer_size == 2
    assert "self.changelog_topic.get_topic_name()" in source(Collection.changelog_topic_name.fget)  # type: ignore[attr-defined]


def test_all_agents_stand_under_their_own_names(settings: WorkerSettings) -> None:
    worker = build(settings, Measures())

    assert sorted(name.rpartition(".")[2] for name in worker.app.agents) == ["actions", "business", "fold", "webhooks"]


def test_topics_drop_the_bound_of_their_queue_so_the_apps_holds(settings: WorkerSettings) -> None:
    app = faust_app(settings)
    channel = batched_topic(app, "t.x", maxsize=5)

    assert cast(Any, channel).maxsize != 5, "mended upstream: give batched_topic its own bound"
    assert app.conf.stream_buffer_maxsize == 64


def test_faust_calls_the_sensor_for_a_failed_send() -> None:
    assert hasattr(Sensor, "on_send_error")
    assert "on_send_error" in source(driver.Producer.send) + source(App) + source(topics)


def test_the_producer_is_idempotent_and_takes_hand_made_batches(settings: WorkerSettings) -> None:
    app = faust_app(settings)
    producer = app.transport.create_producer()

    made = {**cast(Any, producer)._settings_default(), **cast(Any, producer)._settings_extra()}
    assert (made["enable_idempotence"], made["acks"], made["compression_type"]) == (True, "all", "zstd")
    assert made["linger_ms"] == 0
    assert hasattr(cast(Any, producer), "_producer")
    assert callable(AIOKafkaProducer.create_batch)
    assert callable(AIOKafkaProducer.send_batch)


def test_the_first_record_of_a_batch_may_exceed_its_size_and_a_full_one_says_none() -> None:
    batch = BatchBuilder(100, 0)
    headers: list[tuple[str, bytes]] = []

    assert batch.append(key=b"k", value=b"x" * 500, timestamp=1, headers=headers) is not None
    assert batch.append(key=b"k", value=b"x", timestamp=1, headers=headers) is None


def test_a_message_prints_none_of_its_value(caplog: pytest.LogCaptureFixture) -> None:
    batch: Any = ["447700900123"]
    message = ConsumerMessage("t", 0, 7, 0.0, 0, [], None, batch, None, 0, 0, TP("t", 0))

    assert "447700900123" not in repr(message)
    with caplog.at_level(logging.INFO):
        logging.getLogger("streams.worker").info("%r", message)
    assert "447700900123" not in caplog.text


def test_timers_ask_who_leads_at_each_turn() -> None:
    assert "self.is_leader()" in source(App.timer)
    assert callable(App.is_leader)
    assert callable(PartitionAssignor.assigned_actives)


def test_recovery_asks_where_each_partition_stands_before_it_seeks_and_our_look_is_there(
    settings: WorkerSettings,
) -> None:
    text = source(Recovery._restart_recovery.fun)
    assert in_order(
        text, "self._build_highwaters", "active_highwaters", "self._build_offsets", '"active"', "_seek_offsets"
    )
    assert list(inspect.signature(Recovery._build_offsets).parameters) == [
        "self",
        "consumer",
        "tps",
        "destination",
        "title",
    ]
    assert isinstance(cast(TableManager, faust_app(settings).tables).recovery, CheckedRecovery)


def test_every_opening_of_a_store_goes_through_ours(settings: WorkerSettings) -> None:
    assert "self._open_for_partition(partition)" in source(Store._db_for_partition)
    assert "self._new_store()" in source(Collection.data.fget)
    assert isinstance(build(settings, Measures()).table.data, LocalStore)


def test_faust_shows_no_data_by_http(settings: WorkerSettings) -> None:
    conf = faust_app(settings).conf
    assert (conf.web_enabled, conf.web_tables_enabled, conf.web_router_enabled) == (False, False, False)
