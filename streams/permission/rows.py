"""Rows: a judged request, a grant and a change in the shape that analytics stores (design 13).

Owns the field names of rows; what they say is judged elsewhere. Refuses to number versions: the step does.
"""

from typing import Any

from streams.permission.grants import Grant
from streams.permission.requests import Life

Row = dict[str, Any]


def request_row(life: Life) -> Row:
    """One request, without pair and version."""
    name, language, category = life.template or (None, None, None)
    row = life._asdict()
    del row["template"]
    return row | {"template_name": name, "template_language": language, "template_category": category}


def grant_row(grant: Grant) -> Row:
    """One grant, without pair and version."""
    return grant._asdict()


def change_row(change: dict[str, Any]) -> Row:
    """One announcement, flat: labels instead of standings."""
    after = change["after"]
    return {
        "change_id": change["change_id"],
        "type": change["type"],
        "occurred_at": change["occurred_at"],
        "before": change["before"]["label"],
        "after": after["label"],
        "cause": change["cause"],
        "reason": after["reason"],
        "via": after["via"],
        "source": after["source"],
        "grant_id": change["data"].get("grant_id"),
        "version": change["version"],
    }
