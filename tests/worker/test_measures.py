"""What the worker counts: labels stay few, whatever a stranger writes."""

import orjson

from schemas.metrics import WORKER
from streams.worker.measures import MAX_NAMES, Measures
from streams.worker.translation import translate_batch
from tests.worker.seeded import raw_past
from tests.worker.stand_ins import record


def series(measures: Measures, name: str) -> list[str]:
    return [line for line in measures.page().decode().splitlines() if line.startswith(name + "{")]


def test_facts_are_counted_by_provider_and_type() -> None:
    measures = Measures()
    measures.translated({("meta", "message_status"): 2, ("gupshup", "permission_replied"): 1})

    assert series(measures, "callgrant_worker_translated_total") == [
        'callgrant_worker_translated_total{provider="meta",type="message_status"} 2.0',
        'callgrant_worker_translated_total{provider="gupshup",type="permission_replied"} 1.0',
    ]


def test_facts_of_numbers_are_counted_apart_from_those_whose_fold_is_timed() -> None:
    measures = Measures()
    measures.folded(0.5)
    measures.facts(new=3, repeated=2, late=0)
    measures.facts(new=7, repeated=1, late=0, of_a="number")

    assert series(measures, "callgrant_worker_facts_total") == [
        'callgrant_worker_facts_total{outcome="new"} 3.0',
        'callgrant_worker_facts_total{outcome="repeated"} 2.0',
        'callgrant_worker_facts_total{outcome="late"} 0.0',
    ]
    assert series(measures, "callgrant_worker_number_facts_total") == [
        'callgrant_worker_number_facts_total{outcome="new"} 7.0',
        'callgrant_worker_number_facts_total{outcome="repeated"} 1.0',
    ]


def test_unknown_names_have_a_series_each_until_there_are_too_many() -> None:
    measures = Measures()
    for number in range(3 * MAX_NAMES):
        measures.unknown({f"field_unknown:f{number}": 1, "message_unknown:first": 2})
    measures.unknown({"field_unknown:f0": 5})

    found = series(measures, "callgrant_worker_unknown_total")
    assert len(found) == MAX_NAMES + 1
    assert 'callgrant_worker_unknown_total{kind="field_unknown",name="f0"} 6.0' in found
    assert f'callgrant_worker_unknown_total{{kind="message_unknown",name="first"}} {6 * MAX_NAMES}.0' in found
    assert f'callgrant_worker_unknown_total{{kind="field_unknown",name="other"}} {2 * MAX_NAMES + 1}.0' in found


def test_every_registered_metric_of_the_worker_is_exposed() -> None:
    page = Measures().page().decode()

    for metric in WORKER:
        assert f"# HELP {metric.name.removesuffix('_total')}" in page


def test_a_batch_tells_what_it_made_and_what_nobody_documented() -> None:
    change = {"field": "a_field_of_tomorrow", "value": {}}
    body = orjson.dumps({"object": "whatsapp_business_account", "entry": [{"id": "9", "changes": [change]}]})
    headers = [("provider", b"meta")]
    good = next(raw for raw in raw_past(3, 40) if raw.topic == "webhooks.raw")

    done = translate_batch([record(body, headers=headers), record(good.value, headers=good.headers)] * 2, 1)

    assert done.unknown == {"field_unknown:a_field_of_tomorrow": 2}
    assert {provider for provider, _ in done.made} == {"meta"}
    assert sum(done.made.values()) >= 2
