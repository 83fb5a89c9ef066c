"""The forms of an answer: JSON, CSV, and problems (RFC 9457).

Owns representation. Refuses to compute: what is not in `Found` is not in an answer.
"""

import csv
import io
from typing import Any, Final

import orjson
from starlette.responses import Response

from projections.questions import BadParameter, Found

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def as_json(found: Found, behind_records: int | None) -> Response:
    """The answer with what was asked and how fresh it is. `behind_records`: not stored yet; null when unknown."""
    return _json(
        {
            "question": found.question,
            "parameters": found.asked.as_words(),
            "as_of": found.as_of,
            "behind_records": behind_records,
            "columns": found.columns,
            "rows": found.rows,
        }
    )


def as_csv(found: Found) -> Response:
    """The answer as a table with a head; an empty cell is null."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(found.columns)
    for row in found.rows:
        writer.writerow([cell(row[name]) for name in found.columns])
    return Response(
        text.getvalue(),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"content-disposition": f'attachment; filename="{found.question}.csv"', "cache-control": "no-store"},
    )


def cell(value: str | float | None) -> str | float:
    """A value as a cell. Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def problem(status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **more: str) -> Response:
    """An error as `application/problem+json`."""
    return Response(
        orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, **more}),
        status_code=status,
        media_type="application/problem+json",
        headers={"cache-control": "no-store", **(headers or {})},
    )


def bad_parameter(fault: BadParameter) -> Response:
    """422, naming the parameter when it is one of ours."""
    if fault.parameter is None:
        return problem(422, "Unusable parameter", str(fault))
    return problem(422, "Unusable parameter", str(fault), parameter=fault.parameter)


def as_document(body: dict[str, Any], status: int = 200) -> Response:
    """Any other JSON body."""
    return _json(body, status)


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(
        orjson.dumps(body), status_code=status, media_type="application/json", headers={"cache-control": "no-store"}
    )
