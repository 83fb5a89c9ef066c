"""One entry of a send log: what was asked of Meta and what Meta answered, as both went over the wire (domain 3.1–3.4).

Owns the envelope that `POST /v1/actions/meta` takes and which of Meta's endpoints it is about. Refuses to know what a
message or an answer means: the translation does (`streams.providers.sendlog`).

Decisions bound here
- `request.path` or `request.url`, with the query: the last two steps name the number and the endpoint, so a version, a
  host or a proxy's prefix before them does not matter. Where a wrapper's path names no number, `phone_number_id` does.
- `response: null` says that no answer came; a missing `response` is a fault.
- An access token is a secret and this is kept for a month: an address that holds one and `request.headers` are refused.
- Unknown fields are kept and ignored, as everywhere.
"""

import re
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.actions import Id, Instant, PhoneNumberId, Text, faults_of
from schemas.events import Origin
from schemas.ids import PHONE_NUMBER_ID
from schemas.instants import whole

MAX_ADDRESS: Final = 4_096
ABOUT_A_PAIR: Final = frozenset({"messages", "calls", "call_permissions"})
"""The endpoints of a number that tell about one of its pairs."""
USER_KEYS: Final = ("user_wa_id", "recipient")
_SECRETS: Final = frozenset({"access_token", "appsecret_proof", "client_secret"})
_SECRET: Final = re.compile(r"[?&;#/](?:access_token|appsecret_proof|client_secret)=", re.IGNORECASE)


class Endpoint(NamedTuple):
    """What an address is about. `number`: None where the path names none. `query`: the first value of each key."""

    number: str | None
    name: str
    query: dict[str, str]


def endpoint_of(address: str) -> Endpoint | None:
    """The endpoint of a path or an address; None when it has none."""
    try:
        parts = urlsplit(address)
        query = parse_qs(parts.query, max_num_fields=64)
    except ValueError:
        return None
    steps = [step for step in parts.path.split("/") if step]
    if not steps:
        return None
    number = steps[-2] if len(steps) > 1 and PHONE_NUMBER_ID.fullmatch(steps[-2]) else None
    return Endpoint(number, steps[-1], {name: values[0] for name, values in query.items()})


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) and value.isascii() else value


def _address(value: str) -> str:
    if _SECRET.search(unquote(value)):
        raise ValueError("holds an access token or another secret: leave it out")
    if endpoint_of(value) is None:
        raise ValueError("give the path or the address of Meta's endpoint, like /v25.0/<phone_number_id>/messages")
    return value


def _without_secret(body: dict[str, Any]) -> dict[str, Any]:
    if not _SECRETS.isdisjoint(body):
        raise ValueError("holds an access token or another secret: leave it out")
    return body


def _no_headers(_value: object) -> None:
    raise ValueError("leave the headers out: they hold the access token")


Address = Annotated[str, Field(max_length=MAX_ADDRESS), AfterValidator(_address)]


class SentRequest(BaseModel):
    """What was sent to Meta. `body`: its JSON; None for a GET."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: Annotated[Literal["GET", "POST"], BeforeValidator(_upper)]
    path: Address | None = None
    url: Address | None = None
    body: Annotated[dict[str, Any], AfterValidator(_without_secret)] | None = None
    headers: Annotated[None, BeforeValidator(_no_headers)] = None


class Answered(BaseModel):
    """What came back. `body`: its JSON, or whatever stood there instead."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Annotated[int, Field(strict=True, ge=100, le=599), BeforeValidator(whole)]
    body: Any = None
    headers: Annotated[None, BeforeValidator(_no_headers)] = None


class TemplateMark(BaseModel):
    """What Meta's request does not say about the template it names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    has_call_permission: bool | None = None
    category: Text = ""


class Exchange(BaseModel):
    """A request and its answer. `sent_at`: when it was sent, on the sender's clock. `action_id`: the sender's own id of
    the attempt, which a refused one does not get from Meta.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    request: SentRequest
    response: Answered | None
    sent_at: Instant
    phone_number_id: PhoneNumberId | None = None
    action_id: Id | None = None
    template: TemplateMark | None = None
    campaign: Text | None = None
    origin: Origin | None = None
    reservation_id: Text | None = None
    headers: Annotated[None, BeforeValidator(_no_headers)] = None

    @property
    def endpoint(self) -> Endpoint:
        """What it is about, the number as far as it is known. Only of a checked exchange."""
        found = endpoint_of(self.request.path or self.request.url or "") or Endpoint(None, "", {})
        return found._replace(number=found.number or self.phone_number_id)

    @property
    def succeeded(self) -> bool:
        """Whether the status says so; an error may stand in the body all the same."""
        return self.response is not None and 200 <= self.response.status < 300


def check_exchange(value: Any, root: str = "$") -> Exchange | list[dict[str, str]]:
    """The exchange of a parsed JSON value, or every fault of it by path."""
    if not isinstance(value, dict):
        return [{"path": root, "message": "an entry of a send log is a JSON object with request, response and sent_at"}]
    try:
        exchange = Exchange.model_validate(value)
    except ValidationError as fault:
        return faults_of(fault, root)
    faults = [{"path": root + path, "message": message} for path, message in _contradictions(exchange)]
    return faults or exchange


def _contradictions(exchange: Exchange) -> list[tuple[str, str]]:
    """What is wrong between several fields, by path."""
    request, endpoint = exchange.request, exchange.endpoint
    if (request.path is None) == (request.url is None):
        return [(".request.path", "give either path or url")]
    field = ".request.path" if request.url is None else ".request.url"
    found = []
    if request.method == "POST" and request.body is None:
        found.append((".request.body", "a POST has a body: give its JSON object"))
    if endpoint.name not in ABOUT_A_PAIR:
        return found
    if endpoint.number is None:
        found.append((field, "names no phone_number_id before the endpoint: give it as phone_number_id"))
    elif exchange.phone_number_id not in (None, endpoint.number):
        found.append((".phone_number_id", "is not the one in the path: leave it out"))
    if endpoint.name == "call_permissions" and not any(endpoint.query.get(key) for key in USER_KEYS):
        found.append((field, "names no user: keep the query with user_wa_id or recipient"))
    return found
