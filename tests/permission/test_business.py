"""The evidence of a business number: laws of its fold, and what it comes to at an instant (domain 2.4, 3.8)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from schemas.business import (
    MAX_FORMS,
    MAX_MARKS,
    BusinessState,
    BusinessUnreadable,
    Form,
    Registration,
    Restriction,
    Settings,
    TemplateMark,
    ViolationWarning,
    decode_business,
    encode_business,
    name_of,
)
from schemas.events import (
    BusinessRegistered,
    BusinessRestricted,
    BusinessSeen,
    BusinessSettingsChanged,
    NumberFact,
    TemplateRegistered,
)
from schemas.policy import DEFAULT_POLICY, NumberEntry, Policy
from schemas.state_row import version_of
from streams.countries import country_of
from streams.permission.business import evolve_business
from streams.permission.directory import Directory
from streams.permission.number import Number, calling_enabled, number_in, restricted_until
from tests.permission.story import DAY, HOUR, NUMBER, T0, given, rejected, replied

OTHER, DISPLAY, OTHER_DISPLAY = "700100200300401", "442079460123", "442079460124"
WEEK = 7 * DAY


def about(fact_id: str, at: int, number: str | None = NUMBER, display: str | None = None) -> dict[str, Any]:
    return {
        "fact_id": fact_id,
        "phone_number_id": number,
        "display_phone_number": display,
        "occurred_at": at,
        "recorded_at": at + 1,
        "provider": "meta",
    }


def restricted(fact_id: str, at: int, until: int | None, whose: Any = "both", **named: Any) -> BusinessRestricted:
    return BusinessRestricted(**about(fact_id, at, **named), restricts=whose, until=until, violation="LOW_QUALITY")


def switched(fact_id: str, at: int, enabled: bool | None, **named: Any) -> BusinessSettingsChanged:
    return BusinessSettingsChanged(
        **about(fact_id, at, **named),
        calling_enabled=enabled,
        callback_permission=None,
        sip_enabled=None,
        call_icon_visibility=None,
    )


def registered(
    fact_id: str, at: int, profile: Any = None, country: str | None = None, **named: Any
) -> BusinessRegistered:
    return BusinessRegistered(**about(fact_id, at, **named), profile=profile, country=country)


def seen(fact_id: str, at: int, number: str = NUMBER, display: str = DISPLAY) -> BusinessSeen:
    return BusinessSeen(**about(fact_id, at, number, display))


def template(fact_id: str, at: int, **told: Any) -> TemplateRegistered:
    sides = {"category": None, "status": None, "has_call_permission": None, "waba_id": None} | told
    return TemplateRegistered(**about(fact_id, at), name="test_cpr_template", language="en", **sides)


def known(*facts: NumberFact, policy: Policy = DEFAULT_POLICY) -> Directory:
    directory = Directory(policy, country_of)
    for fact in facts:
        directory.take(fact)
    return directory


def folded(facts: list[NumberFact]) -> BusinessState:
    state = BusinessState(name=NUMBER)
    for fact in facts:
        state = evolve_business(state, fact)
    return state


def naming(**said: Any) -> Policy:
    """A policy file that names the number."""
    return DEFAULT_POLICY.model_copy(update={"numbers": {NUMBER: NumberEntry(**said)}})


def bare(state: BusinessState) -> BusinessState:
    return replace(state, version=0, recorded_at=0)


INSTANTS = st.integers(T0, T0 + 5)
IDS = st.sampled_from(["f1", "f2", "f3", "f4"])
FACTS: st.SearchStrategy[NumberFact] = st.one_of(
    st.builds(switched, IDS, INSTANTS, st.sampled_from([True, False, None])),
    st.builds(restricted, IDS, INSTANTS, st.sampled_from([None, T0 + 9]), st.sampled_from([None, "both"])),
    st.builds(registered, IDS, INSTANTS, st.sampled_from([None, "sandbox"]), st.sampled_from([None, "NG", "GB"])),
    st.builds(seen, IDS, INSTANTS, display=st.sampled_from([DISPLAY, OTHER_DISPLAY])),
)


@drawn(st.lists(FACTS, max_size=8), st.data())
def test_neither_order_nor_repetition_of_facts_matters(facts: list[NumberFact], data: st.DataObject) -> None:
    mixed = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts)) if facts else st.just([]))]))
    assert bare(folded(mixed)) == bare(folded(facts))


TEMPLATES = st.lists(
    st.tuples(INSTANTS, st.sampled_from([None, "UTILITY", "MARKETING"]), st.sampled_from([None, "APPROVED", "PAUSED"])),
    max_size=6,
).map(lambda told: [template(f"f{n}", at, category=c, status=s) for n, (at, c, s) in enumerate(told)])


@drawn(TEMPLATES, st.data())
def test_templates_come_to_the_same_in_any_order(facts: list[NumberFact], data: st.DataObject) -> None:
    assert bare(folded(data.draw(st.permutations(facts)))) == bare(folded(facts))


@drawn(st.lists(FACTS, max_size=8), st.integers(0, 8))
def test_a_prefix_stored_and_read_again_goes_on_as_the_whole(facts: list[NumberFact], cut: int) -> None:
    state = decode_business(encode_business(folded(facts[:cut])))
    for fact in facts[cut:]:
        state = evolve_business(state, fact)
    assert state == folded(facts)


@drawn(st.lists(FACTS, min_size=1, max_size=6))
def test_a_fact_known_already_leaves_the_very_state(facts: list[NumberFact]) -> None:
    state = folded(facts)
    assert all(evolve_business(state, fact) is state for fact in facts)


def test_the_version_grows_by_one_with_each_change_and_is_read_without_the_rest() -> None:
    state = folded([switched("a", T0, True), switched("a", T0, True), switched("b", T0 + 1, False)])
    assert state.version == 2
    assert version_of(encode_business(state)) == 2


def test_the_row_says_when_the_latest_of_its_facts_was_received() -> None:
    assert folded([switched("a", T0 + 5, True), switched("b", T0, False)]).recorded_at == T0 + 6


def test_each_mark_keeps_what_was_told() -> None:
    facts: list[NumberFact] = [
        registered("a", T0, "sandbox", "NG", display=DISPLAY),
        BusinessSettingsChanged(
            **about("b", T0),
            calling_enabled=True,
            callback_permission=False,
            sip_enabled=True,
            call_icon_visibility="DEFAULT",
        ),
        restricted("c", T0, T0 + DAY),
        restricted("d", T0, None, None),
        template("e", T0, category="UTILITY", status="APPROVED", has_call_permission=True),
    ]
    state = folded(facts)
    assert state.forms == (Form(at=T0, display_phone_number=DISPLAY),)
    assert state.registrations == (
        Registration(at=T0, id="a", display_phone_number=DISPLAY, profile="sandbox", country="NG"),
    )
    assert state.settings == (
        Settings(
            at=T0,
            id="b",
            calling_enabled=True,
            callback_permission=False,
            sip_enabled=True,
            call_icon_visibility="DEFAULT",
        ),
    )
    assert state.restrictions == (
        Restriction(at=T0, id="c", restricts="both", until=T0 + DAY, violation="LOW_QUALITY"),
    )
    assert state.warnings == (ViolationWarning(at=T0, id="d", violation="LOW_QUALITY"),)
    assert state.templates == (
        TemplateMark(
            at=T0,
            id="e",
            name="test_cpr_template",
            language="en",
            category="UTILITY",
            status="APPROVED",
            has_call_permission=True,
        ),
    )


def test_templates_and_forms_told_again_leave_the_very_state() -> None:
    facts: list[NumberFact] = [template("a", T0, status="APPROVED"), seen("b", T0), seen("c", T0 + 1)]
    state = folded(facts)
    assert all(evolve_business(state, fact) is state for fact in facts)


def test_more_templates_than_other_marks_are_kept() -> None:
    facts = [replace(template(f"f{n}", T0 + n), name=f"test_{n}") for n in range(MAX_MARKS + 1)]
    assert len(folded(list(facts)).templates) == MAX_MARKS + 1


def test_a_template_keeps_the_newest_word_on_each_of_its_sides() -> None:
    told: list[NumberFact] = [
        template("a", T0, category="UTILITY", has_call_permission=True),
        template("b", T0 + 1, category="MARKETING"),
        template("c", T0 + 2, category="AUTHENTICATION"),
        template("d", T0 + 3, status="APPROVED"),
    ]
    assert [mark.id for mark in folded(told).templates] == ["a", "c", "d"]


def test_two_facts_of_one_id_and_one_second_come_to_the_same_in_any_order() -> None:
    one, other = registered("a", T0, "sandbox", "NG"), registered("a", T0, "production", "GB")
    assert bare(folded([one, other])) == bare(folded([other, one]))
    assert len(folded([one, other]).registrations) == 1


def test_of_more_marks_than_are_kept_the_newest_stay() -> None:
    state = folded([switched(f"f{place:04d}", T0 + place, True) for place in range(MAX_MARKS + 10)])
    assert [mark.at for mark in state.settings] == list(range(T0 + 10, T0 + 10 + MAX_MARKS))
    assert evolve_business(state, switched("f0000", T0, True)) is state


def test_a_template_keeps_what_was_told_of_it_however_often_its_status_changes() -> None:
    told = template("registered", T0, category="UTILITY", has_call_permission=True)
    state = folded([told, *(template(f"s{n}", T0 + n, status=f"STATUS_{n}") for n in range(1, 50))])
    assert [(mark.has_call_permission, mark.status) for mark in state.templates] == [(True, None), (None, "STATUS_49")]


def test_of_more_forms_than_are_kept_those_shown_first_stay() -> None:
    state = folded([seen(f"f{place}", T0 + place, display=f"4420794601{place:02d}") for place in range(MAX_FORMS)])
    assert evolve_business(state, seen("late", T0 + MAX_FORMS, display="442079460199")) is state
    earlier = evolve_business(state, seen("early", T0 - 1, display="442079460199"))
    assert [form.at for form in earlier.forms] == [T0 - 1, *range(T0, T0 + MAX_FORMS - 1)]


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b'{"schema":2,"version":1,"name":"1"}', b'{"name":5}'])
def test_a_row_of_another_form_is_told_apart(damaged: bytes) -> None:
    with pytest.raises(BusinessUnreadable):
        decode_business(damaged)


def test_what_names_the_number_is_its_id_else_its_display_number_else_the_account() -> None:
    assert name_of(seen("a", T0)) == NUMBER
    assert name_of(restricted("a", T0, None, number=None, display=DISPLAY)) == DISPLAY
    assert name_of(replace(template("a", T0, waba_id="900100200300400"), phone_number_id=None)) == "900100200300400"


def test_a_restriction_pauses_both_actions_until_its_end_and_not_the_decisions() -> None:  # scenario 36
    number = known(restricted("a", T0 + HOUR, T0 + HOUR + WEEK)).of(NUMBER)
    story = given(replied("m1", T0, permanent=True), rejected("m2", T0 + 2 * HOUR))
    during = story.at(T0 + HOUR, number)
    assert during.status == "permanent"
    assert during.ask_refused == ("business_restricted", None), "a permanent permission never needs a request"
    assert during.call_refused == ("business_restricted", T0 + HOUR + WEEK)
    later = story.at(T0 + 2 * HOUR, number)
    assert (later.status, later.ask_refused) == ("no_permission", ("business_restricted", T0 + HOUR + WEEK))
    assert story.at(T0 + HOUR + WEEK, number).ask_refused == (None, None)


def test_calling_switched_off_by_a_webhook_forbids_both_actions_until_it_is_on_again() -> None:  # scenario 40
    number = known(switched("a", T0 + HOUR, False), switched("b", T0 + 2 * HOUR, True)).of(NUMBER)
    story = given(replied("m1", T0, permanent=True))
    assert story.at(T0 + HOUR - 1, number).call_refused == (None, None)
    assert story.at(T0 + HOUR, number).call_refused == ("calling_disabled", None)
    assert story.at(T0 + HOUR, number).ask_refused == ("calling_disabled", None)
    assert story.at(T0 + 2 * HOUR, number).call_refused == (None, None)


def test_a_restriction_without_an_end_lasts_seven_days() -> None:
    number = known(restricted("a", T0, None)).of(NUMBER)
    assert restricted_until(number, T0 + WEEK - 1) == T0 + WEEK
    assert restricted_until(number, T0 + WEEK) is None


def test_overlapping_restrictions_last_until_the_latest_end_and_those_of_users_calls_block_nothing() -> None:
    number = known(
        restricted("a", T0, T0 + DAY),
        restricted("b", T0 + HOUR, T0 + 2 * DAY, "business_initiated"),
        restricted("c", T0, T0 + 9 * DAY, "user_initiated"),
    ).of(NUMBER)
    assert restricted_until(number, T0 + 2 * HOUR) == T0 + 2 * DAY


def test_a_warning_restricts_nothing_and_is_kept() -> None:
    directory = known(restricted("a", T0, None, None))
    assert restricted_until(directory.of(NUMBER), T0) is None
    assert [mark.violation for mark in directory.told(NUMBER)[0].warnings] == ["LOW_QUALITY"]


def test_a_settings_webhook_that_says_nothing_of_calling_leaves_it_as_it_was() -> None:
    number = known(switched("a", T0, False), switched("b", T0 + 1, None)).of(NUMBER)
    assert not calling_enabled(number, T0 + 2)


def test_what_the_policy_file_names_wins_and_what_it_leaves_open_is_as_registered() -> None:
    facts = (registered("a", T0, "sandbox", "NG"),)

    def with_entry(**named: Any) -> Number:
        policy = DEFAULT_POLICY.model_copy(update={"numbers": {NUMBER: NumberEntry(**named)}})
        return known(*facts, policy=policy).of(NUMBER)

    assert (known(*facts).of(NUMBER).profile, known(*facts).of(NUMBER).country) == ("sandbox", "NG")
    assert (with_entry(country="GB").profile, with_entry(country="GB").country) == ("sandbox", "GB")
    assert (with_entry(profile="production").profile, with_entry(profile="production").country) == ("production", "NG")


def test_the_latest_registration_wins_side_by_side() -> None:
    number = known(registered("b", T0 + 1, country="GB"), registered("a", T0, "sandbox", "NG")).of(NUMBER)
    assert (number.profile, number.country) == ("sandbox", "GB")


def test_a_number_never_registered_is_of_the_country_of_its_display_number() -> None:
    assert known(seen("a", T0, display="12025550123")).of(NUMBER).country == "US"
    assert known(seen("a", T0, display="12025550123"), registered("b", T0, country="GB")).of(NUMBER).country == "GB"
    assert known().of(NUMBER) == number_in(DEFAULT_POLICY, NUMBER) == Number()


def test_what_is_told_by_the_display_number_is_joined_whenever_the_forms_are_shown_together() -> None:
    told = restricted("a", T0, T0 + DAY, number=None, display=DISPLAY)
    assert restricted_until(known(told).of(NUMBER), T0) is None
    for facts in ((told, seen("b", T0 + HOUR)), (seen("b", T0 + HOUR), told)):
        assert restricted_until(known(*facts).of(NUMBER), T0) == T0 + DAY
        assert restricted_until(known(*facts).of(OTHER), T0) is None


def test_a_display_number_of_two_ids_is_nobodys_until_the_operator_says_whose() -> None:
    shown = (seen("a", T0), seen("b", T0, OTHER))
    assert known(shown[0]).by_display() == {DISPLAY: NUMBER}
    assert known(*shown).by_display() == {}
    assert (known(shown[0]).contested(), known(*shown).contested()) == (set(), {DISPLAY})
    told = registered("c", T0, number=OTHER, display=DISPLAY)
    assert known(*shown, told).by_display() == {DISPLAY: OTHER}
    assert known(*shown, told).contested() == set()
    entry = {NUMBER: NumberEntry(display_phone_number="+44 20 7946 0123")}
    policy = DEFAULT_POLICY.model_copy(update={"numbers": entry})
    assert known(*shown, told, policy=policy).by_display() == {DISPLAY: NUMBER}


def test_a_directory_fed_with_rows_says_the_same_as_one_fed_with_facts() -> None:
    facts: list[NumberFact] = [
        seen("a", T0),
        restricted("b", T0, T0 + DAY, number=None, display=DISPLAY),
        registered("c", T0, "sandbox"),
    ]
    by_facts, by_rows = known(*facts), Directory(DEFAULT_POLICY, country_of)
    for name in (NUMBER, DISPLAY):
        (state,) = [state for state in by_facts.told(NUMBER) if state.name == name]
        by_rows.hear(name.encode(), encode_business(state))
    assert by_rows.of(NUMBER) == by_facts.of(NUMBER)
    assert by_rows.by_display() == by_facts.by_display()


def test_a_row_that_is_gone_is_forgotten_and_one_that_cannot_be_read_is_told() -> None:
    directory = known(seen("a", T0))
    directory.hear(DISPLAY.encode(), b"{")
    assert not directory.is_readable(NUMBER)
    assert directory.is_readable(OTHER)
    directory.hear(DISPLAY.encode(), None)
    assert directory.is_readable(NUMBER)
    directory.hear(NUMBER.encode(), None)
    assert directory.by_display() == {}
    assert directory.of(NUMBER) == Number()
