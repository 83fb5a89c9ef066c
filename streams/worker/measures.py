"""The worker's metrics as prometheus objects, made from the registry in `schemas.metrics`.

Owns one registry per process object. Refuses names and labels of its own, and labels that hold content.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeVar

from faust.types import TP
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from schemas.metrics import WORKER, Metric
from streams.worker.clock import now_s
from streams.worker.lives import Ended

_T = TypeVar("_T")
Subject = Literal["pair", "number"]
"""What a fact, or a row, is about."""
MAX_NAMES: Final = 100
"""Names of unknown things that get a series of their own."""
_BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in WORKER}


class Measures:
    """What the worker counts. What is a question (`committed_at` is on the monotonic clock) is asked at each scrape."""

    def __init__(self) -> None:
        began_at = time.monotonic()
        self.committed_at: Callable[[], float] = lambda: began_at
        self.halted: Callable[[], bool] = lambda: False
        self.ready: Callable[[], bool] = lambda: False
        self.lags: Callable[[], Mapping[TP, int]] = dict
        self.to_recover: Callable[[], int] = lambda: 0
        self.put_aside: Callable[[], int] = lambda: 0
        self.last_exit: Ended | None = None
        self.clock_apart_s: float | None = None
        self._ticked_to: int | None = None
        self.registry = CollectorRegistry()
        self.registry.register(_Asked(self))
        self._records = self._series("callgrant_worker_records_total")
        self._facts = self._series("callgrant_worker_facts_total")
        self._number_facts = self._series("callgrant_worker_number_facts_total")
        self._translated = self._series("callgrant_worker_translated_total")
        self._ignored = self._series("callgrant_worker_ignored_total")
        self._unknown = self._series("callgrant_worker_unknown_total")
        self._names: set[str] = set()
        self._deadletters = self._series("callgrant_worker_deadletters_total")
        self._changes = self._series("callgrant_worker_changes_total")
        batch = _BY_NAME["callgrant_worker_batch_seconds"]
        self._batch = Histogram(batch.name, batch.meaning, batch.labels, buckets=batch.buckets, registry=self.registry)
        self._by_agent: dict[str, tuple[Histogram, Histogram]] = {}
        age = _BY_NAME["callgrant_worker_last_commit_age_seconds"]
        Gauge(age.name, age.meaning, registry=self.registry).set_function(
            lambda: time.monotonic() - self.committed_at()
        )
        size = _BY_NAME["callgrant_worker_batch_records"]
        self._size = Histogram(size.name, size.meaning, size.labels, buckets=size.buckets, registry=self.registry)
        self._fold_s = self._counter("callgrant_worker_fold_seconds_total")
        for name, ask in {
            "callgrant_worker_halted": lambda: float(self.halted()),
            "callgrant_worker_ready": lambda: float(self.ready()),
            "callgrant_worker_stores_put_aside": lambda: float(self.put_aside()),
        }.items():
            Gauge(name, _BY_NAME[name].meaning, registry=self.registry).set_function(ask)

    def _counter(self, name: str) -> Counter:
        metric = _BY_NAME[name]
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _series(self, name: str) -> "_Series":
        return _Series(self._counter(name))

    def batch(self, agent: str, records: int, began_at: float) -> None:
        """One batch is done; `began_at` on the monotonic clock."""
        took, size = self._by_agent.get(agent) or self._by_agent.setdefault(
            agent, (self._batch.labels(agent), self._size.labels(agent))
        )
        self._records.add(records, agent)
        took.observe(time.monotonic() - began_at)
        size.observe(records)

    def folded(self, seconds: float) -> None:
        """Time spent in the fold of facts of pairs itself, waits left out."""
        self._fold_s.inc(seconds)

    def facts(self, *, new: int, repeated: int, late: int, of_a: Subject = "pair") -> None:
        """Facts folded. Those of numbers are counted apart: the time of their fold is not told."""
        if of_a == "number":
            _add(self._number_facts, {"new": new, "repeated": repeated})
        else:
            _add(self._facts, {"new": new, "repeated": repeated, "late": late})

    def translated(self, made: Mapping[tuple[str, str], int]) -> None:
        """Facts made of raw records, by provider and type."""
        for (provider, kind), count in made.items():
            self._translated.add(count, provider, kind)

    def unknown(self, named: Mapping[str, int]) -> None:
        """What payloads call what nobody documented, as `kind:name`. Whoever writes payloads must not make series."""
        for each, count in named.items():
            kind, _, name = each.partition(":")
            if each not in self._names:
                if len(self._names) >= MAX_NAMES:
                    name = "other"
                else:
                    self._names.add(each)
            self._unknown.add(count, kind, name)

    def ignored(self, kinds: Mapping[str, int]) -> None:
        """Parts that carry nothing for us."""
        _add(self._ignored, kinds)

    def parked(self, reasons: Mapping[str, int]) -> None:
        """Dead letters written."""
        _add(self._deadletters, reasons)

    def ticked(self, until: int) -> None:
        """A tick counted up to `until`, epoch seconds."""
        self._ticked_to = max(until, self._ticked_to or 0)

    @property
    def tick_age_s(self) -> float | None:
        """Since the latest instant up to which a tick counted; None before the first."""
        return None if self._ticked_to is None else now_s() - self._ticked_to

    def changes(self, types: Mapping[str, int]) -> None:
        """Announcements sent."""
        _add(self._changes, types)

    def page(self) -> bytes:
        """All of them in Prometheus' text form."""
        return generate_latest(self.registry)


class _Asked(Collector):
    """What is known only when asked: its labels come and go with the assignment."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at each scrape, in the thread of the health server."""
        lag = _family("callgrant_worker_lag_records")
        nothing: Mapping[TP, int] = {}
        for tp, records in _or(nothing, self._measures.lags).items():
            lag.add_metric([tp.topic, str(tp.partition)], records)
        yield lag
        left = _family("callgrant_worker_recovery_remaining_records")
        left.add_metric([], _or(0, self._measures.to_recover))
        yield left
        ended = _family("callgrant_worker_last_exit")
        if (before := self._measures.last_exit) is not None:
            ended.add_metric([before.reason], before.at)
        yield ended
        clock = _family("callgrant_worker_clock_apart_seconds")
        if self._measures.clock_apart_s is not None:
            clock.add_metric([], self._measures.clock_apart_s)
        yield clock
        tick = _family("callgrant_worker_last_tick_age_seconds")
        if (age_s := self._measures.tick_age_s) is not None:
            tick.add_metric([], age_s)
        yield tick


def _family(name: str) -> GaugeMetricFamily:
    metric = _BY_NAME[name]
    return GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)


def _or(otherwise: _T, ask: Callable[[], _T]) -> _T:
    """Another thread's books may change while they are read: then this scrape goes without."""
    try:
        return ask()
    except (RuntimeError, AttributeError, KeyError, TypeError):
        return otherwise


class _Series:
    """The series of one counter, each looked up once: the library looks under a lock, for every batch and label."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._found: dict[tuple[str, ...], Counter] = {}

    def add(self, count: int, *labels: str) -> None:
        series = self._found.get(labels)
        if series is None:
            series = self._found[labels] = self._counter.labels(*labels)
        series.inc(count)


def _add(series: _Series, counts: Mapping[str, int]) -> None:
    for label, count in counts.items():
        series.add(count, label)
