from streams.kafka.level import MAX_MARKS, Level


def test_the_level_is_the_newest_mark_that_was_passed() -> None:
    level: Level[int] = Level()
    level.mark(10.0, {0: 5, 1: 7})
    level.mark(11.0, {0: 9, 1: 7})
    level.mark(12.0, {0: 20, 1: 7})
    level.reach({0: 10, 1: 7})
    assert level.level_at == 11.0


def test_nothing_is_reached_while_one_partition_is_behind() -> None:
    level: Level[int] = Level()
    level.mark(10.0, {0: 5, 1: 7})
    level.reach({0: 5, 1: 6})
    assert level.level_at is None
    assert level.lag({0: 5, 1: 6}) == 1


def test_a_partition_that_was_not_begun_is_behind_by_all_its_records() -> None:
    level: Level[int] = Level()
    level.mark(10.0, {0: 5, 1: 7})
    level.reach({0: 5})
    assert level.level_at is None
    assert level.lag({0: 5}) == 7


def test_under_a_steady_stream_the_level_rises_though_the_lag_is_never_zero() -> None:
    level: Level[int] = Level()
    for second in range(1, 6):
        level.mark(float(second), {0: second * 100})
        level.reach({0: second * 100 - 50})
    assert level.lag({0: 450}) == 50
    assert level.level_at == 4.0


def test_an_instant_marked_twice_keeps_its_first_ends() -> None:
    level: Level[int] = Level()
    level.mark(10.0, {0: 5})
    level.mark(10.0, {0: 8})
    level.reach({0: 5})
    assert level.level_at == 10.0
    assert level.lag({0: 5}) == 3


def test_an_unknown_instant_renews_the_lag_alone() -> None:
    level: Level[int] = Level()
    level.mark(None, {0: 5})
    level.reach({0: 5})
    assert level.level_at is None
    assert level.lag({0: 2}) == 3


def test_too_many_marks_make_the_level_late_and_never_early() -> None:
    level: Level[int] = Level()
    for second in range(MAX_MARKS + 50):
        level.mark(float(second), {0: second})
    level.reach({0: 49})
    assert level.level_at is None
    level.reach({0: 50})
    assert level.level_at == 50.0


def test_what_is_forgotten_must_be_reached_again() -> None:
    level: Level[int] = Level()
    level.mark(10.0, {0: 5})
    level.reach({0: 5})
    level.forget()
    assert level.level_at is None
    level.mark(3.0, {0: 1})
    level.reach({0: 1})
    assert level.level_at == 3.0
