import dataclasses
from typing import Any

import httpx
import pytest

from streams.api.errors import GraphError, Problem
from streams.api.keys import Keys
from tests.api.door import ASKED_AT, KEY, SETTINGS, USER, Rows, Told, app_of, asking, path, who

LONG = "9" * 5_000
BAD_QUESTIONS: list[tuple[str, list[tuple[str, str]], str]] = [
    (path(), [], "exactly one"),
    (path(), [("user_wa_id", USER), ("recipient", "GB.10000000000000000042")], "exactly one"),
    (path(), [("user_wa_id", USER), ("user_wa_id", USER)], "user_wa_id: given twice"),
    (path(), [("user_wa_id", "")], "user_wa_id:"),
    (path(), [("user_wa_id", "somebody")], "user_wa_id:"),
    (path(), [("user_wa_id", "1234")], "user_wa_id:"),
    (path(), [("user_wa_id", "٤٤٧٧٠٠٩٠٠١٢٣")], "user_wa_id:"),
    (path(), [("user_wa_id", f"{USER}\r\nx: y")], "user_wa_id:"),
    (path(), [("user_wa_id", LONG[:3_000])], "user_wa_id:"),
    (path(), [("user_wa_id", LONG)], "longer than"),
    (path(), [("user_wa_id", "GB.10000000000000000042")], "user_wa_id:"),
    (path(), [("recipient", "gb.1")], "recipient:"),
    (path(), [("recipient", "GB.<script>")], "recipient:"),
    (path(), [("user_wa_id", USER), ("at", "")], "at:"),
    (path(), [("user_wa_id", USER), ("at", "yesterday")], "at:"),
    (path(), [("user_wa_id", USER), ("at", "2026-03-02T09:30:00")], "at:"),
    (path(), [("user_wa_id", USER), ("at", f"{ASKED_AT}000")], "at:"),
    (path(), [("user_wa_id", USER), ("at", "-1")], "at:"),
    (path(), [("user_wa_id", USER), ("at", "1e9")], "at:"),
    (path(), [("user_wa_id", USER), ("at", LONG[:3_000])], "at:"),
    (path(), [("user_wa_id", USER), ("at", "0001-01-01T00:00:00+23:59")], "at:"),
    (path(), [("user_wa_id", USER), ("at", "9999-12-31T23:59:59-23:59")], "at:"),
    (path(), [("user_wa_id", USER), ("at", "1"), ("at", "2")], "at: given twice"),
    (path("x"), [("user_wa_id", USER)], "phone_number_id:"),
    (path("v23.0"), [("user_wa_id", USER)], "phone_number_id:"),
    (path("12"), [("user_wa_id", USER)], "phone_number_id:"),
    (path("7" * 33), [("user_wa_id", USER)], "phone_number_id:"),
    (path("%00"), [("user_wa_id", USER)], "phone_number_id:"),
]


def quotes_nobody(got: httpx.Response) -> bool:
    return USER not in got.text and "7700900" not in got.text and "9999" not in got.text and "script" not in got.text


@pytest.mark.parametrize(("url", "params", "said"), BAD_QUESTIONS)
async def test_a_bad_parameter_is_named_in_graph_s_shape_and_never_quoted(
    url: str, params: list[tuple[str, str]], said: str
) -> None:
    async with asking(app_of()) as client:
        got = await client.get(url, params=tuple(params))
    assert got.status_code == 400
    error = GraphError.model_validate(got.json()).error
    assert (error.code, error.type, error.is_transient) == (100, "OAuthException", False)
    assert said in error.error_data.details
    assert error.fbtrace_id == got.headers["callgrant-trace"]
    assert quotes_nobody(got)


async def test_an_unknown_parameter_is_ignored() -> None:
    async with asking(app_of()) as client:
        assert (await client.get(path(), params=who(fields="permission"))).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer :",
        "Bearer test",
        "Bearer test:",
        "Bearer :s3cret",
        "Bearer test:S3cret",
        "Bearer test:s3cret1",
        "Bearer test:s3cre",
        "Bearer test:0ther",
        "Bearer other:s3cret",
        "Bearer nobody:s3cret",
        "Bearer s3cret:test",
        "Basic dGVzdDpzM2NyZXQ=",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY},{KEY}",
        f"Bearer test:{'x' * 10_000}",
        "Bearer t\xe9st:s3cret",
    ],
)
async def test_who_has_no_key_of_ours_is_told_nothing(authorization: str | None) -> None:
    headers: dict[str, Any] = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    async with asking(app_of(told=Told(seconds=None)), headers) as client:
        got = await client.get(path("x"), params={"at": "never"})
    assert got.status_code == 401
    assert got.headers["www-authenticate"].startswith("Bearer")
    error = GraphError.model_validate(got.json()).error
    assert error.code == 190
    assert "s3cret" not in got.text


@pytest.mark.parametrize(
    "key", ["Bearer test:s3cret", "bearer test:previous", "BEARER other:0ther", "Bearer  test:s3cret"]
)
async def test_every_configured_key_is_taken(key: str) -> None:
    async with asking(app_of(), {"Authorization": key}) as client:
        assert (await client.get(path(), params=who())).status_code == 200


async def test_two_authorization_headers_are_none() -> None:
    async with asking(app_of(), {}) as client:
        twice = [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")]
        assert (await client.get(path(), params=who(), headers=twice)).status_code == 401


@pytest.mark.parametrize("keys", [(), (("", ""),), (("test", ""),), (("", "s3cret"),)])
async def test_without_a_configured_key_the_door_is_closed(keys: tuple[tuple[str, str], ...]) -> None:
    app = app_of(settings=dataclasses.replace(SETTINGS, api_keys=keys))
    for token in ("test:s3cret", ":", "test:", ":s3cret"):
        async with asking(app, {"Authorization": f"Bearer {token}"}) as client:
            assert (await client.get(path(), params=who())).status_code == 401


def test_a_key_is_in_no_repr() -> None:
    assert "s3cret" not in repr(Keys(SETTINGS.api_keys)) + repr(SETTINGS)


@pytest.mark.parametrize("seconds", [None, 30.1, 1e9])
async def test_what_is_not_fresh_enough_is_not_answered(seconds: float | None) -> None:
    app = app_of(told=Told(records=5, seconds=seconds))
    async with asking(app) as client:
        got = await client.get(path(), params=who())
        ready = await client.get("/readyz")
    assert got.status_code == 503
    assert int(got.headers["retry-after"]) > 0
    error = GraphError.model_validate(got.json()).error
    assert (error.code, error.is_transient) == (2, True)
    assert "permission" not in got.json()
    assert ready.status_code == 503
    assert int(ready.headers["retry-after"]) > 0
    assert Problem.model_validate(ready.json()).status == 503


async def test_at_the_bound_is_still_answered() -> None:
    async with asking(app_of(told=Told(seconds=30.0))) as client:
        assert (await client.get(path(), params=who())).status_code == 200


async def test_a_wrong_parameter_is_told_even_while_there_is_no_answer() -> None:
    async with asking(app_of(told=Told(seconds=None))) as client:
        assert (await client.get(path(), params=who(at="never"))).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_the_question_takes_only_get(method: str) -> None:
    async with asking(app_of()) as client:
        got = await client.request(method, path(), params=who())
    assert got.status_code == 405
    assert "GET" in got.headers["allow"]
    if method != "HEAD":
        assert GraphError.model_validate(got.json()).error.code == 100


@pytest.mark.parametrize("url", ["/", f"/{USER}", f"/v1/pairs/{USER}", "/docs", "/redoc", path() + "/", "//"])
async def test_other_paths_are_unknown_in_rfc_9457(url: str) -> None:
    async with asking(app_of()) as client:
        got = await client.get(url)
    assert got.status_code == 404
    assert got.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate(got.json()).status == 404
    assert quotes_nobody(got)


async def test_a_defect_of_ours_is_told_without_what_it_met(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Rows):
        def get(self, key: bytes) -> bytes | None:
            raise RuntimeError(f"met {USER}")

    async with asking(app_of(Broken())) as client:
        got = await client.get(path(), params=who())
    assert got.status_code == 500
    assert GraphError.model_validate(got.json()).error.code == 1
    assert USER not in got.text
    said = capsys.readouterr().out
    assert "RuntimeError" in said
    assert USER not in said


async def test_a_version_of_thousands_of_digits_is_no_path_and_no_defect() -> None:
    async with asking(app_of()) as client:
        answer = await client.get(f"/v{LONG}.0{path()}", params=who())
    assert answer.status_code == httpx.codes.NOT_FOUND
