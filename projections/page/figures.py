"""The figures of the page as plain plotly descriptions: data in, `{"data", "layout"}` out, pure.

Owns words and colours of the drawings. The numbers are those of the tables beside them.
"""

from datetime import date, timedelta
from typing import Any, Final

from projections.questions import Found

Figure = dict[str, Any]

INK: Final = "#1f2933"
GRID: Final = "#e4e7eb"
BLUE: Final = "#1f5fa8"

CLASSES: Final = {
    # final class: (words, colour); from the best outcome to the worst, so that the good ones lie at the bottom of a bar
    "accepted_permanent": ("Approved permanently", "#0b6e4f"),
    "accepted_temporary": ("Approved temporarily", "#4fb286"),
    "declined": ("Declined", "#c0392b"),
    "expired_no_response": ("No answer in time", "#8794a3"),
    "superseded": ("Replaced by a newer request", "#b9a44c"),
    "open": ("Still open", "#6aa5de"),
    "failed": ("Not delivered", "#7d5ba6"),
    "refused": ("Refused by WhatsApp", "#3e4c59"),
}
STEPS: Final = {
    "requested": "Requested",
    "accepted_by_api": "Accepted by WhatsApp",
    "delivered": "Delivered",
    "responded": "Answered",
    "accepted": "Approved",
}
CAUSES: Final = {
    "revoked_via_request": "Taken back in a later request",
    "revoked_via_profile": "Taken back in the business profile",
    "auto_revoked": "Automatic, after unanswered calls",
    "auto_revoke_inferred": "Automatic, inferred but not confirmed",
    "expired": "Ran out",
    "replaced": "Replaced by a newer permission",
    "reading": "Found gone when asked",
    "refused_138006": "Found gone when calling",
    "number_changed": "User changed the phone number",
}


_LAYOUT: Final[Figure] = {
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
    "margin": {"l": 8, "r": 24, "t": 16, "b": 48},
}


def funnel(total: dict[str, Any]) -> Figure:
    """How many requests reached each step."""
    return {
        "data": [
            {
                "type": "funnel",
                "y": list(STEPS.values()),
                "x": [total[step] for step in STEPS],
                "textinfo": "value+percent initial",
                "textposition": "auto",
                "insidetextfont": {"color": "#ffffff", "size": 15},
                "outsidetextfont": {"color": INK, "size": 15},
                "marker": {"color": [BLUE, "#2a72bf", "#3d87d3", "#3f9a77", "#0b6e4f"]},
                "connector": {"fillcolor": "#eef2f6", "line": {"width": 0}},
                "hovertemplate": "%{y}: %{x} (%{percentInitial} of requested)<extra></extra>",
            }
        ],
        "layout": {
            **_LAYOUT,
            "yaxis": {"automargin": True, "tickfont": {"size": 15}},
            "xaxis": {"visible": False},
            "showlegend": False,
            "height": 340,
        },
    }


def outcomes_by_day(days: Found) -> Figure:
    """What became of the requests of each day."""
    by_day = {str(row["day"]): row for row in days.rows}
    every = _between(min(by_day), max(by_day)) if by_day else []  # a day without requests is a gap, not a missing day
    return {
        "data": [
            {
                "type": "bar",
                "name": words,
                "x": every,
                "y": [by_day[day][name] if day in by_day else 0 for day in every],
                "marker": {"color": colour},
                "hovertemplate": f"%{{x}}: %{{y}} {words.lower()}<extra></extra>",
            }
            for name, (words, colour) in CLASSES.items()
            if any(row[name] for row in days.rows)
        ],
        "layout": {
            **_LAYOUT,
            "barmode": "stack",
            "bargap": 0.25,
            # Days are words here, not instants: a browser's zone must not move them, and a single day stays one bar.
            "xaxis": {
                "type": "category",
                "automargin": True,
                "nticks": 16,
                "title": {"text": "Day of sending (UTC)"},
            },
            "yaxis": {
                "title": {"text": "Requests"},
                "rangemode": "tozero",
                "gridcolor": GRID,
                "automargin": True,
                "tickformat": "d",
            },
            "showlegend": True,
            "legend": {"orientation": "h", "y": -0.32, "traceorder": "normal", "font": {"size": 13}},
            "height": 460,
        },
    }


def ends_by_cause(revocations: Found) -> Figure:
    """Why permissions ended; the causes that are revocations in another colour."""
    rows = [row for row in revocations.rows if row["ended"] or row["revocation"] or row["cause"] == "expired"]
    rows.reverse()  # plotly draws bars from the bottom up
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": [CAUSES.get(str(row["cause"]), str(row["cause"])) for row in rows],
                "x": [row["ended"] for row in rows],
                "text": [str(row["ended"]) for row in rows],
                "textposition": "auto",
                "textfont": {"size": 14},
                "cliponaxis": False,
                "marker": {"color": ["#c0392b" if row["revocation"] else "#8794a3" for row in rows]},
                "hovertemplate": "%{y}: %{x}<extra></extra>",
            }
        ],
        "layout": {
            **_LAYOUT,
            "yaxis": {"automargin": True, "tickfont": {"size": 14}},
            "xaxis": {
                "title": {"text": "Permissions"},
                "rangemode": "tozero",
                "gridcolor": GRID,
                "automargin": True,
                "tickformat": "d",
            },
            "showlegend": False,
            "height": 90 + 44 * len(rows),
        },
    }


def _between(first: str, last: str) -> list[str]:
    """Every day from the first to the last."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]
