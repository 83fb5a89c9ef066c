"""The pretend world is drawn from its seed alone, and nobody in it does what Meta would not allow."""

import re
from collections import defaultdict
from dataclasses import replace

import pytest

from streams.simulator import SimulatorConfig, rules, simulate
from streams.simulator.cast import USERS_PER_NUMBER, cast
from streams.simulator.happenings import DAY_S, WEEK_S, Chatted, Happening, Replied, RequestSent, StatusReported
from streams.simulator.world import World, draw_world

END = 1_772_442_000
SEEDS = (1, 2, 3, 4, 5)


def world(seed: int = 1, *, end_at: int = END, pairs: int = 300, numbers: int = 2) -> World:
    return draw_world(seed=seed, start_at=end_at - 9 * DAY_S, end_at=end_at, pairs=pairs, numbers=numbers, hush_s=1_800)


def lives(drawn: World) -> dict[tuple[str, str], list[Happening]]:
    by_pair: dict[tuple[str, str], list[Happening]] = defaultdict(list)
    for happening in drawn.happenings:
        by_pair[happening.pair.key].append(happening)
    return by_pair


def test_the_same_seed_gives_the_same_world_and_the_same_bytes() -> None:
    config = replace(SimulatorConfig.week_ending(END), pairs=200)
    one, other = simulate(config), simulate(config)
    assert one.world == other.world
    assert one.deliveries == other.deliveries


def test_another_seed_gives_another_world() -> None:
    assert world(1).happenings != world(2).happenings


def test_a_world_moved_in_time_has_the_same_lives_under_other_ids() -> None:
    here, there = world(end_at=END), world(end_at=END + 12_345)
    assert [h.at + 12_345 for h in here.happenings] == [h.at for h in there.happenings]
    assert [type(h) for h in here.happenings] == [type(h) for h in there.happenings]
    assert not {h.message_id for h in here.happenings} & {h.message_id for h in there.happenings}


def test_message_ids_are_unique_to_their_message() -> None:
    drawn = world()
    once = [h.message_id for h in drawn.happenings if not isinstance(h, StatusReported)]
    assert len(once) == len(set(once))


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_happens_in_the_worlds_time_and_no_two_things_at_once_to_a_pair(seed: int) -> None:
    drawn = world(seed)
    assert all(drawn.start_at <= h.at <= drawn.end_at for h in drawn.happenings)
    for life in lives(drawn).values():
        instants = [h.at for h in life]
        assert instants == sorted(set(instants))


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_runs_out_in_the_hush_after_the_end(seed: int) -> None:
    drawn = world(seed)
    assert any(h.at < drawn.end_at - WEEK_S for h in drawn.happenings)
    assert not [h for h in drawn.happenings if drawn.end_at < h.at + WEEK_S <= drawn.end_at + drawn.hush_s]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_happens_within_a_minute_of_a_moment_when_something_runs_out(seed: int) -> None:
    drawn = draw_world(seed=seed, start_at=END - 16 * DAY_S, end_at=END, pairs=1_000, numbers=2, hush_s=1_800)
    for life in lives(drawn).values():
        endings = [h.at + WEEK_S for h in life if not isinstance(h, Chatted)]
        assert not [h for h in life if any(abs(h.at - ends_at) <= 60 for ends_at in endings)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_business_asks_only_within_metas_limits(seed: int) -> None:
    for life in lives(world(seed)).values():
        failed = {h.message_id for h in life if isinstance(h, StatusReported) and h.status == "failed"}
        for place, asked in enumerate(life):
            if not isinstance(asked, RequestSent):
                continue
            known_failed = failed & {h.message_id for h in life[:place]}
            before = [h for h in life[:place] if isinstance(h, RequestSent) and h.message_id not in known_failed]
            assert not [h for h in before if asked.at - DAY_S < h.at]
            assert len([h for h in before if asked.at - WEEK_S < h.at]) < 2
            assert rules.permission(life[:place], asked.at).status != "permanent"
            if asked.template is None:
                assert any(isinstance(h, Chatted | Replied) and asked.at - DAY_S < h.at for h in life[:place])


@pytest.mark.parametrize("seed", SEEDS)
def test_users_answer_only_requests_that_reached_them_and_use_the_profile_only_to_change_something(seed: int) -> None:
    for life in lives(world(seed)).values():
        for place, reply in enumerate(life):
            if not isinstance(reply, Replied):
                continue
            before = life[:place]
            if reply.request_id is not None:
                arrived = [h for h in before if isinstance(h, StatusReported) and h.status in ("delivered", "read")]
                assert reply.request_id in {h.message_id for h in arrived}
            else:
                granted = rules.permission(before, reply.at).status
                assert granted != ("no_permission" if reply.answer == "reject" else "permanent")


def test_every_kind_of_life_is_lived() -> None:
    drawn = world(pairs=1_250)
    asked = [h for h in drawn.happenings if isinstance(h, RequestSent)]
    replies = [h for h in drawn.happenings if isinstance(h, Replied)]
    assert {h.template is None for h in asked} == {True, False}
    assert len({h.template for h in asked}) == 6
    assert len({h.campaign for h in asked}) == 4
    assert {(h.answer, h.request_id is None) for h in replies} == {
        (answer, via_profile) for answer in ("temporary", "permanent", "reject") for via_profile in (True, False)
    }
    assert any(h.error_code == 131026 for h in drawn.happenings if isinstance(h, StatusReported))


def test_only_reserved_numbers_are_used_and_a_pair_is_cast_once() -> None:
    pairs = cast(3_500, 2)
    assert len({pair.key for pair in pairs}) == 3_500
    assert len({pair.phone_number_id for pair in pairs}) == 4
    for pair in pairs:
        assert re.fullmatch(r"447700900\d{3}", pair.user)
        assert re.fullmatch(r"442079460\d{3}", pair.display_phone_number)
        assert re.fullmatch(r"7001002003\d{5}", pair.phone_number_id)
    assert (pairs[0].phone_number_id, pairs[0].display_phone_number) == ("700100200300400", "442079460123")


def test_more_pairs_than_reserved_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs is 1000001"):
        cast(USERS_PER_NUMBER * 1_000 + 1, 1)


def test_a_pairs_repr_does_not_show_the_user() -> None:
    pair = cast(1, 1)[0]
    assert pair.user not in repr(pair)
    assert pair.display_phone_number not in repr(pair)
