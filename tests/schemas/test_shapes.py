"""Over the tree: every shape has a current schema and an example, every example is valid and readable. Adding a file
adds its test.
"""

from pathlib import Path

import jsonschema
import orjson
import pytest
from pydantic import BaseModel

from schemas import generate
from schemas.actions import check_action
from schemas.answers import Answer, StandingLine
from schemas.business import decode_business, encode_business
from schemas.changes import Change
from schemas.codec import Unreadable, encode_fact, fact_of
from schemas.events import FACT_TYPES
from schemas.policy import DEFAULT_POLICY, Policy
from schemas.records import CallRow, GrantRow, Record, RequestRow
from schemas.sendlog import Exchange
from schemas.state_row import decode_state, encode_state
from schemas.upcasters import lift

EXAMPLES = sorted(generate.EXAMPLES.glob("*/*/*.json"))
READERS: dict[str, type[BaseModel]] = {
    "exchange": Exchange,
    "change": Change,
    "record": Record,
    "request_row": RequestRow,
    "grant_row": GrantRow,
    "call_row": CallRow,
    "answer": Answer,
    "standing_line": StandingLine,
    "policy": Policy,
}


def _shape(path: Path) -> str:
    return f"{path.parent.parent.name}.{path.parent.name}"


def test_the_checked_in_schemas_are_those_of_the_models() -> None:
    stale = [
        name
        for name, content in generate.generated().items()
        if not (generate.FOLDER / name).exists() or (generate.FOLDER / name).read_bytes() != content
    ]
    assert stale == [], "run `callgrant schemas write`"


def test_every_shape_has_an_example() -> None:
    assert {_shape(path) for path in EXAMPLES} >= generate.SHAPES.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{_shape(path)}/{path.stem}")
def test_an_example_is_valid_against_its_schema(path: Path) -> None:
    schema = orjson.loads((generate.FOLDER / f"{_shape(path)}.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(orjson.loads(path.read_bytes()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{_shape(path)}/{path.stem}")
def test_an_example_is_read_by_todays_reader(path: Path) -> None:
    kind, version = path.parent.parent.name, int(path.parent.name.removeprefix("v"))
    fields = orjson.loads(path.read_bytes())
    if kind in FACT_TYPES:
        fact = fact_of(lift(kind, version, fields))
        assert not isinstance(fact, Unreadable)
        assert fact_of(orjson.loads(encode_fact(fact))) == fact
    elif kind == "business_state":
        assert orjson.loads(encode_business(decode_business(path.read_bytes()))) == fields
    elif kind == "pair_state":
        state = decode_state(path.read_bytes())
        assert orjson.loads(encode_state(state)) == fields
    elif kind.startswith("action."):
        assert not isinstance(check_action(fields), list)
    else:
        READERS[kind].model_validate(fields)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{_shape(path)}/{path.stem}")
def test_an_example_holds_only_numbers_reserved_for_drama(path: Path) -> None:
    import re

    text = path.read_text()
    assert set(re.findall(r"\b44\d{10}\b", text)) <= set(re.findall(r"\b447700900\d{3}\b|\b442079460\d{3}\b", text))
    assert set(re.findall(r"wamid\.\w+", text)) == set(re.findall(r"wamid\.TEST\w+", text))


def test_the_built_in_policy_is_the_example_of_the_reference() -> None:
    path = generate.EXAMPLES / "policy" / "v1" / "reference.json"
    assert Policy.model_validate_json(path.read_bytes()).model_copy(update={"numbers": {}}) == DEFAULT_POLICY
