"""The second fold, beside announcements of a worker that ticked, crashed and learned of its numbers on the way."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from deploy.verify_compare import GRACE_S, compare_deadlines
from deploy.verify_report import Findings
from schemas.actions import instant
from schemas.changes import change_id, encode_change
from schemas.codec import encode_fact
from schemas.events import PairFact, PermissionReplied, RequestSent, UsersLinked
from schemas.ids import Pair, derived_id
from schemas.policy import DEFAULT_POLICY
from schemas.state import PairState
from schemas.state_row import encode_state
from streams.permission.number import Number
from streams.permission.step import pass_time, step
from streams.providers.registry import translate
from streams.replay.verify_fold import PartitionFold, doubled, invented, lost
from streams.replay.verify_rows import Rows
from streams.replay.verify_state import Winners, unlike
from streams.replay.verify_told import Heard, NotOne, told_of
from tests.worker.seeded import RECEIVED_MS, raw_past

SANDBOX = Number(profile="sandbox")
AT = instant("2026-03-25T00:00:00Z")


@dataclass
class Numbers:
    """A number that is a sandbox, which became known late."""

    now: Number = field(default_factory=Number)
    earlier: tuple[Number, ...] = ()

    def of(self, _name: str) -> Number:
        return self.now

    def once(self, _name: str) -> Sequence[Number]:
        return self.earlier


@dataclass
class Worker:
    """What a worker does to one partition, in memory: batches, ticks between them, crashes before the commit."""

    draw: random.Random
    states: dict[bytes, PairState] = field(default_factory=dict)
    changes: list[tuple[bytes, dict[str, Any]]] = field(default_factory=list)
    records: dict[bytes, Rows] = field(default_factory=dict)
    number: Number = field(default_factory=Number)
    written_ms: list[int] = field(default_factory=list)
    """When each of the changes was written: of the n-th fact not before n ms."""

    def work(
        self, facts: Sequence[PairFact], learn_at: int | None = None, ticks: bool = True, undone: float = 0
    ) -> None:
        at = 0
        while at < len(facts):
            size = self.draw.randint(1, 40)
            batch = facts[at : at + size]
            if self.draw.random() < 0.2:  # written, but not committed: it comes again
                self._batch(batch)
            self._batch(batch)
            at += size
            self._wrote(at)
            if learn_at is not None and at > learn_at:
                self.number = SANDBOX
            if ticks and self.draw.random() < 0.3:
                self.tick(
                    max(fact.occurred_at for fact in facts[:at]), undone=undone > 0 and self.draw.random() < undone
                )
                self._wrote(at)

    def tick(self, until: int, *, undone: bool = False) -> None:
        """`undone`: the worker dies when it has announced, and before it has stored."""
        before, told = dict(self.states), dict(self.records)
        for key, state in before.items():
            done = pass_time(state, until, DEFAULT_POLICY, self.number)
            self._told(key, state, done.state, done.changes, done.record)
        if undone:
            self.states, self.records = before, told

    def _wrote(self, facts: int) -> None:
        self.written_ms += [RECEIVED_MS + facts] * (len(self.changes) - len(self.written_ms))

    def _batch(self, facts: Iterable[PairFact]) -> None:
        for fact in facts:
            key = Pair(fact.phone_number_id, fact.user).key
            state = self.states.get(key) or PairState(phone_number_id=fact.phone_number_id, user=fact.user)
            done = step(state, fact, DEFAULT_POLICY, self.number)
            self._told(key, state, done.state, done.changes, done.record)

    def _told(self, key: bytes, before: PairState, state: PairState, changes: Iterable[Any], record: Any) -> None:
        if state is before:
            return
        self.states[key] = state
        self.changes += [(key, change) for change in changes]
        if record is not None:
            self.records.setdefault(key, Rows()).take(record)


def past(seed: int, facts: int = 150, *, late: bool = False, linked: bool = False) -> list[PairFact]:
    found: list[PairFact] = []
    for raw in raw_past(seed, facts, users=12):
        received_s = RECEIVED_MS // 1000 + (40 * 86_400 if late and len(found) % 5 == 0 else 0)
        provider = "actions" if raw.topic == "actions.raw" else "meta"
        translated = translate(provider, raw.value, received_s).facts
        found += [fact for fact in translated if isinstance(fact, PairFact)]
    return [fact for fact in found if linked or fact.type != "users_linked"]


def fold(facts: Iterable[PairFact], worker: Worker, numbers: Numbers | None = None, cut: int = 0) -> PartitionFold:
    heard: dict[bytes, Heard] = {}
    for key, change in worker.changes[cut:]:
        heard.setdefault(key, Heard()).take(told_of(key, encode_change(change)))
    cut_ms = worker.written_ms[cut] if cut else 0
    done = PartitionFold(DEFAULT_POLICY, numbers or Numbers(), (0, 1), heard, cut_ms)
    for place, fact in enumerate(facts):
        done.take(Pair(fact.phone_number_id, fact.user).key, encode_fact(fact), RECEIVED_MS + place)
    done.finish()
    return done


def found_in(done: PartitionFold, cut_ms: int = 0) -> dict[str, int]:
    pairs = done.pairs.values()
    return {
        "lost": sum(1 for pair in pairs for _ in lost(pair, cut_ms)),
        "invented": sum(len(invented(pair)) for pair in pairs),
        "doubled": sum(map(doubled, pairs)),
    }


NOTHING = {"lost": 0, "invented": 0, "doubled": 0}


@pytest.mark.parametrize("seed", range(4))
def test_ticks_and_batches_that_come_again_are_no_difference(seed: int) -> None:
    facts, worker = past(seed), Worker(random.Random(seed))
    worker.work(facts)
    assert any(change["fact_id"] is None for _, change in worker.changes)
    done = fold(facts, worker)
    assert found_in(done) == NOTHING
    assert {key: pair.rows.digests for key, pair in done.pairs.items()} == {
        key: worker.records[key].digests for key in worker.states
    }
    for key, pair in done.pairs.items():
        assert unlike(pair.state, worker.states[key], AT, DEFAULT_POLICY, Number()) is None


@pytest.mark.parametrize("seed", [0, 2, 4, 6])
def test_deadlines_that_a_crash_undid_are_no_difference(seed: int) -> None:
    facts, worker = past(seed), Worker(random.Random(seed))
    worker.work(facts, undone=0.5)
    worker.tick(max(fact.occurred_at for fact in facts))
    deadlines = [change["change_id"] for _, change in worker.changes if change["fact_id"] is None]
    assert len(deadlines) > len(set(deadlines)), "none came again, so it proves nothing"
    assert found_in(fold(facts, worker)) == NOTHING


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_fact_beyond_the_horizon_that_is_delivered_again_is_no_difference(seed: int) -> None:
    facts, worker = past(seed, late=True), Worker(random.Random(seed))
    worker.work(facts)
    done = fold(facts, worker)
    assert any(worker.states[key].version > pair.state.version for key, pair in done.pairs.items())
    assert found_in(done) == NOTHING
    for key, pair in done.pairs.items():
        assert unlike(pair.state, worker.states[key], AT, DEFAULT_POLICY, Number()) is None


@pytest.mark.parametrize("seed", range(30, 36))
def test_late_facts_and_a_number_that_was_registered_late_are_no_difference(seed: int) -> None:
    facts, worker = past(seed, late=True), Worker(random.Random(seed))
    worker.work(facts, learn_at=len(facts) // 2)
    assert found_in(fold(facts, worker, Numbers(SANDBOX, (Number(),)))) == NOTHING


@pytest.mark.parametrize("seed", range(4))
def test_what_was_announced_before_the_number_was_registered_is_no_difference(seed: int) -> None:
    facts, worker = past(seed), Worker(random.Random(seed))
    worker.work(facts, learn_at=len(facts) // 2)
    assert found_in(fold(facts, worker, Numbers(SANDBOX, (Number(),)))) == NOTHING
    assert found_in(fold(facts, worker, Numbers(SANDBOX))) != NOTHING, "it made no difference, so it proves nothing"


@pytest.mark.parametrize("seed", [2, 11, 26])
def test_wherever_retention_cut_the_announcements_what_is_left_is_no_difference(seed: int) -> None:
    facts, worker = past(seed, linked=True), Worker(random.Random(seed))
    worker.work(facts, learn_at=len(facts) // 2)
    numbers = Numbers(SANDBOX, (Number(),))
    for cut in range(7, len(worker.changes), 7):
        done = fold(facts, worker, numbers, cut)
        assert found_in(done, worker.written_ms[cut]) == NOTHING


@pytest.mark.parametrize("seed", range(3))
def test_a_grant_that_ran_out_before_its_pair_was_linked_is_no_difference(seed: int) -> None:
    facts, worker = past(seed, linked=True), Worker(random.Random(seed))
    worker.work([fact for fact in facts if fact.type != "users_linked"], ticks=False)
    worker.tick(AT)
    links = [replace(fact, occurred_at=AT) for fact in facts if fact.type == "users_linked"]
    worker.work(links)
    assert any(change["type"] == "pair_merged" for _, change in worker.changes)
    assert found_in(fold([*(fact for fact in facts if fact.type != "users_linked"), *links], worker)) == NOTHING


@pytest.mark.parametrize("ahead_s", [-1, 1])
def test_a_second_user_of_one_scoped_id_is_no_difference_whichever_link_came_first(ahead_s: int) -> None:
    facts, worker = past(2, linked=True), Worker(random.Random(2))
    links = [fact for fact in facts if isinstance(fact, UsersLinked)]
    ids = {link.user: derived_id("users_linked", link.phone_number_id, link.user, "447700900999") for link in links}
    facts += [
        replace(link, wa_id="447700900999", fact_id=ids[link.user], occurred_at=link.occurred_at + ahead_s)
        for link in {link.user: link for link in reversed(links)}.values()
    ]
    worker.work(facts)
    odd = [change for _, change in worker.changes if change["cause"] == "link_conflict"]
    assert len(odd) == len(ids) > 1
    done = fold(facts, worker)
    assert found_in(done) == NOTHING
    worker.changes.remove(next(told for told in worker.changes if told[1] is odd[0]))
    assert found_in(fold(facts, worker)) != NOTHING


def test_a_change_that_was_not_announced_is_lost() -> None:
    facts, worker = past(1), Worker(random.Random(1))
    worker.work(facts)
    gone = worker.changes[len(worker.changes) // 2][1]["change_id"]
    worker.changes = [one for one in worker.changes if one[1]["change_id"] != gone]
    assert found_in(fold(facts, worker)) == NOTHING | {"lost": 1}


def test_a_grant_that_ran_out_unannounced_is_overdue_a_minute_after_its_deadline() -> None:
    facts, worker = past(1), Worker(random.Random(1))
    worker.work(facts, ticks=False)
    done = fold(facts, worker)
    due = {key: state.due_at for key, state in worker.states.items() if state.due_at is not None}
    assert due
    first = min(due.values())
    before, after = Findings(), Findings()
    compare_deadlines(done.pairs, first + GRACE_S - 1, before)
    compare_deadlines(done.pairs, max(due.values()) + GRACE_S, after)
    assert (before.total, after.of("changes")) == (0, {"changes.overdue": len(due)})


def test_a_fact_the_worker_never_got_is_missed() -> None:
    facts, worker = past(2), Worker(random.Random(2))
    gone = next(fact for fact in facts if isinstance(fact, PermissionReplied))
    worker.work([fact for fact in facts if fact.fact_id != gone.fact_id])
    done = fold(facts, worker)
    assert found_in(done)["lost"] > 0
    key = Pair(gone.phone_number_id, gone.user).key
    assert unlike(done.pairs[key].state, worker.states[key], AT, DEFAULT_POLICY, Number()) == "evidence"


def test_a_change_no_fact_led_to_is_invented_and_one_said_twice_is_doubled() -> None:
    facts, worker = past(3), Worker(random.Random(3))
    worker.work(facts)
    key, one = next(told for told in worker.changes if told[1]["fact_id"] is not None)
    worker.changes += [(key, _saying(one, cause="TEST")), (key, _saying(one, version=one["version"] + 1_000))]
    assert found_in(fold(facts, worker)) == {"lost": 0, "invented": 1, "doubled": 1}


def _saying(change: dict[str, Any], **other: Any) -> dict[str, Any]:
    said = {name: value for name, value in (change | other).items() if name != "change_id"}
    return {"change_id": change_id(said), **said}


def test_a_change_says_what_its_id_and_its_key_say() -> None:
    worker = Worker(random.Random(4))
    worker.work(past(4, 60))
    key, change = worker.changes[0]
    assert told_of(key, encode_change(change)).change_id == change["change_id"]
    for wrong_key, said in (
        (key, encode_change(change | {"cause": "TEST"})),
        (b"700100200300400/447700900999", encode_change(change)),
        (key, b"not JSON"),
        (key, b"{}"),
        (key, None),
    ):
        with pytest.raises(NotOne):
            told_of(wrong_key, said)


def test_what_is_said_of_a_passed_deadline_is_that_a_grant_ran_out_then() -> None:
    facts, worker = past(1), Worker(random.Random(1))
    worker.work(facts, ticks=False)
    worker.tick(max(state.due_at for state in worker.states.values() if state.due_at is not None))
    key, change = next(told for told in worker.changes if told[1]["fact_id"] is None)
    assert told_of(key, encode_change(change)).at == change["occurred_at"]
    before, after = change["before"], change["after"]
    doctored: dict[str, Any]
    for doctored in (
        {"type": "permission_revoked"},
        {"cause": "declined"},
        {"before": after},
        {"before": before | {"permission": {"status": "temporary", "expiration_time": change["occurred_at"] + 1}}},
        {"after": before},
        {"after": {"label": "expired"}},
        {"data": {}},
        {"version": "1"},
    ):
        with pytest.raises(NotOne):
            told_of(key, encode_change(change | doctored))


def test_readers_of_a_state_topic_keep_the_higher_version_and_believe_a_tombstone() -> None:
    kept = Winners(lambda value: int(value) if value.isdigit() else -1)
    for value, stamped in ((b"2", None), (b"1", None), (b"junk", None), (b"2", "2"), (b"x", "3")):
        kept.take(b"key", value, stamped)
    assert (kept.rows, kept.strangers) == ({b"key": b"x"}, 1)
    kept.take(b"key", None, None)
    assert kept.rows == {}
    kept.take(b"key", b"1", None)
    assert kept.rows == {b"key": b"1"}


def test_a_row_with_other_evidence_is_another_row_whatever_its_version() -> None:
    facts, worker = past(5), Worker(random.Random(5))
    worker.work(facts)
    sent = next(fact for fact in facts if isinstance(fact, RequestSent))
    mine = worker.states[Pair(sent.phone_number_id, sent.user).key]
    assert (
        unlike(mine, mine._replace(version=mine.version + 9, judged_at=0, walked=None), AT, DEFAULT_POLICY, Number())
        is None
    )
    other = mine._replace(version=mine.version + 9, requests=mine.requests[1:])
    assert encode_state(other) != encode_state(mine)
    assert unlike(mine, other, AT, DEFAULT_POLICY, Number()) == "evidence"
