"""Every metric: its name, kind, unit, labels and meaning. The one place where a metric name is born.

Owns the registry as data; each process makes its own prometheus objects from it. Labels have small closed value sets
and never hold content (promise 7).
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `unit` is spelled out; seconds and bytes follow Prometheus' own convention."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_LATENCY_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

GATEWAY: Final[tuple[Metric, ...]] = (
    Metric(
        name="callgrant_gateway_requests_total",
        kind="counter",
        unit="requests",
        labels=("provider", "kind", "outcome", "reason"),
        meaning="Requests by door (provider meta, gupshup, …, business; kind webhook, verification, action, other), "
        "outcome (accepted, answered, unauthenticated, refused, unavailable, gone) and reason (wrong, too_large, …).",
    ),
    Metric(
        name="callgrant_gateway_signature_slots_total",
        kind="counter",
        unit="requests",
        labels=("provider", "kind", "slot"),
        meaning="Accepted requests by the slot of the secret that matched: shows when a rotated secret is unused.",
    ),
    Metric(
        name="callgrant_gateway_acknowledge_seconds",
        kind="histogram",
        unit="seconds",
        buckets=_LATENCY_S,
        meaning="From the whole body read to the broker's acknowledgement.",
    ),
    Metric(
        name="callgrant_gateway_pending_bytes",
        kind="gauge",
        unit="bytes",
        meaning="Bytes of records that wait for the broker's acknowledgement; at the bound the answer is 503.",
    ),
    Metric(
        name="callgrant_gateway_connections",
        kind="gauge",
        unit="connections",
        meaning="Open connections; beyond the bound a new one is told 503.",
    ),
    Metric(
        name="callgrant_gateway_ready",
        kind="gauge",
        unit="1",
        meaning="1 while the broker can acknowledge, 0 while it cannot.",
    ),
    Metric(
        name="callgrant_gateway_secrets_unusable",
        kind="gauge",
        unit="1",
        labels=("setting",),
        meaning="1 while the file of that setting cannot be used and the secrets before it go on holding.",
    ),
)
WORKER: Final[tuple[Metric, ...]] = (
    Metric(
        name="callgrant_worker_records_total",
        kind="counter",
        unit="records",
        labels=("agent",),
        meaning="Records worked, by agent (translate, fold, business).",
    ),
    Metric(
        name="callgrant_worker_facts_total",
        kind="counter",
        unit="facts",
        labels=("outcome",),
        meaning="Facts of pairs folded, by outcome (new, repeated, late: beyond the horizon, kept in the log, without "
        "effect).",
    ),
    Metric(
        name="callgrant_worker_number_facts_total",
        kind="counter",
        unit="facts",
        labels=("outcome",),
        meaning="Facts of business numbers folded, by outcome (new, repeated).",
    ),
    Metric(
        name="callgrant_worker_translated_total",
        kind="counter",
        unit="facts",
        labels=("provider", "type"),
        meaning="Facts made of what came in, by the provider whose dialect said so and by type; repeats included.",
    ),
    Metric(
        name="callgrant_worker_ignored_total",
        kind="counter",
        unit="items",
        labels=("kind",),
        meaning="Parts of webhooks that carry nothing for us, by kind; unknown kinds count as `unknown`.",
    ),
    Metric(
        name="callgrant_worker_unknown_total",
        kind="counter",
        unit="items",
        labels=("kind", "name"),
        meaning="Of what was ignored because nobody documented it: what payloads call it. The first names a process "
        "meets, short words without long numbers; all further ones count as `other`.",
    ),
    Metric(
        name="callgrant_worker_deadletters_total",
        kind="counter",
        unit="records",
        labels=("reason",),
        meaning="Records parked, by reason.",
    ),
    Metric(
        name="callgrant_worker_changes_total",
        kind="counter",
        unit="changes",
        labels=("type",),
        meaning="Announcements sent, by type.",
    ),
    Metric(
        name="callgrant_worker_batch_seconds",
        kind="histogram",
        unit="seconds",
        labels=("agent",),
        buckets=_LATENCY_S,
        meaning="One batch of one partition, from delivery to the acknowledgement of its last write.",
    ),
    Metric(
        name="callgrant_worker_last_commit_age_seconds",
        kind="gauge",
        unit="seconds",
        meaning="Since the broker last took offsets of this worker; ticks keep it low where nothing else comes.",
    ),
    Metric(
        name="callgrant_worker_last_tick_age_seconds",
        kind="gauge",
        unit="seconds",
        meaning="Since the instant up to which time has passed here; grows where ticks stop or facts wait anywhere.",
    ),
    Metric(
        name="callgrant_worker_halted",
        kind="gauge",
        unit="1",
        meaning="1 when the worker halted because most of what came could not be judged; a person is needed.",
    ),
    Metric(
        name="callgrant_worker_ready",
        kind="gauge",
        unit="1",
        meaning="1 while the worker is recovered, reads its sources and knows the numbers; 0 in a rebalance too.",
    ),
    Metric(
        name="callgrant_worker_lag_records",
        kind="gauge",
        unit="records",
        labels=("topic", "partition"),
        meaning="Records of a partition of this worker behind what it has committed, as of its last fetch.",
    ),
    Metric(
        name="callgrant_worker_batch_records",
        kind="histogram",
        unit="records",
        labels=("agent",),
        buckets=(1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
        meaning="Records of one batch: near 1,000 while a backlog is worked, few when all is current.",
    ),
    Metric(
        name="callgrant_worker_fold_seconds_total",
        kind="counter",
        unit="seconds",
        meaning="Time spent in the fold of facts of pairs itself, waits left out; over all of "
        "callgrant_worker_facts_total, whatever their outcome, it is the cost of one.",
    ),
    Metric(
        name="callgrant_worker_recovery_remaining_records",
        kind="gauge",
        unit="records",
        meaning="Records of the state topics still to be read before the worker is ready; 0 when it is recovered.",
    ),
    Metric(
        name="callgrant_worker_stores_put_aside",
        kind="gauge",
        unit="stores",
        meaning="Damaged local stores that this process put aside and made anew from their topic.",
    ),
    Metric(
        name="callgrant_worker_last_exit",
        kind="gauge",
        unit="seconds",
        labels=("reason",),
        meaning="When the life before this one ended or, where it was killed, began (epoch), by reason (stopped, "
        "killed, stalled, lane_failed, … as the exit codes).",
    ),
    Metric(
        name="callgrant_worker_clock_apart_seconds",
        kind="gauge",
        unit="seconds",
        meaning="By how much the broker's clock was ahead of this machine's when the worker started.",
    ),
)
API: Final[tuple[Metric, ...]] = (
    Metric(
        name="callgrant_api_requests_total",
        kind="counter",
        unit="requests",
        labels=("route", "status"),
        meaning="Questions by route and HTTP status.",
    ),
    Metric(
        name="callgrant_api_answer_seconds",
        kind="histogram",
        unit="seconds",
        buckets=_LATENCY_S,
        meaning="From question to answer.",
    ),
    Metric(
        name="callgrant_api_replica_lag_records",
        kind="gauge",
        unit="records",
        meaning="Records of permission.state not yet read.",
    ),
    Metric(
        name="callgrant_api_replica_pairs",
        kind="gauge",
        unit="pairs",
        meaning="Pairs the replica holds.",
    ),
    Metric(
        name="callgrant_api_replica_outranked_records",
        kind="gauge",
        unit="records",
        meaning="Records of permission.state that came after one of a higher version and were passed over.",
    ),
    Metric(
        name="callgrant_api_lag_records",
        kind="gauge",
        unit="records",
        meaning="Records between what the gateway acknowledged and what answers know, over all topics on the way.",
    ),
    Metric(
        name="callgrant_api_lag_seconds",
        kind="gauge",
        unit="seconds",
        meaning="Everything the gateway acknowledged this long ago is in the answers; infinite while unknown.",
    ),
    Metric(
        name="callgrant_api_unreadable_states_total",
        kind="counter",
        unit="rows",
        meaning="Questions refused because the stored state of the pair could not be read.",
    ),
)
PROJECTION: Final[tuple[Metric, ...]] = (
    Metric(
        name="callgrant_projection_records_total",
        kind="counter",
        unit="records",
        labels=("outcome",),
        meaning="Records by outcome (stored, parked).",
    ),
    Metric(
        name="callgrant_projection_insert_seconds",
        kind="histogram",
        unit="seconds",
        buckets=(*_LATENCY_S, 10.0, 30.0),
        meaning="One acknowledged insert.",
    ),
    Metric(
        name="callgrant_projection_lag_records",
        kind="gauge",
        unit="records",
        meaning="Records of permission.records not yet stored.",
    ),
    Metric(
        name="callgrant_projection_queries_total",
        kind="counter",
        unit="questions",
        labels=("question", "outcome"),
        meaning="Named questions asked, by outcome (answered, refused, failed).",
    ),
)
REGISTRY: Final = (*GATEWAY, *WORKER, *API, *PROJECTION)
