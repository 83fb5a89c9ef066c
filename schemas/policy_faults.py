"""What is wrong with a policy file, in words: the place, and what is allowed there.

Owns the sentences. Refuses to decide what is wrong: the model does.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from schemas.codec import path_of


class KeyTwice(Exception):
    """Of two entries with one key JSON readers keep the last; which one was meant is anybody's guess."""


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which no key stands twice, for `json.loads(object_pairs_hook=…)`."""
    said = dict(pairs)
    if len(said) < len(pairs):
        keys = [key for key, _ in pairs]
        raise KeyTwice(json.dumps(next(key for key in said if keys.count(key) > 1)))
    return said


def faults_of(fault: ValidationError, schema: dict[str, Any]) -> Iterator[str]:
    """Every fault in words; of an object that should not be there, only that."""
    errors = fault.errors(include_url=False, include_context=False, include_input=False)
    wrong_keys = [error["loc"][:-1] for error in errors if error["loc"][-1:] == ("[key]",)]
    for error in errors:
        place = error["loc"]
        if place[-1:] == ("[key]",) or not any(place[: len(wrong)] == wrong for wrong in wrong_keys):
            yield _told(place, error["type"], error["msg"], schema)


def _told(place: tuple[int | str, ...], kind: str, message: str, schema: dict[str, Any]) -> str:
    """A fault in words: where, what, and what is allowed."""
    key = place[-1:] == ("[key]",)
    place = place[:-1] if key else place
    if kind == "extra_forbidden":
        message = f"unknown key; allowed: {', '.join(_allowed(place[:-1], schema))}"
    elif kind == "missing":
        message = f"missing; the keys here are {', '.join(_allowed(place[:-1], schema))}"
    elif kind in ("model_type", "dict_type"):
        message = "an object is expected here"
    elif kind == "tuple_type":
        message = "an array is expected here"
    elif key and kind == "literal_error":
        message = f"unknown key; allowed: {', '.join(_allowed(place[:-1], schema))}"
    return f"{path_of(place)}: {message.removeprefix('Value error, ')}"


def _allowed(place: tuple[int | str, ...], schema: dict[str, Any]) -> list[str]:
    """The keys of the object at a place, read from the schema of the file."""
    node = schema
    for step in place:
        if isinstance(step, int):
            node = node["items"]
        else:
            node = node.get("properties", {}).get(step) or node["additionalProperties"]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif "anyOf" in node:
            node = node["anyOf"][0]
    return list(node.get("properties") or node["propertyNames"]["enum"])
