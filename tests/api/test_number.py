"""What is known of a business number: in the answers about its pairs, and asked for by itself."""

from typing import Any

import httpx
import pytest

from schemas.events import NumberFact
from schemas.policy import DEFAULT_POLICY
from streams.api.app import build
from streams.api.number import NumberAnswer
from streams.countries import country_of
from streams.permission.directory import Directory
from tests.api.door import ASKED_AT, GRANTED, KEYS, NUMBER, SETTINGS, Rows, Told, asking, path, who
from tests.permission.test_business import DISPLAY, registered, restricted, seen, switched, template

WEEK_S = 604_800
ASK = f"/v1/numbers/{NUMBER}"


def knowing(*facts: NumberFact) -> Directory:
    directory = Directory(DEFAULT_POLICY, country_of)
    for fact in facts:
        directory.take(fact)
    return directory


async def get(
    directory: Directory, url: str, told: Told | None = None, headers: dict[str, str] | None = None, **params: Any
) -> httpx.Response:
    async with asking(build(SETTINGS, KEYS, Rows(GRANTED), told or Told(), directory), headers) as client:
        return await client.get(url, params=params)


async def actions(directory: Directory, at: int) -> list[tuple[bool, str | None, int | None]]:
    body = (await get(directory, path(), **who(at=str(at)))).json()
    return [(one["can_perform_action"], one["reason"], one["retry_at"]) for one in body["actions"]]


async def test_a_restriction_is_in_the_answer_with_the_instant_of_its_end() -> None:
    until = ASKED_AT + 3_600
    facts = seen("a", ASKED_AT), restricted("b", ASKED_AT, until, number=None, display=DISPLAY)
    asks, calls = await actions(knowing(*facts), ASKED_AT)
    assert calls == (False, "business_restricted", until)
    assert asks[:2] == (False, "business_restricted")
    assert (await actions(knowing(*facts), until))[1] == (True, None, None)


async def test_a_switch_holds_from_its_instant_on_and_not_before() -> None:
    directory = knowing(switched("a", ASKED_AT + 60, False), switched("b", ASKED_AT + 120, True))
    reasons = [(await actions(directory, ASKED_AT + after))[1][1] for after in (59, 60, 119, 120)]
    assert reasons == [None, "calling_disabled", "calling_disabled", None]


async def test_what_becomes_known_is_in_the_next_answer() -> None:
    directory = knowing()
    async with asking(build(SETTINGS, KEYS, Rows(GRANTED), Told(), directory)) as client:
        maxima = []
        for fact in (None, registered("a", ASKED_AT, "sandbox", "NG")):
            if fact is not None:
                directory.take(fact)
            asks, _ = (await client.get(path(), params=who(at=str(ASKED_AT)))).json()["actions"]
            maxima.append((asks["limits"][0]["max_allowed"], asks["reason"]))
    assert maxima == [(1, "request_limit_24h"), (25, "country_not_supported")]


async def test_a_number_shows_what_was_told_of_it_up_to_the_instant() -> None:
    told = knowing(
        registered("a", ASKED_AT, country="GB", display=DISPLAY),
        switched("b", ASKED_AT + 1, False),
        restricted("c", ASKED_AT + 2, None, "business_initiated"),
        restricted("d", ASKED_AT + 3, None, None),
        template("e", ASKED_AT, category="UTILITY", has_call_permission=True),
        template("f", ASKED_AT + 4, status="PAUSED"),
    )
    early = (await get(told, ASK, at=ASKED_AT)).json()
    assert (early["calling_enabled"], early["restrictions"], early["warnings"]) == (True, [], [])
    got = await get(told, ASK, at=ASKED_AT + 10)
    assert got.headers["callgrant-lag-records"] == "0"
    assert got.headers["cache-control"] == "no-store"
    body = got.json()
    NumberAnswer.model_validate(body)
    assert body == {
        "phone_number_id": NUMBER,
        "as_of": ASKED_AT + 10,
        "display_phone_numbers": [DISPLAY],
        "profile": "production",
        "country": "GB",
        "country_supported": True,
        "calling_enabled": False,
        "restricted_until": ASKED_AT + 2 + WEEK_S,
        "callback_permission": None,
        "sip_enabled": None,
        "call_icon_visibility": None,
        "restrictions": [
            {"at": ASKED_AT + 2, "restricts": "business_initiated", "until": None, "violation": "LOW_QUALITY"}
        ],
        "warnings": [{"at": ASKED_AT + 3, "violation": "LOW_QUALITY"}],
        "templates": [
            {
                "name": "test_cpr_template",
                "language": "en",
                "category": "UTILITY",
                "status": "PAUSED",
                "has_call_permission": True,
            }
        ],
    }


async def test_a_number_nothing_was_heard_of_is_answered_with_what_is_assumed() -> None:
    body = (await get(knowing(), ASK)).json()
    assert (body["profile"], body["country"], body["calling_enabled"]) == ("production", None, True)
    assert body["templates"] == body["restrictions"] == body["warnings"] == []


async def test_a_question_about_a_number_is_refused_as_every_other() -> None:
    assert (await get(knowing(), ASK, headers={})).status_code == 401
    faults: list[tuple[str, dict[str, Any]]] = [
        (ASK, {"at": "yesterday"}),
        ("/v1/numbers/+44", {}),
        (f"/v1/numbers/{'1' * 40}", {}),
    ]
    for url, params in faults:
        got = await get(knowing(), url, **params)
        assert (got.status_code, got.headers["content-type"]) == (400, "application/problem+json")
    behind = await get(knowing(), ASK, Told(seconds=None))
    assert (behind.status_code, behind.headers["retry-after"]) == (503, "2")


@pytest.mark.parametrize("name", [NUMBER, DISPLAY])
async def test_a_row_of_a_number_that_cannot_be_read_is_refused_and_never_guessed(name: str) -> None:
    directory = knowing(seen("a", ASKED_AT))
    directory.hear(name.encode(), b'{"schema":9}')
    for url, params in ((ASK, {}), (path(), who())):
        got = await get(directory, url, **params)
        assert got.status_code == 503
        assert DISPLAY not in got.text
