"""What `verify` tells of differences, and what it makes of an api's answers."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.config import Config, load
from deploy.verify_answers import Expected, NobodyAnswers, compare
from deploy.verify_local import LocalStores
from deploy.verify_log import CannotJudge, Span, whole
from deploy.verify_report import CHECKS, FIRST, KINDS, Findings, named
from schemas.ids import Pair
from streams.replay.verify_rows import TABLES, Rows, Sum, differing, digest
from tests.ports import free_port

AT = 1_772_443_800
PAIR = Pair("700100200300400", "447700900123")
BODY = {"as_of": AT, "permission": {"status": "temporary", "expiration_time": AT + 60}, "actions": []}


class _Api(BaseHTTPRequestHandler):
    """Answers each question with the next status and body it was given."""

    said: list[tuple[int, dict[str, Any]]]
    asked: list[str]

    def do_GET(self) -> None:
        if self.path == "/livez":
            status, body = 200, dict[str, Any]()
        else:
            self.asked.append(self.path)
            status, body = self.said.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing: what is asked holds a number."""


@pytest.fixture
def api() -> Iterator[tuple[Config, type[_Api]]]:
    kind = type("Api", (_Api,), {"said": [], "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield load({"CALLGRANT_API_PORT": str(server.server_port), "CALLGRANT_API_KEYS": "test:TEST"}), kind
        finally:
            server.shutdown()
            serving.join()


def ask(config: Config) -> Findings:
    found = Findings()
    asyncio.run(compare(config, AT, [Expected(PAIR, BODY)], 5.0, found, lambda _: None))
    return found


def test_an_answer_the_log_leads_to_is_no_difference_and_one_that_lags_is_asked_for_again(
    api: tuple[Config, type[_Api]],
) -> None:
    config, kind = api
    kind.said[:] = [(503, {}), (200, {"messaging_product": "whatsapp", **BODY})]
    found = ask(config)
    assert (found.total, found.compared["answers"]) == (0, 1)
    assert kind.asked == [f"/{PAIR.phone_number_id}/call_permissions?user_wa_id={PAIR.user}&at={AT}"] * 2


def test_another_answer_is_told_by_the_parts_that_differ(api: tuple[Config, type[_Api]]) -> None:
    config, kind = api
    kind.said[:] = [(200, BODY | {"permission": {"status": "no_permission"}})]
    found = ask(config)
    assert found.of("answers") == {"answers.differs": 1}
    assert found.first("answers.differs", 8, show_pairs=False)[0]["detail"] == "permission"


@pytest.mark.parametrize(("status", "setting"), [(401, "CALLGRANT_API_KEYS"), (500, "CALLGRANT_API_PORT")])
def test_an_api_that_refuses_cannot_be_judged(api: tuple[Config, type[_Api]], status: int, setting: str) -> None:
    config, kind = api
    kind.said[:] = [(status, {})]
    with pytest.raises(CannotJudge, match=setting):
        ask(config)


def test_no_api_is_said_and_is_no_difference() -> None:
    with pytest.raises(NobodyAnswers):
        ask(load({"CALLGRANT_API_PORT": str(free_port())}))


def test_a_pair_is_masked_unless_it_is_asked_for() -> None:
    assert PAIR.user not in named(PAIR.key, 8, show_pairs=False)
    assert named(PAIR.key, 8, show_pairs=True) == PAIR.text


def test_all_differences_are_counted_and_the_first_few_are_shown() -> None:
    found = Findings()
    keys = [f"700100200300400/4477009001{last:02d}".encode() for last in range(20)]
    for key in keys:
        found.differs("state.evidence", key)
    found.differs("changes.invented", keys[0], times=3)
    assert (found.total, found.of("state")) == (23, {"state.evidence": 20})
    assert len(found.first("state.evidence", 8, show_pairs=False)) == FIRST
    assert found.leave_out(set(keys[:3])) == 3
    assert (found.of("state"), found.of("changes")) == ({"state.evidence": 17}, {})
    assert found.first("state.evidence", 8, show_pairs=True)[0]["pair"] == keys[3].decode()


def test_every_kind_of_difference_belongs_to_a_check() -> None:
    assert {kind.partition(".")[0] for kind in KINDS} == CHECKS.keys()
    with pytest.raises(LookupError):
        Findings().differs("state.odd", b"")


def test_a_log_whose_beginning_is_gone_cannot_be_judged() -> None:
    whole("permission.events", {0: Span(0, 5)})
    with pytest.raises(CannotJudge, match=r"retention\.ms"):
        whole("permission.events", {0: Span(0, 5), 1: Span(2, 5)})


def test_a_folder_without_stores_is_no_store(tmp_path: Path) -> None:
    assert not LocalStores(tmp_path, 1)


def test_what_only_the_clock_ends_is_no_difference_between_rows_and_everything_else_is() -> None:
    open_row = {name: None for name, _ in TABLES["requests"].fields} | {"request_id": "TEST", "final_class": "open"}
    assert digest("requests", open_row) == digest("requests", open_row | {"final_class": "expired_no_response"})
    assert digest("requests", open_row) != digest("requests", open_row | {"final_class": "declined"})
    grant = {name: None for name, _ in TABLES["grants"].fields} | {"grant_id": "TEST", "flags": [], "expires_at": AT}
    assert digest("grants", grant) == digest("grants", grant | {"ended_at": AT, "end_cause": "expired"})
    assert digest("grants", grant) != digest("grants", grant | {"ended_at": AT, "end_cause": "reading"})


def test_the_newest_form_of_a_row_counts_and_one_taken_back_is_gone() -> None:
    rows = Rows()
    row = {name: None for name, _ in TABLES["calls"].fields} | {"call_id": "TEST", "version": 2, "is_deleted": 0}
    rows.take({"calls": [row | {"outcome": "open"}]})
    before = rows.sums()
    rows.take({"calls": [row | {"outcome": "unanswered", "version": 1}]})
    assert rows.sums() == before
    rows.take({"calls": [row | {"outcome": "connected", "version": 3}]})
    assert differing(before, rows.sums()) == ["calls"]
    rows.take({"calls": [row | {"version": 4, "is_deleted": 1}]})
    assert rows.sums().get("calls", Sum()) == Sum()
