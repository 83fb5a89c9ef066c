"""What the gateway counts, shown to Prometheus under the names of `schemas.metrics`.

Owns the numbers and their label values, all closed sets: doors, outcomes, reasons, and the names of configured secrets.
Refuses to give birth to a name. Plain integers that become metric families when somebody scrapes: a counter object
costs ten times an addition, at four a webhook.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from schemas.metrics import GATEWAY
from streams.gateway.answers import Counted
from streams.gateway.settings import TOKENS_SETTING

KIND: Final = CONTENT_TYPE_LATEST.encode()
_BY_NAME: Final = {metric.name: metric for metric in GATEWAY}
_BOUNDS_S: Final = _BY_NAME["callgrant_gateway_acknowledge_seconds"].buckets


class Door(NamedTuple):
    """Whose door, and what comes in by it."""

    provider: str
    kind: Literal["webhook", "verification", "action", "other"]


META: Final = Door("meta", "webhook")
VERIFICATION: Final = Door("meta", "verification")
BY_TOKEN: Final = {provider: Door(provider, "webhook") for provider in TOKENS_SETTING}
ACTIONS: Final = Door("business", "action")
OTHER: Final = Door("none", "other")
SLOTTED: Final = (META, *BY_TOKEN.values(), ACTIONS)
"""Doors with a secret that has slots."""


class Counters(Collector):
    """One set per process."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[Door, Counted]] = Counter()
        self.slots: Counter[tuple[Door, str]] = Counter()
        self.pending_bytes = 0
        self.connections = 0
        self.ready = False
        self.unusable: Mapping[str, bool] = {}
        self._acknowledged = [0] * (len(_BOUNDS_S) + 1)
        self._acknowledge_sum_s = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def know_slots(self, slots: Iterable[tuple[Door, tuple[str, ...]]]) -> None:
        """Show every configured slot from the start: one that stays 0 is the one to remove. After a change of secrets
        all start anew, as `current` is somebody else then."""
        self.slots = Counter({(door, slot): 0 for door, names in slots for slot in names})

    def acknowledged(self, after_s: float) -> None:
        self._acknowledged[bisect_left(_BOUNDS_S, after_s)] += 1
        self._acknowledge_sum_s += after_s

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        requests = [((*door, *counted), count) for (door, counted), count in self.requests.items()]
        yield _counter("callgrant_gateway_requests_total", requests)
        slots = [((*door, slot), count) for (door, slot), count in self.slots.items()]
        yield _counter("callgrant_gateway_signature_slots_total", slots)
        name = "callgrant_gateway_acknowledge_seconds"
        bounds = [*map(str, _BOUNDS_S), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._acknowledged), strict=True))
        histogram = HistogramMetricFamily(name, _BY_NAME[name].meaning)
        histogram.add_metric([], buckets, self._acknowledge_sum_s)
        yield histogram
        yield _gauge("callgrant_gateway_pending_bytes", {(): self.pending_bytes})
        yield _gauge("callgrant_gateway_connections", {(): self.connections})
        yield _gauge("callgrant_gateway_ready", {(): self.ready})
        yield _gauge("callgrant_gateway_secrets_unusable", {(name,): bad for name, bad in self.unusable.items()})


def _counter(name: str, counts: Iterable[tuple[tuple[str, ...], int]]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, _BY_NAME[name].meaning, labels=_BY_NAME[name].labels)
    for labels, count in counts:
        family.add_metric(labels, count)
    return family


def _gauge(name: str, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, _BY_NAME[name].meaning, labels=_BY_NAME[name].labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
