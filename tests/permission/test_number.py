"""Domain 2.4: what the business number itself forbids."""

from schemas.policy import DEFAULT_POLICY
from streams.permission.number import (
    Number,
    Registration,
    Restriction,
    Setting,
    calling_enabled,
    country_supported,
    restricted_until,
    switched_on,
    told_of_restriction,
)
from tests.permission.story import DAY, NUMBER, T0, given, replied
from tests.permission.test_business import known, naming, registered, restricted
from tests.permission.test_business import switched as calling_switched

IN_NIGERIA = Number(country="NG")


def test_a_number_of_a_blocked_country_may_neither_ask_nor_call_and_its_permission_is_shown() -> None:  # scenario 37
    view = given(replied("a1", T0, permanent=True)).at(T0, IN_NIGERIA)
    assert view.status == "permanent"
    assert view.call_refused == ("country_not_supported", None)
    assert view.ask_refused == ("country_not_supported", None)


def test_an_unknown_country_is_allowed() -> None:
    assert country_supported(Number(), T0, DEFAULT_POLICY)


def test_the_list_of_its_date_decides() -> None:
    turkish = Number(country="TR")
    assert not country_supported(turkish, 1_757_000_000, DEFAULT_POLICY)
    assert country_supported(turkish, 1_782_000_000, DEFAULT_POLICY)


def test_a_number_that_only_the_policy_file_names_is_what_the_file_says() -> None:
    assert known(policy=naming(profile="sandbox", country="NG")).of(NUMBER) == Number(profile="sandbox", country="NG")
    shown_in_america = naming(display_phone_number="+1 202 555 0123")
    assert known(policy=shown_in_america).of(NUMBER) == Number(country="US")


def test_a_number_is_all_that_was_told_of_it_by_time() -> None:
    number = known(
        registered("b", T0 + 1, None, "GB"),
        registered("a", T0, "sandbox", "NG"),
        calling_switched("d", T0 + 3, False),
        calling_switched("c", T0 + 2, True),
        restricted("f", T0 + 5, None, "user_initiated"),
        restricted("e", T0 + 4, T0 + DAY),
    ).of(NUMBER)
    assert number == Number(
        profile="sandbox",
        country="GB",
        registrations=(Registration(T0, "sandbox", "NG"), Registration(T0 + 1, None, "GB")),
        settings=(Setting(T0 + 2, True), Setting(T0 + 3, False)),
        restrictions=(Restriction(T0 + 4, "both", T0 + DAY), Restriction(T0 + 5, "user_initiated", T0 + 5 + 7 * DAY)),
    )


def test_what_lies_after_the_instant_asked_says_nothing_yet() -> None:
    number = Number(
        settings=(Setting(T0, True), Setting(T0 + 1, False), Setting(T0 + 2, True)),
        restrictions=(Restriction(T0, "both", T0 + 9), Restriction(T0 + 1, "user_initiated", T0 + 99)),
    )
    assert [switched_on(number, at) for at in (T0 - 1, T0, T0 + 2)] == [[], [T0], [T0, T0 + 2]]
    assert [told_of_restriction(number, at) for at in (T0 - 1, T0, T0 + 1)] == [[], [(T0, T0 + 9)], [(T0, T0 + 9)]]
    assert [restricted_until(number, at) for at in (T0 - 1, T0, T0 + 8, T0 + 9)] == [None, T0 + 9, T0 + 9, None]


def test_of_two_settings_in_one_second_calling_is_off() -> None:  # domain G22
    number = known(calling_switched("a", T0, True), calling_switched("b", T0, False)).of(NUMBER)
    assert [calling_enabled(number, at) for at in (T0 - 1, T0, T0 + DAY)] == [True, False, False]
