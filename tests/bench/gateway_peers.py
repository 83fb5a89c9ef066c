"""What the gateway is measured against: `python -m tests.bench.gateway_peers <bare|fastapi> <bootstrap> <topic>`.

`bare`: the same server, which reads a body and answers 200: what nobody can go below. `fastapi`: what people write: the
body as a pydantic model, the signature checked, `send_and_wait`. Both run under the event loop and the HTTP parser that
the gateway has. The port stands on the first line of output.
"""

import asyncio
import hmac
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
import uvloop
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import BaseModel

from tests.gateway.asgi import SECRET

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Profile(BaseModel):
    name: str | None = None


class Contact(BaseModel):
    wa_id: str | None = None
    user_id: str | None = None
    profile: Profile | None = None


class Value(BaseModel):
    messaging_product: str
    metadata: dict[str, str]
    contacts: list[Contact] = []
    messages: list[dict[str, Any]] = []
    statuses: list[dict[str, Any]] = []


class Change(BaseModel):
    field: str
    value: Value


class Entry(BaseModel):
    id: str
    changes: list[Change]


class Webhook(BaseModel):
    object: str
    entry: list[Entry]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def fastapi(bootstrap: str, topic: str) -> Asgi:
    producer: AIOKafkaProducer

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal producer
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type="zstd"
        )
        await producer.start()
        yield
        await producer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhooks/meta")
    async def received(
        webhook: Webhook, request: Request, x_hub_signature_256: Annotated[str, Header()]
    ) -> dict[str, int]:
        body = await request.body()
        expected = "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()
        if not hmac.compare_digest(expected, x_hub_signature_256):
            raise HTTPException(401)
        await producer.send_and_wait(topic, body)
        return {"entries": len(webhook.entry)}

    return app


async def serve(app: Asgi) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2_048)
    config = uvicorn.Config(app, loop="none", log_config=None, access_log=False, ws="none", server_header=False)
    server = uvicorn.Server(config)
    print(listening.getsockname()[1], flush=True)
    await server.serve(sockets=[listening])


if __name__ == "__main__":
    peer, bootstrap, topic = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(bare if peer == "bare" else fastapi(bootstrap, topic)))
