"""One connection to a gateway: a request, and the whole answer.

Owns what a connection that breaks is called: always `httpx.TransportError`, so that whoever asks knows what to repeat.
Refuses what a browser needs (cookies, redirects, proxies), which would double the cost of a post.
"""

import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import httpx

TIMEOUT: Final = httpx.Timeout(15.0).as_dict()
"""Seconds. The gateway answers within 5 s of the end of a body."""
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Wire:
    """To one gateway, over this transport, which is closed with it."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        self._url = url
        self._transport = transport
        self._urls: dict[str, httpx.URL] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] = NO_HEADERS, body: bytes = b""
    ) -> httpx.Response:
        """The answer, read to its end. Raises `httpx.TransportError`."""
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx.URL(self._url + path)
        request = httpx.Request(method, url, headers=headers, content=body, extensions={"timeout": TIMEOUT})
        try:
            return await self._exchanged(request)
        except ssl.SSLError as fault:  # of what comes after the handshake httpx translates nothing
            raise httpx.ReadError("what came cannot be deciphered", request=request) from fault
        except AttributeError as fault:
            # uvloop drops the socket of a connection its peer has cut, and before the first byte is written httpx looks
            # at that socket. Any other attribute that is missing is a mistake of ours.
            if fault.obj is not None or fault.name != "getpeername":
                raise
            raise httpx.ConnectError("cut by the peer as soon as it was made", request=request) from fault

    async def _exchanged(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        try:
            await answer.aread()
        finally:
            await answer.aclose()
        return answer
