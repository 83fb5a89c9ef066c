from structlog.testing import capture_logs

from streams.gateway.answers import Counted
from streams.gateway.counters import META, Counters
from streams.gateway.refusals import Refusals


def test_a_flood_of_refusals_is_one_line_a_kind_and_silence_none() -> None:
    counters = Counters()
    refusals = Refusals(counters)
    counters.requests[META, Counted("unauthenticated", "wrong")] += 10_000
    counters.requests[META, Counted("unavailable", "away")] += 2
    counters.requests[META, Counted("accepted")] += 5
    with capture_logs() as lines:
        refusals.tell()
        refusals.tell()
        counters.requests[META, Counted("unavailable", "away")] += 1
        refusals.tell()
    assert [(line["provider"], line["kind"], line["outcome"], line["reason"], line["times"]) for line in lines] == [
        ("meta", "webhook", "unauthenticated", "wrong", 10_000),
        ("meta", "webhook", "unavailable", "away", 2),
        ("meta", "webhook", "unavailable", "away", 1),
    ]
