"""The Faust app of a worker: its settings, its agents and tables, put together.

Owns every setting of Faust's and why it is so. Refuses what Faust would do by itself and lose data by: per-event
agents, writes to the table outside its batch, topics of its own making, its own web.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import mode

from schemas.topics import MAX_RECORD_BYTES
from streams.worker.agents import FOLDED, FOLLOWED, SOURCES, Fold, Translate
from streams.worker.at_work import Lane
from streams.worker.batches import BatchApp, batched_topic
from streams.worker.business import TOLD, Business
from streams.worker.exits import ExitOnSendError, Waiting
from streams.worker.following import Following
from streams.worker.lanes import Work, lanes
from streams.worker.measures import Measures
from streams.worker.numbers import Numbers
from streams.worker.outputs import Outbox, Sender
from streams.worker.places import CheckedTables
from streams.worker.rows import NumberRows, PairRows
from streams.worker.settings import WorkerSettings
from streams.worker.startup import member_of
from streams.worker.surroundings import Gate
from streams.worker.table import BatchTable, batch_table
from streams.worker.ticks import install_ticks
from streams.worker.transport import BatchProducer, BatchTransport
from streams.worker.watermark import PATIENCE_S, Watermark
from streams.worker.writing import Writer

FETCH_BYTES: Final = 5 << 20  # above a record of the largest size, which the broker counts with its frame
HAND_MADE_BATCH_BYTES: Final = 1_000_000
NUMBERS_CACHE_BYTES: Final = 8 << 20  # some thousand numbers at most
NUMBERS_BUFFER_BYTES: Final = 4 << 20


@dataclass(slots=True)
class Started:
    """What the agents find once Faust has started: the gate and the producer."""

    app: BatchApp

    @property
    def gate(self) -> Gate:
        """The consumer, as agents see it."""
        assert self.app.gate is not None  # noqa: S101 - agents run behind the gate
        return self.app.gate

    @property
    def sender(self) -> Sender:
        """The client's own producer: batches are made and awaited by hand."""
        return cast(Sender, self.producer()._ensure_producer())  # noqa: SLF001 - Faust has no public way to it

    def running_sender(self) -> Sender | None:
        """The same, None while Faust has not started it or has stopped it."""
        return cast("Sender | None", self.producer()._producer)  # noqa: SLF001 - likewise

    def producer(self) -> BatchProducer:
        """Faust's producer."""
        return cast(BatchProducer, self.app.producer)


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, put together and not yet started."""

    app: BatchApp
    table: BatchTable
    measures: Measures
    numbers: Numbers

    def ready(self) -> bool:
        """Recovered, no rebalance under way, sources being read, numbers known, not halted."""
        app = self.app
        tables = app.tables
        return bool(
            app.halt.reason is None
            and app.reads_sources
            and self.numbers.is_fresh
            and tables.actives_ready
            and not app.rebalancing
            and not tables.recovery.in_recovery  # type: ignore[attr-defined]
        )

    def halted(self) -> str | None:
        """Why nothing is worked any more; None while it is."""
        return self.app.halt.reason

    def at_work(self) -> dict[Lane, int]:
        """For the watchdog, lane by lane. A halted worker's lanes have nothing to get on with, one whose gate is shut
        waits for the broker.
        """
        return {} if self.halted() or not self.app.reads_sources else self.app.halt.at_work.marks()

    def waits_at(self, lane: Lane) -> str:
        """For the watchdog's last words."""
        return self.app.halt.at_work.waits_at(lane)

    def progress(self) -> tuple[object, Waiting | None]:
        """For the watchdog. Before there is a consumer, what is waited for is the first rebalance."""
        if self.app.halt.reason is not None:
            return None, None  # to stay and say why is all a halted worker has to do
        return self.app.gate.progress() if self.app.gate is not None else (None, "rebalance")


def faust_app(settings: WorkerSettings) -> BatchApp:
    """The bare app: no topics, agents or tables yet."""
    app = BatchApp(
        # Group, leader topic and store folder follow the id, so the generation is in it; `version` stays 1.
        settings.names.group("worker"),
        broker=[f"kafka://{address.strip()}" for address in settings.kafka_bootstrap.split(",")],
        datadir=settings.folder / f"g{settings.generation}",
        store="rocksdb://",
        autodiscover=False,
        # A stock supervisor would go on with the next event and commit over the one that failed.
        agent_supervisor=mode.CrashingSupervisor,
        TableManager=CheckedTables,  # stock recovery passes over rows that were deleted
        topic_allow_declare=False,  # `callgrant topics create` makes them; Faust's declaring races
        topic_partitions=settings.partitions,
        table_standby_replicas=0,  # rebuilding is fast; standbys are untested, and not fetched (`fetching`)
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=1.0,  # a leaving member stops its partitions for at most this and a bit
        broker_commit_interval=1.0,
        consumer_group_instance_id=member_of(settings) if settings.static else None,
        broker_request_timeout=90.0,  # one time-out ends Faust's recovery for good
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=3600.0,  # idle members must not rejoin
        # A record of the largest size must pass producer and consumer; their own default is 1 MB.
        producer_max_request_size=MAX_RECORD_BYTES,
        consumer_max_fetch_size=FETCH_BYTES,
        producer_acks=-1,
        producer_linger=0.0,  # batches are made by hand, waiting for more would only cost time
        producer_max_batch_size=HAND_MADE_BATCH_BYTES,
        producer_compression_type="zstd",
        producer_request_timeout=60.0,  # the client's batch expiry; 20 minutes by default
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=64,  # counts batches of up to 1,000 records; the default is 4,096
        web_enabled=False,
        web_tables_enabled=False,  # it would show rows to anyone
        web_router_enabled=False,
        # Unique and stable: the assignor tells workers apart by it. Nothing listens there for Faust.
        canonical_url=f"http://{settings.bind}:{settings.port}",
        worker_redirect_stdouts=False,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    app.sensors.add(ExitOnSendError())
    return app


def build(settings: WorkerSettings, measures: Measures) -> Worker:
    """The whole worker."""
    names = settings.names
    app = faust_app(settings)
    measures.committed_at = lambda: app.committed_at
    measures.halted = lambda: app.halt.reason is not None
    measures.lags = lambda: app.gate.lags() if app.gate is not None else {}
    measures.to_recover = lambda: app.gate.to_recover() if app.gate is not None else 0
    started = Started(app)
    outbox = Outbox(names)
    numbers = Numbers(settings)
    partitions, park_until_at = settings.partitions, settings.park_until_at
    pairs = batch_table(
        app,
        name="pairs",
        changelog=names.of("permission.state"),
        partitions=partitions,
        form=PairRows(settings.policy, numbers.of),
        facts=names.of("permission.events"),
    )
    businesses = batch_table(
        app,
        name="numbers",
        changelog=names.of("business.state"),
        partitions=partitions,
        form=NumberRows(),
        facts=names.of(TOLD),
        cache_bytes=NUMBERS_CACHE_BYTES,
        buffer_bytes=NUMBERS_BUFFER_BYTES,
    )
    measures.put_aside = lambda: pairs.put_aside + businesses.put_aside
    translate = Translate(started, outbox, measures, partitions, numbers, park_until_at)
    fold = Fold(
        started,
        pairs,
        Writer(started, pairs, outbox, measures, hands_on=not settings.only_folds),
        measures,
        names=names,
        policy=settings.policy,
        partitions=partitions,
        numbers=numbers,
        park_until_at=park_until_at,
        moved=lambda partition: app.halt.at_work.moved(Lane("fold", partition)),
    )
    business = Business(
        businesses,
        Writer(started, businesses, outbox, measures, of_a="number"),
        measures,
        names=names,
        partitions=partitions,
        park_until_at=park_until_at,
    )
    app.task(numbers.follow)

    def agent(name: str, topics: Iterable[str], work: Work) -> None:
        # Named: two agents made by `lanes` without a name would share one, and the second replace the first in silence.
        # Concurrency stays 1: the lanes are the parallelism.
        app.agent(batched_topic(app, *map(names.of, topics)), name=name)(lanes(name, work, app.halt))

    agent("fold", FOLLOWED if settings.only_folds else FOLDED, fold.work)
    agent("business", [TOLD], business.work)
    if settings.only_folds:
        following = Following(settings)
        app.leash = following.leash
        app.task(following.run)
        return Worker(app, pairs, measures, numbers)
    for source in SOURCES:  # lanes of their own: no order holds between the two
        agent(source.removesuffix(".raw"), [source], translate.work)
        app.raw_topics.add(names.of(source))
    stages = (tuple(map(names.of, SOURCES)), (names.of("permission.events"),))
    watermark = Watermark(stages, min(PATIENCE_S, settings.tick_every_s / 2))
    install_ticks(app, started.running_sender, outbox, partitions, settings.tick_every_s, watermark)
    return Worker(app, pairs, measures, numbers)
