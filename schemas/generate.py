"""JSON Schema (2020-12) of every shape, generated from the models and checked in under `schemas/jsonschema/`.

Owns which shapes are published and under which file name. `write` brings the folder up to date; a test fails when it
is not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from schemas.actions import ACTIONS
from schemas.answers import Answer, StandingLine
from schemas.business import BusinessState
from schemas.changes import Change
from schemas.events import FACT_TYPES, FACT_VERSIONS
from schemas.policy import Policy
from schemas.records import CallRow, GrantRow, Record, RequestRow
from schemas.sendlog import Exchange
from schemas.state import StoredState

FOLDER: Final = Path(__file__).with_name("jsonschema")
EXAMPLES: Final = Path(__file__).with_name("examples")

SHAPES: Final[Mapping[str, Any]] = {
    **{f"{name}.v{FACT_VERSIONS[name]}": kind for name, kind in FACT_TYPES.items()},
    **{f"action.{name}.v1": model for name, model in ACTIONS.items()},
    "exchange.v1": Exchange,
    "pair_state.v1": StoredState,
    "business_state.v1": BusinessState,
    "change.v1": Change,
    "record.v1": Record,
    "request_row.v1": RequestRow,
    "grant_row.v1": GrantRow,
    "call_row.v1": CallRow,
    "answer.v1": Answer,
    "standing_line.v1": StandingLine,
    "policy.v1": Policy,
}


def generated() -> dict[str, bytes]:
    """File name to content of every schema as the models say today."""
    return {f"{name}.json": _schema(name, shape) for name, shape in SHAPES.items()}


def _schema(name: str, shape: Any) -> bytes:
    schema = TypeAdapter(shape).json_schema(mode="validation")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:callgrant:{name}"}
    return orjson.dumps(head | schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def write(folder: Path = FOLDER) -> list[str]:
    """Writes every schema and returns the names of the files that changed. Files of shapes that are gone stay
    readable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, content in generated().items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
            changed.append(name)
    return changed
