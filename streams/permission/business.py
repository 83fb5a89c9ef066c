"""Evolve of a business number: its evidence with one more fact (design 4; domain 3.8).

Owns how marks are merged: order and repetition of facts do not matter. A fact met again with another time counts from
its earliest; what then still differs is decided by content, never by arrival. Refuses to judge: `number` does.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar, assert_never

from schemas.business import (
    MAX_FORMS,
    MAX_MARKS,
    MAX_TEMPLATES,
    BusinessState,
    Form,
    Mark,
    Registration,
    Restriction,
    Settings,
    TemplateMark,
    ViolationWarning,
)
from schemas.events import (
    BusinessRegistered,
    BusinessRestricted,
    BusinessSeen,
    BusinessSettingsChanged,
    NumberFact,
    TemplateRegistered,
)

_TOLD: Final = ("category", "status", "has_call_permission")
M = TypeVar("M", bound=Mark)


def evolve_business(state: BusinessState, fact: NumberFact) -> BusinessState:
    """The state with one more fact of its number; the same object when the fact says nothing new."""
    new = _marked(_shown(state, fact), fact)
    if new is state:
        return state
    return replace(new, version=state.version + 1, recorded_at=max(state.recorded_at, fact.recorded_at))


def _marked(state: BusinessState, fact: NumberFact) -> BusinessState:
    at, fact_id = fact.occurred_at, fact.fact_id
    match fact:
        case BusinessRegistered():
            display, profile, country = fact.display_phone_number, fact.profile, fact.country
            told = Registration(at=at, id=fact_id, display_phone_number=display, profile=profile, country=country)
            registrations = _with(state.registrations, told)
            return state if registrations is state.registrations else replace(state, registrations=registrations)
        case BusinessSettingsChanged():
            said = {name: getattr(fact, name) for name in Settings.__slots__ if name not in ("at", "id")}
            settings = _with(state.settings, Settings(at=at, id=fact_id, **said))
            return state if settings is state.settings else replace(state, settings=settings)
        case BusinessRestricted(restricts=None):
            warnings = _with(state.warnings, ViolationWarning(at=at, id=fact_id, violation=fact.violation))
            return state if warnings is state.warnings else replace(state, warnings=warnings)
        case BusinessRestricted(restricts=str() as restricts):
            mark = Restriction(at=at, id=fact_id, restricts=restricts, until=fact.until, violation=fact.violation)
            restrictions = _with(state.restrictions, mark)
            return state if restrictions is state.restrictions else replace(state, restrictions=restrictions)
        case TemplateRegistered():
            said = {name: getattr(fact, name) for name in _TOLD}
            template = TemplateMark(at=at, id=fact_id, name=fact.name, language=fact.language, **said)
            templates = _needed(_with(state.templates, template, MAX_TEMPLATES))
            return state if templates == state.templates else replace(state, templates=templates)
        case BusinessSeen() | BusinessRestricted():
            return state
        case other:
            assert_never(other)


def _shown(state: BusinessState, fact: NumberFact) -> BusinessState:
    """The display number that the fact shows beside the id."""
    display, at = fact.display_phone_number, fact.occurred_at
    if fact.phone_number_id is None or display is None:
        return state
    first_at = {form.display_phone_number: form.at for form in state.forms}
    if first_at.get(display, at + 1) <= at:
        return state
    forms = [Form(at=at, display_phone_number=display) for display, at in (first_at | {display: at}).items()]
    kept = tuple(sorted(forms, key=lambda form: (form.at, form.display_phone_number))[:MAX_FORMS])
    return state if kept == state.forms else replace(state, forms=kept)


def _with(marks: tuple[M, ...], mark: M, most: int = MAX_MARKS) -> tuple[M, ...]:
    """The marks with one more, by time; the same tuple when it is among them, or older than all that are kept."""
    held = next((one for one in marks if one.id == mark.id), None)
    if held is not None and _order(held) <= _order(mark):
        return marks
    kept = tuple(sorted((*(one for one in marks if one is not held), mark), key=_order)[-most:])
    return marks if kept == marks else kept


def _order(mark: Mark) -> tuple[int, str, str]:
    return mark.at, mark.id, repr(mark)


def _needed(marks: Iterable[TemplateMark]) -> tuple[TemplateMark, ...]:
    """Of each template the newest mark, and the newest word on each of its sides: the older ones say nothing more."""
    newest: dict[tuple[str, str, str], TemplateMark] = {}
    for mark in marks:
        for side in ("name", *_TOLD):
            if getattr(mark, side) is not None:
                newest[mark.name, mark.language, side] = mark
    ids = {mark.id for mark in newest.values()}
    return tuple(mark for mark in marks if mark.id in ids)
