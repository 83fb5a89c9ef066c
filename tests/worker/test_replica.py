"""The storm's reader itself: it must be able to find a loss."""

from typing import Any

import pytest

from schemas.events import PairFact
from schemas.marks import Link
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import encode_state
from streams.permission.step import step
from tests.permission.story import HOUR, NUMBER, PRODUCTION, T0, USER, delivered, replied, sent
from tests.worker.replica import LostEvidence, kept_by_version
from tests.worker.stand_ins import Record, record

KEY = f"{NUMBER}/{USER}".encode()
STORY: list[PairFact] = [sent("r1", T0), delivered("r1", T0 + 5), replied("m1", T0 + HOUR, to="r1", permanent=True)]


def states() -> list[PairState]:
    """The pair after each fact of the story."""
    made = [PairState(phone_number_id=NUMBER, user=USER)]
    for fact in STORY:
        made.append(step(made[-1], fact, DEFAULT_POLICY, PRODUCTION).state)
    return made[1:]


def log_of(*rows: PairState | None) -> list[Record]:
    return [record(None if state is None else encode_state(state), key=KEY, offset=at) for at, state in enumerate(rows)]


def test_a_pair_that_only_grows_is_kept_as_it_is_last() -> None:
    first, second, third = states()

    assert kept_by_version(log_of(first, second, second, first, third)) == {KEY: third}


def test_records_are_read_by_their_offsets_however_they_were_fetched() -> None:
    assert kept_by_version(reversed(log_of(*states()))) == {KEY: states()[-1]}


@pytest.mark.parametrize(
    ("field", "told"), [("decisions", "1 decisions"), ("requests", "a request"), ("delivered_at", "delivered_at")]
)
def test_a_higher_version_that_knows_less_is_a_loss(field: str, told: str) -> None:
    last = states()[-1]
    if field == "delivered_at":
        poorer = last._replace(requests=tuple(each._replace(delivered_at=None) for each in last.requests))
    else:
        gone: dict[str, Any] = {field: ()}
        poorer = last._replace(**gone)

    for version in (last.version, last.version + 1):
        with pytest.raises(LostEvidence, match=f"offset 3: .* lost {told}"):
            kept_by_version(log_of(*states(), poorer._replace(version=version)))


def test_a_pair_that_is_taken_back_is_a_loss() -> None:
    with pytest.raises(LostEvidence, match="offset 1"):
        kept_by_version(log_of(states()[0], None))


def test_a_pair_that_hands_its_evidence_on_loses_nothing_but_a_link_must_stay() -> None:
    last = states()[-1]
    link = Link(T0, "447700900123")
    forwarding = PairState(phone_number_id=NUMBER, user=last.user, version=last.version + 1, links=(link,))
    assert kept_by_version(log_of(*states(), forwarding)) == {KEY: forwarding}

    other = forwarding._replace(version=forwarding.version + 1, links=(link._replace(wa_id="447700900124"),))
    with pytest.raises(LostEvidence, match="lost a link"):
        kept_by_version(log_of(*states(), forwarding, other))
