"""This process's numbers, made from the names of `schemas/metrics.py`.

Owns one registry a process object, so that two apps in one test do not meet. No label holds content: routes are
templates.
"""

from math import inf

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.metrics import API
from streams.api.freshness import Lag, Rows

_BY_NAME = {metric.name: metric for metric in API}


class Gauges:
    """The api's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("callgrant_api_requests_total")
        self.unreadable = self._counter("callgrant_api_unreadable_states_total")
        seconds = _BY_NAME["callgrant_api_answer_seconds"]
        self._seconds = Histogram(seconds.name, seconds.meaning, buckets=seconds.buckets, registry=self.registry)
        self.replica_lag_records = self._gauge("callgrant_api_replica_lag_records")
        self.pairs = self._gauge("callgrant_api_replica_pairs")
        self.outranked = self._gauge("callgrant_api_replica_outranked_records")
        self.lag_records = self._gauge("callgrant_api_lag_records")
        self.lag_seconds = self._gauge("callgrant_api_lag_seconds")
        self._children: dict[tuple[str, int], Counter] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One request is done."""
        child = self._children.get((route, status))
        if child is None:
            child = self._children[route, status] = self._requests.labels(route, str(status))
        child.inc()
        self._seconds.observe(seconds)

    def show(self, rows: Rows, lag: Lag) -> None:
        """Set the gauges to what holds now."""
        self.replica_lag_records.set(rows.lag_records)
        self.pairs.set(len(rows))
        self.outranked.set(rows.outranked)
        self.lag_records.set(lag.records)
        self.lag_seconds.set(inf if lag.seconds is None else lag.seconds)

    def text(self) -> bytes:
        """The registry in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str) -> Counter:
        metric = _BY_NAME[name]
        return Counter(name, metric.meaning, metric.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        metric = _BY_NAME[name]
        return Gauge(name, metric.meaning, metric.labels, registry=self.registry)
