"""The worker's metrics as prometheus objects, made from the registry in `schemas.metrics`.

Owns one registry per process object. Refuses names and labels of its own, and labels that hold content.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.metrics import WORKER, Metric

MAX_NAMES: Final = 100
"""Names of unknown things that get a series of their own."""
_BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in WORKER}


class Measures:
    """What the worker counts. `committed_at` (on the monotonic clock) and `halted` are asked at each scrape."""

    def __init__(self) -> None:
        began_at = time.monotonic()
        self.committed_at: Callable[[], float] = lambda: began_at
        self.halted: Callable[[], bool] = lambda: False
        self.registry = CollectorRegistry()
        self._records = self._counter("callgrant_worker_records_total")
        self._facts = self._counter("callgrant_worker_facts_total")
        self._translated = self._counter("callgrant_worker_translated_total")
        self._ignored = self._counter("callgrant_worker_ignored_total")
        self._unknown = self._counter("callgrant_worker_unknown_total")
        self._names: set[str] = set()
        self._deadletters = self._counter("callgrant_worker_deadletters_total")
        self._changes = self._counter("callgrant_worker_changes_total")
        batch = _BY_NAME["callgrant_worker_batch_seconds"]
        self._batch = Histogram(batch.name, batch.meaning, batch.labels, buckets=batch.buckets, registry=self.registry)
        age = _BY_NAME["callgrant_worker_last_commit_age_seconds"]
        Gauge(age.name, age.meaning, registry=self.registry).set_function(
            lambda: time.monotonic() - self.committed_at()
        )
        halted = _BY_NAME["callgrant_worker_halted"]
        Gauge(halted.name, halted.meaning, registry=self.registry).set_function(lambda: float(self.halted()))

    def _counter(self, name: str) -> Counter:
        metric = _BY_NAME[name]
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def batch(self, agent: str, records: int, began_at: float) -> None:
        """One batch is done; `began_at` on the monotonic clock."""
        self._records.labels(agent).inc(records)
        self._batch.labels(agent).observe(time.monotonic() - began_at)

    def facts(self, *, new: int, repeated: int, late: int) -> None:
        """Facts folded."""
        _add(self._facts, {"new": new, "repeated": repeated, "late": late})

    def translated(self, made: Mapping[tuple[str, str], int]) -> None:
        """Facts made of raw records, by provider and type."""
        for (provider, kind), count in made.items():
            self._translated.labels(provider, kind).inc(count)

    def unknown(self, named: Mapping[str, int]) -> None:
        """What payloads call what nobody documented, as `kind:name`. Whoever writes payloads must not make series."""
        for each, count in named.items():
            kind, _, name = each.partition(":")
            if each not in self._names:
                if len(self._names) >= MAX_NAMES:
                    name = "other"
                else:
                    self._names.add(each)
            self._unknown.labels(kind, name).inc(count)

    def ignored(self, kinds: Mapping[str, int]) -> None:
        """Parts that carry nothing for us."""
        _add(self._ignored, kinds)

    def parked(self, reasons: Mapping[str, int]) -> None:
        """Dead letters written."""
        _add(self._deadletters, reasons)

    def changes(self, types: Mapping[str, int]) -> None:
        """Announcements sent."""
        _add(self._changes, types)

    def page(self) -> bytes:
        """All of them in Prometheus' text form."""
        return generate_latest(self.registry)


def _add(counter: Counter, counts: Mapping[str, int]) -> None:
    for label, count in counts.items():
        counter.labels(label).inc(count)
