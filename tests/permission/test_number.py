"""Domain 2.4: what the business number itself forbids."""

from schemas.policy import DEFAULT_POLICY
from streams.permission.number import Number, country_supported
from tests.permission.story import T0, given, replied

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
