import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from schemas.answers import Answer
from streams.api.paper import ANSWER_EXAMPLE
from tests.api.door import ASKED_AT, USER, Told, app_of, asking, path, who


async def test_health_and_numbers_need_no_key() -> None:
    async with asking(app_of(), {}) as client:
        for url in ("/livez", "/readyz", "/metrics", "/openapi.json"):
            assert (await client.get(url)).status_code == 200


async def test_alive_is_told_even_while_there_is_no_answer() -> None:
    async with asking(app_of(told=Told(seconds=None)), {}) as client:
        assert (await client.get("/livez")).status_code == 200
        assert "callgrant_api_lag_seconds +Inf" in (await client.get("/metrics")).text


async def test_requests_are_counted_by_template_and_status_alone() -> None:
    async with asking(app_of(told=Told(records=3, seconds=0.5))) as client:
        for n in range(5):
            await client.get(path(), params=who(f"4477009001{n:02d}"))
        await client.get("/v23.0" + path(), params=who())
        await client.get(f"/{USER}")
        told = (await client.get("/metrics")).text
    assert 'callgrant_api_requests_total{route="/{phone_number_id}/call_permissions",status="200"} 5.0' in told
    assert 'route="unmatched",status="404"} 1.0' in told
    assert "callgrant_api_lag_records 3.0" in told
    assert "callgrant_api_replica_pairs 1.0" in told
    assert "7700900" not in told


async def test_a_log_line_tells_template_status_and_time_and_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async with asking(app_of()) as client:
        await client.get(path(), params=who())
        await client.get(path(), params=who("x\r\n" + USER))
        await client.get(f"/nowhere/{USER}")
        await client.get("/livez")
    said = capsys.readouterr().out
    assert said.count("answered") == 2  # those that were refused
    assert "call_permissions" in said
    assert "7700900" not in said


async def test_the_paper_is_valid_openapi_and_its_examples_are_right() -> None:
    async with asking(app_of(), {}) as client:
        paper = (await client.get("/openapi.json")).json()
    validate(paper)
    assert set(paper["paths"]) == {
        "/{phone_number_id}/call_permissions",
        "/v{major}.{minor}/{phone_number_id}/call_permissions",
        "/v1/numbers/{phone_number_id}",
        "/livez",
        "/readyz",
        "/metrics",
    }
    for url, operations in paper["paths"].items():
        for status, response in operations["get"]["responses"].items():
            for content in response.get("content", {}).values():
                if "example" in content:
                    schema = {**content["schema"], "components": paper["components"]}
                    Draft202012Validator(schema).validate(content["example"])
                    assert content["example"], (url, status)
    assert paper["paths"][path("{phone_number_id}")]["get"]["security"] == [{"key": []}]


def test_the_example_is_an_answer() -> None:
    Answer.model_validate(ANSWER_EXAMPLE)


async def test_an_answer_validates_against_the_paper() -> None:
    async with asking(app_of()) as client:
        paper = (await client.get("/openapi.json")).json()
        got = (await client.get(path(), params=who(at=str(ASKED_AT)))).json()
    schema = {"$ref": "#/components/schemas/Answer", "components": paper["components"]}
    Draft202012Validator(schema).validate(got)


def test_log_lines_of_libraries_lose_what_they_quote() -> None:
    code = (
        "import logging; from streams.api import logs; logs.set_up();"
        f"logging.getLogger('other').warning('met %s', '{USER}');"
        "import structlog; structlog.get_logger().info('answered', status=200)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["library", "answered"]
    assert lines[0]["template"] == "met %s"
    assert USER not in done.stdout + done.stderr
