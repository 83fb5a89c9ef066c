"""The simulator's books: what it caused, counted by its own rules, at any instant.

Owns the sums (funnel, grants ended by cause) and the look-ups (rows, permission of a pair). Refuses to count what it
merely sent: duplicates, disorder and noise are matters of delivery and change nothing here.

The funnel's words: *requested* are all requests; *delivered* those with a delivered or a read status; *read* those
with a read status; *responded* those with a reply to them; the final classes add up to *requested*; *changed_mind*
are those whose last answer is of another kind than the first. This world asks only where Meta allows it, so *refused*
is 0. Without an instant, everything is judged at the world's end; the answer is the same at any instant until
`holds_until`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from streams.simulator import rules
from streams.simulator.happenings import Happening
from streams.simulator.rules import EndCause, FinalClass, Grant, Permission, RequestRow, Response
from streams.simulator.world import World

FINAL_CLASSES: tuple[str, ...] = (
    "refused", "failed", *get_args(Response), "expired_no_response", "superseded", "open",
)  # fmt: skip
END_CAUSES: tuple[str, ...] = get_args(EndCause)


@dataclass(slots=True)
class Ledger:
    end_at: int
    holds_until: int
    by_pair: dict[tuple[str, str], list[Happening]]

    @classmethod
    def of(cls, world: World) -> "Ledger":
        by_pair: dict[tuple[str, str], list[Happening]] = {pair.key: [] for pair in world.pairs}
        for happening in world.happenings:
            by_pair[happening.pair.key].append(happening)
        return cls(end_at=world.end_at, holds_until=world.end_at + world.hush_s, by_pair=by_pair)

    def requests(self, at: int | None = None) -> list[RequestRow]:
        judged_at = self._at(at)
        return [row for happened in self.by_pair.values() for row in rules.requests(happened, judged_at)]

    def grants(self, at: int | None = None) -> list[tuple[tuple[str, str], Grant]]:
        judged_at = self._at(at)
        return [(key, grant) for key, happened in self.by_pair.items() for grant in rules.grants(happened, judged_at)]

    def permission(self, phone_number_id: str, user: str, at: int | None = None) -> Permission:
        """What Meta would say about the pair; *no permission* for a pair that is not of this world."""
        return rules.permission(self.by_pair.get((phone_number_id, user), []), self._at(at))

    def permissions(self, at: int | None = None) -> Iterator[tuple[tuple[str, str], Permission]]:
        judged_at = self._at(at)
        return ((key, rules.permission(happened, judged_at)) for key, happened in self.by_pair.items())

    def funnel(self, at: int | None = None) -> dict[str, int]:
        rows = self.requests(at)
        classes: Counter[FinalClass | str] = Counter(row.final_class for row in rows)
        return {
            "requested": len(rows),
            "delivered": sum(row.delivered_at is not None for row in rows),
            "read": sum(row.read_at is not None for row in rows),
            "responded": sum(bool(row.answers) for row in rows),
            **{name: classes[name] for name in FINAL_CLASSES},
            "changed_mind": sum(row.changed_mind for row in rows),
        }

    def revocations(self, at: int | None = None) -> dict[str, int]:
        """Grants that have ended, by cause (expiry and replacement are no revocations, shown beside)."""
        causes = Counter(grant.end_cause for _, grant in self.grants(at))
        return {cause: causes[cause] for cause in get_args(EndCause)}

    def to_json(self, at: int | None = None) -> dict[str, Any]:
        """Everything as one JSON-ready value. It names users: a file for comparison, never a log line."""
        judged_at = self._at(at)
        return {
            "judged_at": judged_at,
            "holds_until": self.holds_until if judged_at == self.end_at else judged_at,
            "funnel": self.funnel(judged_at),
            "revocations": self.revocations(judged_at),
            "requests": [_request_json(row) for row in self.requests(judged_at)],
            "grants": [_grant_json(key, grant) for key, grant in self.grants(judged_at)],
            "permissions": [
                {"phone_number_id": number, "user": user, "status": held.status, "expires_at": held.expires_at}
                for (number, user), held in self.permissions(judged_at)
            ],
        }

    def _at(self, at: int | None) -> int:
        return self.end_at if at is None else at


def _request_json(row: RequestRow) -> dict[str, Any]:
    request, template = row.request, row.request.template
    return {
        "request_id": request.message_id,
        "phone_number_id": request.pair.phone_number_id,
        "user": request.pair.user,
        "kind": "template" if template else "free_form",
        "template_name": template.name if template else None,
        "template_language": template.language if template else None,
        "category": template.category if template else None,
        "campaign": request.campaign,
        "origin": request.origin,
        "sent_at": request.at,
        "delivered_at": row.delivered_at,
        "read_at": row.read_at,
        "failed_at": row.failed_at,
        "error_code": row.error_code,
        "first_response": row.answers[0][1] if row.answers else None,
        "first_response_at": row.answers[0][0] if row.answers else None,
        "last_response": row.answers[-1][1] if row.answers else None,
        "last_response_at": row.answers[-1][0] if row.answers else None,
        "superseded_at": row.superseded_at,
        "final_class": row.final_class,
    }


def _grant_json(key: tuple[str, str], grant: Grant) -> dict[str, Any]:
    return {
        "phone_number_id": key[0],
        "user": key[1],
        "request_id": grant.request_id,
        "kind": grant.kind,
        "via": grant.via,
        "granted_at": grant.granted_at,
        "expires_at": grant.expires_at,
        "ended_at": grant.ended_at,
        "end_cause": grant.end_cause,
    }
