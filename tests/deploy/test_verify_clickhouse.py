"""Rows in ClickHouse beside what the log leads to: judged as the store replaces them, by id and day."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.config import Config, load, projection_settings
from deploy.verify_clickhouse import NotLookedAt, compare
from deploy.verify_report import Findings
from projections.migrate import migrate
from projections.store import open_embedded, open_server
from schemas.events import PairFact
from schemas.ids import Pair, is_wa_id
from schemas.policy import DEFAULT_POLICY
from schemas.records import encode_record
from schemas.state import PairState
from streams.permission.step import step
from streams.replay.verify_rows import Rows
from tests.permission.story import DAY, HOUR, NUMBER, PRODUCTION, T0, USER, accepted, delivered, messaged, sent
from tests.ports import free_port
from tests.projections.conftest import ServerProcess
from tests.projections.test_views import load as fill

SCOPED = "GB.TEST1234567890"
REQUEST, ANSWER = "wamid.TESTREQ0001", "wamid.TESTANSWER1"


def under(user: str, *facts: PairFact) -> list[PairFact]:
    return [replace(fact, user=user) for fact in facts]


TWO_DAYS = {
    USER: under(USER, sent(REQUEST, T0)),
    SCOPED: under(SCOPED, accepted(ANSWER, T0 + DAY, to=REQUEST), messaged("wamid.TESTMSG0001", T0 + DAY + HOUR)),
}
"""A request told under the digits and answered under a business-scoped id on another day, the two never linked."""
ONE_DAY = {
    USER: under(USER, sent(REQUEST, T0)),
    SCOPED: under(SCOPED, delivered(REQUEST, T0 + 2), accepted(ANSWER, T0 + HOUR, to=REQUEST)),
}


class Told:
    """What two names of one user come to: the values told, and what the log leads to."""

    def __init__(self, story: dict[str, list[PairFact]]) -> None:
        self.values: list[bytes] = []
        self.rows: dict[bytes, Rows] = {}
        for user, facts in story.items():
            rows = self.rows[Pair(NUMBER, user).key] = Rows()
            state = PairState(phone_number_id=NUMBER, user=user)
            for fact in facts:
                each = step(state, fact, DEFAULT_POLICY, PRODUCTION)
                state = each.state
                assert each.record is not None
                rows.take(each.record)
                self.values.append(encode_record(each.record))

    def compared(self, config: Config) -> Findings:
        found = Findings()
        sums = {key: rows.sums() for key, rows in self.rows.items()}
        others = {key: rows for key, rows in self.rows.items() if not is_wa_id(key.decode().partition("/")[2])}
        compare(config, sums, others, found)
        return found


generations = itertools.count(2)
"""Each has a database of its own."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    made.start()
    yield made
    made.kill()


@pytest.fixture(params=["embedded", "server"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[list[bytes]], Config]:
    """Store these values, and how a command is told where they are."""

    def store(values: list[bytes]) -> Config:
        told = {
            "CALLGRANT_DATA_DIR": str(tmp_path),
            "CALLGRANT_ANALYTICS_PORT": str(free_port()),
            "CALLGRANT_GENERATION": str(next(generations)),
        }
        if request.param == "server":
            told["CALLGRANT_CLICKHOUSE_URL"] = request.getfixturevalue("server").url
        config = load(told, tmp_path)
        settings = projection_settings(config)
        url, database = settings.clickhouse_url, settings.database
        opened = open_server(url, database) if url else open_embedded(settings.store_folder, database)
        with contextlib.closing(opened):
            migrate(opened)
            fill(opened, values)
        return config

    return store


@pytest.mark.clickhouse
@pytest.mark.parametrize("story", [TWO_DAYS, ONE_DAY], ids=["two days", "one day"])
def test_rows_of_one_request_under_two_names_never_linked_are_judged_by_their_days(
    stored: Callable[[list[bytes]], Config], story: dict[str, list[PairFact]]
) -> None:
    told = Told(story)
    requests = sum(name == "requests" for rows in told.rows.values() for name, _ in rows.digests)
    assert requests == 2, "each name tells the request"
    found = told.compared(stored(told.values))
    assert found.of("rows") == {}
    assert found.compared["rows"] == sum(len(rows.digests) for rows in told.rows.values()) - (story is ONE_DAY)


@pytest.mark.clickhouse
@pytest.mark.parametrize("story", [TWO_DAYS, ONE_DAY], ids=["two days", "one day"])
def test_a_row_that_is_missing_under_either_name_is_told(
    stored: Callable[[list[bytes]], Config], story: dict[str, list[PairFact]]
) -> None:
    told = Told(story)
    by_the_digits = len(story[USER])
    assert told.compared(stored(told.values[by_the_digits:])).of("rows")["rows.differs"] >= 1
    assert told.compared(stored(told.values[:by_the_digits])).of("rows") == {"rows.differs": 3 - (story is ONE_DAY)}


@pytest.mark.clickhouse
def test_a_server_that_does_not_answer_is_not_looked_at_and_the_text_says_so(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    config = load({"CALLGRANT_DATA_DIR": str(tmp_path), "CALLGRANT_CLICKHOUSE_URL": url}, tmp_path)
    with pytest.raises(NotLookedAt, match="the store cannot be asked"):
        Told(ONE_DAY).compared(config)
