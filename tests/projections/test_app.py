"""The HTTP door, through real HTTP messages and a real store, without a socket."""

import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import orjson
import plotly.graph_objects as go
import pytest

from projections.app import OPEN_PATHS, Parts, application
from projections.keys import Keys
from projections.metrics import Metrics
from projections.page.render import CONTENT_SECURITY_POLICY
from projections.progress import PartitionProgress, Phase, Progress, ProgressUnknown
from projections.questions import QUESTIONS
from projections.store import Store
from schemas.records import encode_record
from tests.projections.histories import DAY, NUMBERS, funnel_of, grant_row, history, record, request_row
from tests.projections.test_views import load

KEYS = (("analyst", "0123456789abcdef"),)
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


class StandingStill:
    """A loader at a known place: what the door tells of it is the door's business."""

    phase: Phase = "loading"
    reason: str | None = None

    def __init__(self, behind: int | None = 0) -> None:
        self._behind = behind

    async def progress(self) -> Progress:
        if self._behind is None:
            raise ProgressUnknown("Kafka does not answer")
        parts = (PartitionProgress(partition=0, next_offset=10, end_offset=10 + self._behind),)
        return Progress(as_of=1_772_443_800, topic="permission.records", partitions=parts, stored_until=None)


def client_of(parts: Parts, *, key: bool = True) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(parts, Keys(KEYS)), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://page", auth=KEYS[0] if key else None)


def parts_of(store: Store | None, behind: int | None = 0) -> Parts:
    parts = Parts(Metrics())
    if store is not None:
        parts.store, parts.loader = store, StandingStill(behind)
    return parts


async def test_everything_but_health_and_metrics_wants_a_key_and_a_browser_is_asked_for_it() -> None:
    async with client_of(parts_of(None), key=False) as client:
        for path in ("/", "/v1/analytics", "/v1/analytics/funnel", "/v1/progress", "/assets/x", "/nothing", "/livez/"):
            refused = await client.get(path)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"].startswith("Basic ")
            assert refused.headers["content-type"] == "application/problem+json"
        for path in OPEN_PATHS:
            assert (await client.get(path)).status_code in {200, 503}
        wrong = await client.get("/v1/analytics", headers={"Authorization": "Bearer analyst:wrong"})
        assert wrong.status_code == 401
        right = await client.get("/v1/analytics", headers={"Authorization": "Bearer analyst:0123456789abcdef"})
        assert right.status_code == 200


async def test_before_the_store_is_open_the_process_is_alive_and_not_ready() -> None:
    async with client_of(parts_of(None)) as client:
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        for path in ("/v1/analytics/funnel", "/v1/progress", "/"):
            away = await client.get(path)
            assert (away.status_code, away.headers["retry-after"]) == (503, "5")


@pytest.mark.clickhouse
async def test_readiness_and_progress_say_how_far_behind_storing_is(embedded: Store) -> None:
    async with client_of(parts_of(embedded, behind=7)) as client:
        ready = (await client.get("/readyz")).json()
        assert (ready["ready"], ready["behind_records"]) == (True, 7)
        progress = (await client.get("/v1/progress")).json()
        assert progress["partitions"] == [{"partition": 0, "next_offset": 10, "end_offset": 17}]
        assert progress["behind_records"] == 7
    async with client_of(parts_of(embedded, behind=None)) as client:
        assert (await client.get("/v1/progress")).status_code == 503
        assert (await client.get("/v1/analytics/funnel")).json()["behind_records"] is None


async def test_the_list_names_every_question_with_its_parameters() -> None:
    async with client_of(parts_of(None)) as client:
        listed = (await client.get("/v1/analytics")).json()["questions"]
    assert [one["name"] for one in listed] == list(QUESTIONS)
    assert "template" in listed[0]["parameters"]["by"]


@pytest.mark.clickhouse
async def test_a_question_is_answered_as_json_and_as_csv(embedded: Store) -> None:
    load(embedded, [encode_record(record([request_row("A", template_name="=1+1")]))])
    async with client_of(parts_of(embedded)) as client:
        told = await client.get("/v1/analytics/funnel", params={"by": "template", "number": NUMBERS[0]})
        assert told.json()["rows"][0] | {"template": "=1+1", "requested": 1} == told.json()["rows"][0]
        table = await client.get("/v1/analytics/funnel", params={"by": "template", "format": "csv"})
        assert table.headers["content-type"].startswith("text/csv")
        head, row = table.text.splitlines()
        assert head.split(",")[:2] == ["template", "requested"]
        assert row.split(",")[:2] == ["'=1+1", "1"]
        nothing = await client.get("/v1/analytics/funnel", params={"by": "day", "until": "1999-01-01", "format": "csv"})
        assert nothing.text.splitlines()[0].split(",")[:2] == ["day", "requested"]


async def test_faults_are_problems_that_name_what_to_change() -> None:
    parts = parts_of(None)
    async with client_of(parts) as client:
        for query, parameter in (
            ("since=x", "since"),
            ("format=xml", "format"),
            ("447700900123=x", None),
            ("by=user", "by"),
        ):
            refused = await client.get(f"/v1/analytics/funnel?{query}")
            assert refused.status_code == 422
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json().get("parameter") == parameter
            assert "447700900123" not in refused.text
        missing = await client.get("/v1/analytics/everything")
        assert (missing.status_code, "funnel, revocations" in missing.json()["detail"]) == (404, True)
        assert (await client.get("/v2")).json()["status"] == 404
        assert (await client.post("/v1/analytics/funnel")).status_code == 405
        text = (await client.get("/metrics")).text
    assert 'callgrant_projection_queries_total{outcome="refused",question="funnel"} 4.0' in text


class _Addresses(HTMLParser):
    """Every address in a page, and every script's type."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [str(given[name]) for name in ("href", "src", "action") if name in given]
        if tag == "script" and "src" not in given:
            self.inline.append(str(given.get("type")))
        assert not any(name.startswith("on") or name == "style" for name in given)


def read(page: str) -> _Addresses:
    parser = _Addresses()
    parser.feed(page)
    return parser


def figures_of(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="figure-(\w+)">(.*?)</script>', page, re.DOTALL)
    return {name: orjson.loads(text) for name, text in found}


@pytest.mark.clickhouse
async def test_the_page_shows_the_numbers_of_the_store_in_tables_and_figures(embedded: Store) -> None:
    at = int(time.time())  # noqa: TID251 the views judge by the engine's clock
    told = history(21, at)
    load(embedded, told.delivered(21))
    truth = funnel_of(told.requests, at)
    async with client_of(parts_of(embedded)) as client:
        page = (await client.get("/")).text
        one = (await client.get("/", params={"number": NUMBERS[1]})).text
    for step, count in (
        ("Requested", truth["requested"]),
        ("Delivered", truth["delivered"]),
        ("Approved", truth["accepted"]),
    ):
        assert f'<tr><th scope="row">{step}</th><td class="n">{count:,}</td>' in page
    figures = figures_of(page)
    for figure in figures.values():
        go.Figure(figure)  # plotly itself agrees that this can be drawn
    funnel = figures["funnel"]["data"][0]
    steps = ("requested", "accepted_by_api", "delivered", "responded", "accepted")
    assert funnel["x"] == [truth[step] for step in steps]
    assert sum(sum(bar["y"]) for bar in figures["days"]["data"]) == truth["requested"]
    only = funnel_of([row for row in told.requests if row["phone_number_id"] == NUMBERS[1]], at)
    assert figures_of(one)["funnel"]["data"][0]["x"] == [only[step] for step in steps]
    assert f'<option value="{NUMBERS[1]}" selected>' in one


@pytest.mark.clickhouse
async def test_the_page_names_no_other_origin_and_runs_no_inline_script(embedded: Store) -> None:
    load(embedded, [encode_record(record([request_row("A")]))])
    async with client_of(parts_of(embedded)) as client:
        answer = await client.get("/")
        found = read(answer.text)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        assert set(found.inline) == {"application/json"}
        assert all(
            address.startswith("/") and not address.startswith("//") for address in set(found.addresses) - {"data:,"}
        )
        assert not re.search(r"https?://", answer.text)
        assets = [address for address in found.addresses if address.startswith("/assets/")]
        assert len(assets) == 3
        for address in assets:
            file = await client.get(address)
            assert file.status_code == 200
            assert "immutable" in file.headers["cache-control"]
            plain = await client.get(address, headers={"accept-encoding": "identity"})
            assert plain.content == file.content
            assert "content-encoding" not in plain.headers
        assert (await client.get(assets[0].replace(".css", "0.css"))).status_code == 404


@pytest.mark.clickhouse
async def test_what_came_from_outside_is_escaped_everywhere(embedded: Store) -> None:
    rows = [request_row("A", template_name=HOSTILE), request_row("B", template_name="{{ 7 * 7 }}")]
    load(embedded, [encode_record(record(rows))])
    async with client_of(parts_of(embedded)) as client:
        page = (await client.get("/")).text
        parameter = (await client.get("/", params={"number": HOSTILE, HOSTILE: "x"})).text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "{{ 7 * 7 }}" in page
    for text in (page, parameter):
        assert "alert(1)</script>" not in text
        assert "img" not in read(text).tags


@pytest.mark.clickhouse
async def test_an_empty_page_says_what_to_do_to_see_data(embedded: Store) -> None:
    async with client_of(parts_of(embedded)) as client:
        page = (await client.get("/")).text
        assert "No data yet" in page
        for help_word in ("POST /webhooks/meta", "POST /v1/actions", "callgrant demo", "Everything recorded so far"):
            assert help_word in page
        assert "data-figure" not in page
    async with client_of(parts_of(embedded, behind=3)) as client:
        assert "3 recorded steps are on the way" in (await client.get("/")).text


@pytest.mark.clickhouse
async def test_an_empty_choice_says_where_the_data_is(embedded: Store) -> None:
    load(embedded, [encode_record(record([request_row("A")]))])
    async with client_of(parts_of(embedded)) as client:
        page = (await client.get("/", params={"since": "2030-01-01", "number": "", "until": ""})).text
        assert "Nothing matches these filters" in page
        assert "requests from 2026-03-02 to 2026-03-02" in page
        bad = await client.get("/", params={"since": "2030-01-01", "until": "2029-01-01"})
        assert (bad.status_code, "until: lies before since" in bad.text) == (422, True)


@pytest.mark.clickhouse
async def test_a_page_with_ends_of_permissions_and_no_request_is_drawn(embedded: Store) -> None:
    ended = grant_row("A", end_cause="revoked_via_profile", ended_at=1_772_443_000 + DAY)
    load(embedded, [encode_record(record(grants=[ended]))])
    async with client_of(parts_of(embedded, behind=None)) as client:
        page = (await client.get("/")).text
    assert "Taken back in all" in page
    assert "not known at the moment: Kafka does not answer" in page
    assert figures_of(page)["days"]["data"] == []


@pytest.fixture(autouse=True)
def quiet_log(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No test here leaves content in the log."""
    yield
    assert "447700900" not in capsys.readouterr().out
