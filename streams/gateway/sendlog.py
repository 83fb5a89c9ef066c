"""`POST /v1/actions/meta`: entries of a send log, Meta's own request and answer as they were.

Owns which check the entries of this door pass, and under which provider they are kept in `webhooks.raw`. Everything
else about a body, its forms, its limits and *all or nothing*, is that of `actions` and `reports`. Refuses to know what
an exchange means: `schemas.sendlog` says what is valid, the worker makes the fact.
"""

from typing import Any, Final

from schemas.sendlog import check_exchange
from streams.gateway.actions import Actions, Unacceptable, read_items
from streams.gateway.answers import Answer, Receive, Scope
from streams.gateway.reports import Reports

PROVIDER: Final = "meta-sendlog"


class SendLog(Reports):
    """The door; it needs the same key as actions and counts as one of theirs."""

    async def exchanged(self, scope: Scope, receive: Receive) -> Answer | None:
        return await self._kept(scope, receive, read_exchanges, "webhooks.raw", PROVIDER)


def read_exchanges(body: bytes, content_type: str, *, now_at: int) -> Actions | Unacceptable:
    """The exchanges of a body, or every fault of it. Total: never raises on content."""
    return read_items(body, content_type, now_at=now_at, check=_check)


def _check(value: Any) -> tuple[int, str] | list[dict[str, str]]:
    found = check_exchange(value)
    return found if isinstance(found, list) else (found.sent_at, "$.sent_at")
