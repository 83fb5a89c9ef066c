"""Parameters of named questions, and the forms of their answers."""

import csv
import io
import re
from datetime import date
from typing import get_args

import orjson
import pytest

from projections.answers import as_csv, as_json, bad_parameter, cell
from projections.keys import Keys
from projections.page.figures import CAUSES, CLASSES
from projections.questions import QUESTIONS, Asked, BadParameter, Found, asked_of
from schemas.records import EndCause, FinalClass
from tests.projections.histories import NUMBERS

FUNNEL = QUESTIONS["funnel"]
HOSTILE = ["' OR 1=1 --", "1; DROP TABLE facts", "{number:String}", "\x00", "７００100200300", "0" * 40, "day)", "a\nb"]


def test_parameters_are_read_as_types_and_empty_ones_as_not_given() -> None:
    given = [("number", NUMBERS[0]), ("since", "2026-03-02"), ("until", ""), ("by", "day")]
    assert asked_of(FUNNEL, given) == Asked(number=NUMBERS[0], since=date(2026, 3, 2), by="day")
    assert asked_of(FUNNEL, []) == Asked()


@pytest.mark.parametrize("name", ["number", "since", "until", "by"])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_that_is_not_of_its_type_is_refused_by_name_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(BadParameter) as refused:
        asked_of(FUNNEL, [(name, value)])
    assert refused.value.parameter == name
    assert value not in str(refused.value)


@pytest.mark.parametrize(
    "day", ["2026-02-30", "20260302", "2026-3-2", "1969-12-31", "2149-01-01", "2026-03-02T00:00:00Z"]
)
def test_a_day_that_is_none_or_that_the_store_cannot_hold_is_refused(day: str) -> None:
    with pytest.raises(BadParameter):
        asked_of(FUNNEL, [("since", day)])


def test_repeated_and_contradictory_parameters_are_refused() -> None:
    for question, given, name in (
        (FUNNEL, [("by", "day"), ("by", "day")], "by"),
        (FUNNEL, [("since", "2026-03-02"), ("until", "2026-03-01")], "until"),
    ):
        with pytest.raises(BadParameter) as refused:
            asked_of(question, given)
        assert refused.value.parameter == name


@pytest.mark.parametrize("name", ["447700900123", "sql", *HOSTILE])
def test_an_unknown_parameter_is_refused_with_the_known_ones_and_its_name_is_not_repeated(name: str) -> None:
    with pytest.raises(BadParameter) as refused:
        asked_of(FUNNEL, [(name, "")])
    assert str(refused.value) == "unknown parameter; funnel takes by, number, since, until"
    answer = bytes(bad_parameter(refused.value).body).decode()
    assert name not in answer
    assert "parameter" not in orjson.loads(answer)


def test_a_question_without_groupings_takes_none() -> None:
    with pytest.raises(BadParameter, match="revocations takes number, since, until"):
        asked_of(QUESTIONS["revocations"], [("by", "day")])


def test_no_statement_is_built_from_anything_but_closed_lists() -> None:
    for question in QUESTIONS.values():
        for by in (None, *question.groupings):
            text = question.sql(by)
            assert set(re.findall(r"\{(\w+):\w+\}", text)) == {"number", "since", "until"}
            assert by is None or "/*" not in text.replace("/*group*/", "")


def test_every_class_and_cause_of_the_contract_has_words_and_is_counted() -> None:
    assert set(CLASSES) == set(get_args(FinalClass))
    assert set(CAUSES) == set(get_args(EndCause))
    for name in CLASSES:
        assert f"AS {name}," in FUNNEL.sql(None)
    for cause in CAUSES:
        assert f"('{cause}', " in QUESTIONS["revocations"].sql(None)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_csv_cell_that_a_spreadsheet_would_run_is_escaped(start: str) -> None:
    assert cell(f"{start}1+1") == f"'{start}1+1"
    assert cell("a" + start) == "a" + start
    assert cell(-1.5) == -1.5
    assert cell(None) == ""


def found(rows: list[dict[str, str | int | float | None]]) -> Found:
    return Found(
        question="funnel", asked=Asked(by="template"), as_of=1_772_443_800, columns=("template", "n"), rows=rows
    )


def test_csv_has_a_head_even_without_rows_and_reads_back() -> None:
    assert bytes(as_csv(found([])).body) == b"template,n\r\n"
    text = bytes(
        as_csv(found([{"template": '=HYPERLINK("a"),b', "n": 3}, {"template": "c\nd", "n": None}])).body
    ).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["template", "n"],
        ['\'=HYPERLINK("a"),b', "3"],
        ["c\nd", ""],
    ]


def test_json_says_what_was_asked_and_how_fresh_it_is() -> None:
    body = orjson.loads(bytes(as_json(found([{"template": "a", "n": 3}]), behind_records=2).body))
    assert body == {
        "question": "funnel",
        "parameters": {"number": None, "since": None, "until": None, "by": "template"},
        "as_of": 1_772_443_800,
        "behind_records": 2,
        "columns": ["template", "n"],
        "rows": [{"template": "a", "n": 3}],
    }


@pytest.mark.parametrize(
    ("authorization", "fits"),
    [
        ("Bearer one:secret", True),
        ("bearer two:other:part", True),
        ("Basic b25lOnNlY3JldA==", True),
        ("Bearer one:Secret", False),
        ("Bearer one", False),
        ("Bearer", False),
        ("Basic !!!", False),
        ("Basic b25l", False),
        ("Digest one:secret", False),
        ("Bearer \udcff", False),
        ("", False),
        (None, False),
    ],
)
def test_a_key_opens_as_bearer_and_as_basic_and_nothing_else_does(authorization: str | None, fits: bool) -> None:
    assert Keys([("one", "secret"), ("two", "other:part")]).fit(authorization) is fits


@pytest.mark.parametrize("keys", [[], [("", "")], [("one", "")]])
def test_without_a_usable_key_the_door_is_closed(keys: list[tuple[str, str]]) -> None:
    for authorization in (None, "Bearer :", "Bearer one:", "Bearer ", "Basic Og=="):
        assert not Keys(keys).fit(authorization)
