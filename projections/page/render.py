"""The page as text: answers in, HTML out. Pure but for reading the template.

Owns the page's words. Everything that came from outside is escaped by the template engine; the figures travel as JSON
in a block that no browser runs, with the characters escaped that could end it.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
import orjson
from markupsafe import Markup

from projections.page.assets import Asset
from projections.page.figures import CAUSES, CLASSES, STEPS, ends_by_cause, funnel, outcomes_by_day
from projections.page.seen import Answers, Seen

# plotly puts its rules into a style element that is empty when it is made: the digest is that of nothing, and allows
# nothing else inline. (Its map library tries to bring a sheet of its own; that stays refused, the page draws no maps.)
_EMPTY_STYLE: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'self'; script-src 'self'; style-src 'self' {_EMPTY_STYLE}; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_RATES: Final = {
    # step: (column of the rate, column of its n, words of what it is measured by)
    "delivered": ("delivery_rate", "delivery_rate_n", "accepted"),
    "read": ("read_rate", "read_rate_n", "delivered"),
    "responded": ("response_rate", "response_rate_n", "delivered"),
    "accepted": ("approval_rate", "approval_rate_n", "delivered"),
    "accepted_permanent": ("permanent_share", "permanent_share_n", "approved"),
}
_TABLE_STEPS: Final = {**STEPS, "read": "Read", "accepted_permanent": "Approved permanently"}
_TABLE_ORDER: Final = (
    "requested", "accepted_by_api", "delivered", "read", "responded", "accepted", "accepted_permanent"
)  # fmt: skip


def render(seen: Seen, assets: dict[str, Asset]) -> str:
    """The page."""
    asked = seen.asked
    filters = {name: value for name, value in asked.as_words().items() if value}
    query = f"?{urlencode(filters)}" if filters else ""
    known_days = [row["day"] for row in seen.every_day.rows]
    words: dict[str, Any] = {
        "assets": assets,
        "asked": asked,
        "filtered": bool(filters),
        "fault": seen.fault,
        "as_of": datetime.fromtimestamp(seen.as_of, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "behind": seen.behind,
        "behind_reason": seen.behind_reason,
        "numbers": [row["number"] for row in seen.numbers.rows],
        "first_day": known_days[0] if known_days else None,
        "last_day": known_days[-1] if known_days else None,
        "empty": True,
        "links": [
            {"words": f"{name} ({kind})", "href": f"/v1/analytics/{name}{query}{'&' if query else '?'}format={kind}"}
            for name in ("funnel", "revocations")
            for kind in ("json", "csv")
        ],
    }
    if seen.answers is not None:
        total: dict[str, Any] = seen.answers.total.rows[0]
        if total["requested"] or any(row["ended"] for row in seen.answers.revocations.rows):
            words |= {"empty": False, **_numbers(total, seen.answers)}
    return _template().render(words)


def _numbers(total: dict[str, Any], answers: Answers) -> dict[str, Any]:
    ends: list[dict[str, Any]] = [
        {**row, "words": CAUSES.get(str(row["cause"]), row["cause"])} for row in answers.revocations.rows
    ]
    return {
        "total": total,
        "tiles": [
            {
                "words": "Requests sent",
                "value": _count(total["requested"]),
                "beside": f"{_count(total['open'])} still open",
            },
            _tile("Approval rate", total, "accepted", "delivered"),
            _tile("Answer rate", total, "responded", "delivered"),
            _tile("Permanent share", total, "accepted_permanent", "approved"),
        ],
        "steps": [
            {"words": _TABLE_STEPS[step], "count": total[step], "rate": _rate(total, step)} for step in _TABLE_ORDER
        ],
        "classes": [
            {"words": label, "count": total[name], "rate": _percent(_share(total[name], total["requested"]))}
            for name, (label, _) in CLASSES.items()
        ],
        "days": answers.days.rows,
        "templates": answers.templates.rows,
        "ends": ends,
        "taken_back": {
            kind: sum(row[kind] for row in ends if row["revocation"]) for kind in ("temporary", "permanent", "ended")
        },
        "figures": {
            "funnel": funnel(total),
            "days": outcomes_by_day(answers.days),
            "ends": ends_by_cause(answers.revocations),
        },
    }


def _tile(words: str, total: dict[str, Any], step: str, measured_by: str) -> dict[str, str]:
    rate, n, _ = _RATES[step]
    return {
        "words": words,
        "value": _percent(total[rate]),
        "beside": f"{_count(total[step])} of {_count(total[n])} {measured_by}",
    }


def _rate(total: dict[str, Any], step: str) -> str:
    if step not in _RATES:
        return ""
    rate, _, measured_by = _RATES[step]
    return f"{_percent(total[rate])} of {measured_by}" if total[rate] is not None else "–"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"


def _count(number: int) -> str:
    return f"{number:,}"


def _figure_json(figure: dict[str, Any]) -> Markup:
    text = orjson.dumps(figure).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 nothing in it can end the block it stands in


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"count": _count, "percent": _percent, "figure_json": _figure_json}
    return environment.get_template("page.html.j2")
