"""What the worker is measured against:
`python -m tests.bench.worker_peers <faust|loop> <bootstrap> <prefix> <folder>`.

`faust`: a plain agent with a Table, event by event, as Faust's own documentation shows it, under the worker's event
loop, store and compression. `loop`: aiokafka by hand with all the tricks we know (batches made by hand, the fold of a
whole batch, a dict for a store): what nobody can go far below, and what loses its state when it ends. Both read
`permission.events` and write changes, records and state.
"""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.policy import DEFAULT_POLICY
from schemas.topics import MAX_RECORD_BYTES, TopicNames
from streams.permission.number import Number, number_in
from streams.worker.clock import now_ms
from streams.worker.fold import FactFold
from streams.worker.outputs import Sent, queue
from tests.bench.past import BATCH, PARTITIONS
from tests.bench.stage import BATCH_BYTES

COMMIT_EVERY_S = 1.0


def faust_agent(bootstrap: str, names: TopicNames, folder: Path) -> None:
    """Runs until killed."""
    import mode.loop

    mode.loop.use("uvloop")
    import faust

    from tests.bench.one import fold_one

    app = faust.App(
        names.group("faust"),
        broker=f"kafka://{bootstrap}",
        datadir=folder,
        store="rocksdb://",
        autodiscover=False,
        topic_partitions=PARTITIONS,
        table_standby_replicas=0,
        broker_commit_interval=COMMIT_EVERY_S,
        producer_acks=-1,
        producer_compression_type="zstd",
        producer_max_batch_size=BATCH_BYTES,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    facts, changes, records = (
        app.topic(names.of(f"permission.{name}"), **raw) for name in ("events", "changes", "records")
    )
    pairs = app.Table("pairs", partitions=PARTITIONS, key_type=bytes, value_type=bytes)

    @app.on_rebalance_complete.connect
    async def recovered(*_: Any, **__: Any) -> None:
        print("recovered", flush=True)

    @app.agent(facts)
    async def fold(stream: Any) -> None:
        async for event in stream.events():
            key = event.key
            done = fold_one(event.value, pairs.get(key))
            for change in done.changes:
                await changes.send(key=key, value=change.value, headers=change.headers)
            if done.record is not None:
                await records.send(key=key, value=done.record.value, headers=done.record.headers)
            if done.row is not None:
                pairs[key] = done.row

    faust.Worker(app, loglevel="warning").execute_from_commandline()


async def loop(bootstrap: str, names: TopicNames) -> None:
    """Runs until killed."""
    known: dict[str, Number] = {}

    def number(name: str) -> Number:
        if name not in known:
            known[name] = number_in(DEFAULT_POLICY, name)
        return known[name]

    consumer = AIOKafkaConsumer(
        names.of("permission.events"),
        bootstrap_servers=bootstrap,
        group_id=names.group("loop"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=100,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_request_size=MAX_RECORD_BYTES,
        max_batch_size=BATCH_BYTES,
    )
    await consumer.start()
    await producer.start()
    store: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    while True:
        got = await consumer.getmany(timeout_ms=200, max_records=PARTITIONS * BATCH)
        sent: list[Sent] = []
        folded = {}
        for tp, arrived in got.items():
            fold = FactFold(store[tp.partition].get, DEFAULT_POLICY, PARTITIONS, number)
            for each in arrived:
                fold.take(each)
            done = folded[tp.partition] = fold.finish()
            for name, rows in (("changes", done.changes), ("records", done.records)):
                sent += await queue(producer, names.of(f"permission.{name}"), tp.partition, rows, now_ms())
        await asyncio.gather(*(each.acknowledged for each in sent))
        sent.clear()
        for partition, done in folded.items():
            rows = list(done.rows.values())
            sent += await queue(producer, names.of("permission.state"), partition, rows, now_ms())
        await asyncio.gather(*(each.acknowledged for each in sent))
        for partition, done in folded.items():
            store[partition].update({key: row.value for key, row in done.rows.items() if row.value is not None})
        if got:
            await consumer.commit()


if __name__ == "__main__":
    peer, bootstrap, prefix, folder = sys.argv[1:]
    if peer == "faust":
        faust_agent(bootstrap, TopicNames(prefix, 1), Path(folder))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(loop(bootstrap, TopicNames(prefix, 1)))
