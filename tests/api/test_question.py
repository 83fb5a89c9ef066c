import dataclasses
from datetime import UTC, datetime

import httpx
import pytest
import time_machine

from schemas.answers import Answer
from schemas.marks import Link
from schemas.policy import DEFAULT_POLICY, NumberEntry
from schemas.state import Base, PairState
from streams.permission.answer import answer
from streams.permission.number import Number
from tests.api.door import ASKED_AT, GRANTED, NUMBER, SETTINGS, USER, Rows, Told, app_of, asking, path, who

WEEK_S = 604_800


async def get(url: str, params: dict[str, str] | None = None, rows: Rows | None = None) -> httpx.Response:
    async with asking(app_of(rows)) as client:
        return await client.get(url, params=params)


async def test_the_answer_is_metas_body_with_the_core_s_judgement() -> None:
    got = await get(path(), who(at=str(ASKED_AT)))
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json"
    judged = answer(GRANTED, ASKED_AT, DEFAULT_POLICY, Number())
    assert got.json() == {"messaging_product": "whatsapp", **judged}
    assert got.json()["permission"] == {"status": "temporary", "expiration_time": ASKED_AT + WEEK_S}
    assert got.json()["standing"]["label"] == "granted"
    assert next(iter(got.json())) == "messaging_product"


@pytest.mark.parametrize("at", [ASKED_AT - 3_600, ASKED_AT, ASKED_AT + 60, ASKED_AT + WEEK_S, ASKED_AT + 10 * WEEK_S])
@pytest.mark.parametrize("user", [USER, "447700900999"])
async def test_every_answer_conforms_to_the_contract_and_survives_it_unchanged(at: int, user: str) -> None:
    got = (await get(path(), who(user, at=str(at)))).json()
    kept = Answer.model_validate(got).model_dump()
    for action in got["actions"]:
        assert {"reason", "retry_at"} <= action.keys()
    assert got["permission"].get("expiration_time", "absent") is not None
    assert Answer.model_validate(kept) == Answer.model_validate(got)


async def test_a_pair_nothing_was_heard_of_is_not_an_error() -> None:
    got = (await get(path(), who("447700900999"))).json()
    assert got["permission"] == {"status": "no_permission"}
    assert got["standing"]["label"] == "not_requested"
    assert got["standing"]["reason"] == "never"
    asks, calls = got["actions"]
    assert (asks["action_name"], asks["can_perform_action"]) == ("send_call_permission_request", True)
    assert (calls["action_name"], calls["reason"]) == ("start_call", "no_permission")


@pytest.mark.parametrize("prefix", ["", "/v23.0", "/v1.12"])
async def test_a_graph_version_before_the_path_changes_nothing(prefix: str) -> None:
    got = await get(prefix + path(), who(at=str(ASKED_AT)))
    assert got.status_code == 200
    assert got.json() == (await get(path(), who(at=str(ASKED_AT)))).json()


@pytest.mark.parametrize("prefix", ["/v23", "/23.0", "/vx.y", "/v23.0/v23.0", "/v1.0.0"])
async def test_what_is_no_graph_version_is_no_path(prefix: str) -> None:
    assert (await get(prefix + path(), who())).status_code == 404


@pytest.mark.parametrize("user", ["+447700900123", "44 7700 900123", "+44 (7700) 900-123", "447700900123"])
async def test_a_number_is_asked_for_in_any_of_its_forms(user: str) -> None:
    assert (await get(path(), who(user, at=str(ASKED_AT)))).json()["standing"]["label"] == "granted"


async def test_a_plus_that_was_not_escaped_is_understood() -> None:
    got = await get(f"{path()}?user_wa_id=+447700900123&at={ASKED_AT}")
    assert got.json()["standing"]["label"] == "granted"


async def test_a_business_scoped_id_is_asked_for_as_recipient() -> None:
    bsuid = "GB.10000000000000000042"
    rows = Rows(GRANTED._replace(user=bsuid))
    got = await get(path(), {"recipient": bsuid, "at": str(ASKED_AT)}, rows)
    assert got.json()["standing"]["label"] == "granted"


async def test_a_question_by_either_name_of_a_user_gets_the_same_answer() -> None:
    bsuid = "GB.10000000000000000042"
    forwards = PairState(phone_number_id=NUMBER, user=bsuid, version=3, links=(Link(ASKED_AT, USER),))
    rows = Rows(GRANTED, forwards)
    by_scoped_id = await get(path(), {"recipient": bsuid, "at": str(ASKED_AT)}, rows)
    assert by_scoped_id.json()["standing"]["label"] == "granted"
    assert by_scoped_id.content == (await get(path(), who(at=str(ASKED_AT)), rows)).content
    alone = await get(path(), {"recipient": bsuid, "at": str(ASKED_AT)}, Rows(forwards))
    assert alone.json()["standing"]["label"] == "not_requested"


async def test_an_instant_before_what_was_settled_is_refused_with_the_earliest_that_can_be_answered() -> None:
    base = Base(ASKED_AT - 7 * 86_400, "declined", "wamid.TESTREP0001", ASKED_AT - 60, (), True, None, (), 1, 0)
    rows = Rows(PairState(phone_number_id=NUMBER, user=USER, version=16, judged_at=ASKED_AT, base=base))
    refused = await get(path(), who(at=str(ASKED_AT - 1)), rows)
    assert refused.status_code == 400
    assert "2026-03-02T09:30:00Z" in refused.text
    assert (await get(path(), who(at=str(ASKED_AT)), rows)).json()["standing"]["label"] == "denied"


@pytest.mark.parametrize(
    "at", [str(ASKED_AT), "2026-03-02T09:30:00Z", "2026-03-02T10:30:00+01:00", "2026-03-02T09:30:00.700Z"]
)
async def test_an_instant_is_epoch_seconds_or_rfc_3339(at: str) -> None:
    assert (await get(path(), who(at=at))).json()["as_of"] == ASKED_AT


async def test_another_instant_gets_another_answer() -> None:
    labels = {
        at: (await get(path(), who(at=str(at)))).json()["standing"]["label"]
        for at in (ASKED_AT - WEEK_S, ASKED_AT - 60, ASKED_AT, ASKED_AT + WEEK_S)
    }
    assert list(labels.values()) == ["not_requested", "pending", "granted", "expired"]


async def test_without_an_instant_now_is_meant_in_whole_seconds() -> None:
    with time_machine.travel(datetime.fromtimestamp(ASKED_AT + 0.9, UTC), tick=False):
        assert (await get(path(), who())).json()["as_of"] == ASKED_AT


async def test_what_is_known_of_a_number_comes_from_the_policy() -> None:
    policy = DEFAULT_POLICY.model_copy(update={"numbers": {NUMBER: NumberEntry(profile="sandbox")}})
    async with asking(app_of(settings=dataclasses.replace(SETTINGS, policy=policy))) as client:
        got = (await client.get(path(), params=who(at=str(ASKED_AT)))).json()
    assert got["actions"][0]["limits"][0]["max_allowed"] == 25


async def test_an_answer_says_what_it_may_lack() -> None:
    async with asking(app_of(told=Told(records=17, seconds=1.234))) as client:
        got = await client.get(path(), params=who())
    assert got.headers["callgrant-lag-records"] == "17"
    assert got.headers["callgrant-lag-seconds"] == "1.2"
    assert got.headers["cache-control"] == "no-store"


async def test_a_row_that_cannot_be_read_is_refused_and_never_guessed() -> None:
    rows = Rows()
    rows.rows[GRANTED.pair.key] = b'{"schema":2,"version":9}'
    app = app_of(rows)
    async with asking(app) as client:
        got = await client.get(path(), params=who())
        told = (await client.get("/metrics")).text
    assert got.status_code == 503
    assert USER not in got.text
    assert "callgrant_api_unreadable_states_total 1.0" in told


async def test_the_empty_state_answers_like_a_pair_nothing_was_heard_of() -> None:
    empty = PairState(phone_number_id=NUMBER, user=USER)
    got = [await get(path(), who(at=str(ASKED_AT)), rows) for rows in (Rows(empty), Rows())]
    assert got[0].json() == got[1].json()
