"""What understanding a webhook costs: a permission reply as facts, beside pydantic only reading the same envelope."""

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from streams.providers.registry import translate
from tests.bench.measure import cpu_us, tell
from tests.providers.payloads import CONTACT, RECEIVED_AT, body, envelope, reply, value


class _Contact(BaseModel):
    model_config = ConfigDict(extra="ignore")
    wa_id: str | None = None
    user_id: str | None = None


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore")
    metadata: dict[str, str]
    contacts: list[_Contact] = []
    messages: list[dict[str, Any]] = []
    statuses: list[dict[str, Any]] = []


class _Change(BaseModel):
    field: str
    value: _Value


class _Entry(BaseModel):
    id: str
    changes: list[_Change]


class _Webhook(BaseModel):
    object: str
    entry: list[_Entry]


def translation() -> None:
    """A permission reply as facts, beside pydantic only reading the same envelope."""
    said: dict[str, Any] = {"response": "accept", "is_permanent": True, "response_source": "user_action"}
    webhook = body(envelope(value(contacts=[CONTACT], messages=[reply(context="wamid.TESTREQ0001", **said)])))
    ours = cpu_us(lambda _: translate("meta", webhook, RECEIVED_AT), 500)
    theirs = cpu_us(lambda _: _Webhook.model_validate(orjson.loads(webhook)), 500)
    tell("translate_us", ours, "us")
    tell("translate_vs_pydantic_read", theirs / ours, "ratio")
