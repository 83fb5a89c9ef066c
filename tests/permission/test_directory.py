"""What is known of all business numbers: who is who, by the policy file, by what was told and by what was shown."""

from dataclasses import replace

import pytest

from schemas.business import BusinessState, encode_business
from schemas.policy import DEFAULT_POLICY
from streams.countries import country_of
from streams.permission.directory import Directory
from streams.permission.number import Number
from tests.permission.story import DAY, NUMBER, T0
from tests.permission.test_business import (
    DISPLAY,
    OTHER,
    OTHER_DISPLAY,
    folded,
    known,
    naming,
    registered,
    restricted,
    seen,
    template,
)


def test_nothing_is_known_before_anything_was_told() -> None:
    directory = known()
    assert directory.by_display() == {}
    assert directory.of(NUMBER) == Number()
    assert (directory.told(NUMBER), directory.displays(NUMBER)) == ([], [])
    assert not directory.knows(NUMBER, DISPLAY)
    assert directory.is_readable(NUMBER)


def test_the_display_number_that_the_policy_file_names_is_known_before_any_fact() -> None:
    directory = known(policy=naming(display_phone_number="+44 20 7946 0123"))
    assert directory.knows(NUMBER, DISPLAY)
    assert directory.displays(NUMBER) == [DISPLAY]
    assert directory.by_display() == {DISPLAY: NUMBER}


def test_an_entry_without_a_display_number_shows_none() -> None:
    directory = known(policy=naming(country="NG"))
    assert directory.displays(NUMBER) == []
    assert directory.by_display() == {}


def test_an_id_is_known_by_the_policy_file_a_registration_or_a_form_shown_with_it() -> None:
    assert known().ids() == set()
    assert known(policy=naming(country="NG")).ids() == {NUMBER}
    assert known(registered("a", T0)).ids() == {NUMBER}
    assert known(seen("a", T0), seen("b", T0, OTHER)).ids() == {NUMBER, OTHER}
    directory = known(seen("a", T0))
    assert directory.ids() == {NUMBER}
    directory.take(registered("b", T0, number=OTHER))
    assert directory.ids() == {NUMBER, OTHER}


def test_what_is_no_id_or_was_one_is_not_known_as_one() -> None:
    by_display = restricted("a", T0, None, number=None, display=DISPLAY)
    account = replace(template("b", T0, has_call_permission=None), phone_number_id=None, waba_id="900100200300400")
    alone = registered("c", T0, number=None, display=DISPLAY)
    assert known(by_display, account, alone).ids() == set()
    moved = (seen("d", T0), registered("e", T0 + DAY, number=OTHER, display=DISPLAY))
    assert known(*moved).ids() == {OTHER}
    assert known(registered("f", T0, display=DISPLAY), moved[1]).ids() == {OTHER}, "registered, and taken over"
    assert known(*moved, policy=naming(country="NG")).ids() == {NUMBER, OTHER}


def test_a_number_knows_the_forms_shown_with_it_and_no_others() -> None:
    directory = known(seen("a", T0), seen("b", T0, OTHER, OTHER_DISPLAY))
    assert [directory.knows(*both) for both in ((NUMBER, DISPLAY), (OTHER, OTHER_DISPLAY))] == [True, True]
    assert [directory.knows(*both) for both in ((OTHER, DISPLAY), (NUMBER, OTHER_DISPLAY))] == [False, False]
    assert directory.by_display() == {DISPLAY: NUMBER, OTHER_DISPLAY: OTHER}


def test_a_form_that_a_row_no_longer_shows_is_forgotten_unless_the_policy_file_names_it() -> None:
    shown = folded([seen("a", T0), seen("b", T0, display=OTHER_DISPLAY)])
    directory = known(policy=naming(display_phone_number="+44 20 7946 0123"))
    directory.put(NUMBER, shown)
    assert directory.displays(NUMBER) == [DISPLAY, OTHER_DISPLAY]
    directory.put(NUMBER, BusinessState(name=NUMBER))
    assert directory.displays(NUMBER) == [DISPLAY]
    assert directory.knows(NUMBER, DISPLAY)
    assert not directory.knows(NUMBER, OTHER_DISPLAY)
    assert directory.by_display() == {DISPLAY: NUMBER}


def test_what_is_asked_in_between_is_asked_anew_after_each_row() -> None:
    directory = known()
    assert (directory.by_display(), directory.of(NUMBER)) == ({}, Number())
    directory.hear(NUMBER.encode(), encode_business(folded([seen("a", T0), registered("b", T0, "sandbox", "NG")])))
    assert directory.by_display() == {DISPLAY: NUMBER}
    assert (directory.of(NUMBER).profile, directory.of(NUMBER).country) == ("sandbox", "NG")
    assert directory.of(NUMBER) is directory.of(NUMBER), "and only then"
    assert directory.of(OTHER) == Number()


def test_a_name_that_is_no_text_is_told_and_stops_nothing() -> None:
    directory = known()
    directory.hear(b"\xff", b"{")
    assert directory.unreadable == {"\ufffd"}
    directory.hear(b"\xff", None)
    assert directory.unreadable == set()


def test_the_latest_registration_says_whose_a_display_number_is() -> None:
    for first, second in ((NUMBER, OTHER), (OTHER, NUMBER)):
        told = (
            registered("a", T0, number=first, display=DISPLAY),
            registered("b", T0 + 1, number=second, display=DISPLAY),
            registered("c", T0, number=first, display=OTHER_DISPLAY),
        )
        for facts in (told, told[::-1]):
            assert known(*facts).by_display() == {DISPLAY: second, OTHER_DISPLAY: first}


def test_a_registration_that_names_the_display_number_alone_says_nobodys() -> None:
    alone = registered("a", T0, "sandbox", number=None, display=DISPLAY)
    assert known(alone).by_display() == {}
    assert known(alone, registered("b", T0)).by_display() == {}


def test_the_evidence_of_a_number_is_its_own_and_that_of_each_of_its_forms() -> None:
    directory = known(
        seen("a", T0),
        seen("b", T0, display=OTHER_DISPLAY),
        restricted("c", T0, T0 + DAY, number=None, display=OTHER_DISPLAY),
        restricted("d", T0, T0 + DAY, number=None, display=DISPLAY),
    )
    assert [state.name for state in directory.told(NUMBER)] == [NUMBER, DISPLAY, OTHER_DISPLAY]
    assert [state.name for state in directory.told(OTHER)] == []


@pytest.mark.parametrize("unreadable", [NUMBER, DISPLAY])
def test_a_number_is_readable_only_with_all_rows_about_it(unreadable: str) -> None:
    directory = known(seen("a", T0))
    directory.hear(unreadable.encode(), b"{")
    assert directory.is_readable(NUMBER) is False
    assert directory.is_readable(OTHER) is True


def test_the_country_is_that_of_the_first_form_that_has_one() -> None:
    countries = {DISPLAY: None, OTHER_DISPLAY: "GB", "442079460125": "FR"}
    directory = Directory(DEFAULT_POLICY, countries.get)
    for place, display in enumerate(countries):
        directory.take(seen(f"f{place}", T0, display=display))
    assert directory.of(NUMBER).country == "GB"
    assert Directory(DEFAULT_POLICY, country_of).of(NUMBER).country is None


def test_a_fact_told_again_leaves_what_was_judged() -> None:
    directory = known(seen("a", T0))
    judged = directory.of(NUMBER)
    directory.take(replace(seen("a", T0), recorded_at=T0 + DAY))
    assert directory.of(NUMBER) is judged
