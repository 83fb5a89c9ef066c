"""What the gateway counts, shown to Prometheus under the names of `schemas.metrics`.

Owns the numbers and their label values, all closed sets. Refuses to give birth to a name. Plain integers that become
metric families when somebody scrapes: a counter object costs ten times an addition, at four a webhook.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from schemas.metrics import GATEWAY
from streams.gateway.answers import OutcomeLabel

KIND: Final = CONTENT_TYPE_LATEST.encode()
Door = Literal["meta", "verification", "actions", "closed", "other"]
_BY_NAME: Final = {metric.name: metric for metric in GATEWAY}
_BOUNDS_S: Final = _BY_NAME["callgrant_gateway_acknowledge_seconds"].buckets


class Counters(Collector):
    """One set per process."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[Door, OutcomeLabel]] = Counter()
        self.slots: Counter[tuple[Door, str]] = Counter()
        self.pending_bytes = 0
        self.ready = False
        self._acknowledged = [0] * (len(_BOUNDS_S) + 1)
        self._acknowledge_sum_s = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def know_slots(self, door: Door, slots: Iterable[str]) -> None:
        """Show every configured slot from the start: one that stays 0 is the one to remove."""
        for slot in slots:
            self.slots[door, slot] = 0

    def acknowledged(self, after_s: float) -> None:
        self._acknowledged[bisect_left(_BOUNDS_S, after_s)] += 1
        self._acknowledge_sum_s += after_s

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        yield _counter("callgrant_gateway_requests_total", self.requests.items())
        yield _counter("callgrant_gateway_signature_slots_total", self.slots.items())
        name = "callgrant_gateway_acknowledge_seconds"
        bounds = [*map(str, _BOUNDS_S), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._acknowledged), strict=True))
        histogram = HistogramMetricFamily(name, _BY_NAME[name].meaning)
        histogram.add_metric([], buckets, self._acknowledge_sum_s)
        yield histogram
        yield _gauge("callgrant_gateway_pending_bytes", self.pending_bytes)
        yield _gauge("callgrant_gateway_ready", self.ready)


def _counter(name: str, counts: Iterable[tuple[tuple[str, str], int]]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, _BY_NAME[name].meaning, labels=_BY_NAME[name].labels)
    for labels, count in counts:
        family.add_metric(labels, count)
    return family


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, _BY_NAME[name].meaning, value=value)
