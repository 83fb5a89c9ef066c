"""Asks an ASGI callable without a socket, and holds a gateway over a cluster that a test commands."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hmac import digest
from typing import Any

from streams.gateway.app import Gateway
from streams.gateway.settings import TOKENS_SETTING, GatewaySettings
from streams.kafka.producer import BatchProducer, ProducerLimits
from tests.kafka.sessions import Cluster
from tests.kafka.test_producer import until_ready

SECRET = "app-secret-of-the-tests"
TOKEN = "verify-token-of-the-tests"
KEY = "tests:key-of-the-tests"
SETTINGS = GatewaySettings(
    kafka_bootstrap="127.0.0.1:1",
    topic_prefix="t.",
    bind="127.0.0.1",
    port=0,
    meta_app_secrets=(("", SECRET),),
    meta_verify_tokens=(TOKEN,),
    api_keys=(("tests", "key-of-the-tests"),),
    provider_tokens=tuple((provider, f"{provider}-token-of-the-tests") for provider in TOKENS_SETTING),
)
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + digest(secret.encode(), body, "sha256").hex()


def signed(body: bytes, secret: str = SECRET) -> Headers:
    return [("X-Hub-Signature-256", signature(body, secret)), ("Content-Length", str(len(body)))]


async def ask(
    app: Gateway,
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes | Sequence[bytes] = b"",
    *,
    leaves: bool = False,
) -> Reply | None:
    """The answer; None when there was none. `body` in several parts arrives like a chunked one; after it the sender
    says no more, or `leaves`."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    parts = [body] if isinstance(body, bytes) else list(body)
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts) or leaves}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    if not said:
        return None
    start, *ends = said
    content = b"".join(end["body"] for end in ends)
    assert [end["more_body"] for end in ends] == [True] * (len(ends) - 1) + [False]
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(fields["content-length"]) == len(content)
    return Reply(start["status"], fields, content)


@asynccontextmanager
async def gateway(settings: GatewaySettings = SETTINGS, cluster: Cluster | None = None) -> AsyncIterator[Gateway]:
    cluster = cluster or Cluster()
    limits = ProducerLimits(
        flush_after_ms=1.0,
        acknowledge_within_s=settings.acknowledge_within_s,
        max_pending_bytes=settings.max_pending_bytes,
        probe_every_s=0.01,
    )
    producer = BatchProducer(limits, cluster.session)
    await producer.start()
    try:
        await until_ready(producer)
        yield Gateway(settings, producer)
    finally:
        cluster.answers.set()
        await producer.stop(1.0)
