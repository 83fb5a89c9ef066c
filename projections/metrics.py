"""The projection's metrics as live objects, made from the registry in `schemas.metrics`. Owns nothing but that."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.metrics import PROJECTION


class Metrics:
    """One set of metrics; each process, and each test, has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        named = {metric.name: metric for metric in PROJECTION}

        def counter(name: str) -> Counter:
            return Counter(name, named[name].meaning, named[name].labels, registry=self._registry)

        insert = named["callgrant_projection_insert_seconds"]
        lag = named["callgrant_projection_lag_records"]
        self._records = counter("callgrant_projection_records_total")
        self._queries = counter("callgrant_projection_queries_total")
        self._insert = Histogram(insert.name, insert.meaning, registry=self._registry, buckets=insert.buckets)
        self._lag = Gauge(lag.name, lag.meaning, registry=self._registry)

    def records(self, outcome: str, count: int) -> None:
        """Records stored or parked."""
        if count:
            self._records.labels(outcome=outcome).inc(count)

    def inserted(self, took_s: float) -> None:
        """One acknowledged insert."""
        self._insert.observe(took_s)

    def lag(self, records: int) -> None:
        """Records not yet stored."""
        self._lag.set(records)

    def asked(self, question: str, outcome: str) -> None:
        """A named question was asked."""
        self._queries.labels(question=question, outcome=outcome).inc()

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
