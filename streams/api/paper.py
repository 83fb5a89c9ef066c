"""What `/openapi.json` says of the question: parameters, bodies, headers, examples.

Owns the paper only. Nothing here runs when a question is answered: the bytes are built by the core and orjson, and a
test holds both together.
"""

from typing import Any, Final

from schemas.answers import Answer
from streams.api.errors import META_PATH, RETRY_AFTER_S, GraphError, Problem, Trouble, graph_error, problem
from streams.api.number import NumberAnswer

_NUMBER: Final = {
    "name": "phone_number_id",
    "in": "path",
    "required": True,
    "description": "The id of the business number.",
    "schema": {"type": "string", "pattern": "^[0-9]{3,32}$"},
    "example": "700100200300400",
}
_VERSION: Final = [
    {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"The {name} part of a Graph version such as v23.0. Any is taken; the answer is the same.",
        "schema": {"type": "integer", "minimum": 0},
        "example": example,
    }
    for name, example in (("major", 23), ("minor", 0))
]
_QUERY: Final = [
    {
        "name": "user_wa_id",
        "in": "query",
        "description": "The user's wa_id: digits with the country code. Exactly one of user_wa_id and recipient.",
        "schema": {"type": "string"},
        "example": "447700900123",
    },
    {
        "name": "recipient",
        "in": "query",
        "description": "The user's business-scoped id. Exactly one of user_wa_id and recipient.",
        "schema": {"type": "string"},
    },
    {
        "name": "at",
        "in": "query",
        "description": "The instant asked about; default: now. Epoch seconds, or RFC 3339 with a zone.",
        "schema": {"type": "string"},
        "example": "1772443800",
    },
]
ANSWER_EXAMPLE: Final = {
    "messaging_product": "whatsapp",
    "as_of": 1772443800,
    "permission": {"status": "temporary", "expiration_time": 1773048600},
    "actions": [
        {
            "action_name": "send_call_permission_request",
            "can_perform_action": False,
            "reason": "request_limit_24h",
            "retry_at": 1772528400,
            "limits": [
                {
                    "time_period": "PT24H",
                    "max_allowed": 1,
                    "current_usage": 1,
                    "limit_expiration_time": 1772528400,
                },
                {"time_period": "P7D", "max_allowed": 2, "current_usage": 1},
            ],
        },
        {
            "action_name": "start_call",
            "can_perform_action": True,
            "reason": None,
            "retry_at": None,
            "limits": [{"time_period": "PT24H", "max_allowed": 100, "current_usage": 0}],
        },
    ],
    "standing": {
        "label": "granted",
        "reason": None,
        "via": "request",
        "source": "user_action",
        "confirmed": True,
        "granted_at": 1772443800,
        "request_id": "wamid.TESTREQ0001",
        "unanswered_streak": 0,
        "service_window_until": 1772530200,
        "flags": [],
    },
}
_LAG_HEADERS: Final = {
    "Callgrant-Lag-Records": {
        "description": "Records between what the gateway acknowledged and what this answer knows, at the last look.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Callgrant-Lag-Seconds": {
        "description": "Everything the gateway acknowledged at least this long ago is in this answer.",
        "schema": {"type": "number", "minimum": 0},
    },
}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def _refusal(trouble: Trouble, description: str, detail: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    paper: dict[str, Any] = {
        "model": GraphError,
        "description": description,
        "content": {"application/json": {"example": graph_error(trouble, detail, "TESTTRACE0001")}},
    }
    return paper | ({"headers": headers} if headers else {})


QUESTION_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": Answer,
        "description": "The standing of the pair at the instant asked, judged by the same functions everywhere.",
        "headers": _LAG_HEADERS,
        "content": {"application/json": {"example": ANSWER_EXAMPLE}},
    },
    400: _refusal(
        Trouble.PARAMETER, "A parameter is missing or not allowed.", "at: epoch seconds, or RFC 3339 with a zone"
    ),
    401: _refusal(Trouble.UNAUTHENTICATED, "No key, or none of ours.", "Authorization: Bearer <id>:<secret>"),
    503: _refusal(
        Trouble.UNAVAILABLE,
        "Not caught up, or behind by more than the bound: ask again.",
        f"not fresh enough to answer; ask again in {RETRY_AFTER_S} s",
        _RETRY_AFTER,
    ),
}
QUESTION: Final[dict[str, Any]] = {"parameters": [_NUMBER, *_QUERY], "security": [{"key": []}]}
QUESTION_VERSIONED: Final[dict[str, Any]] = {"parameters": [*_VERSION, _NUMBER, *_QUERY], "security": [{"key": []}]}
NUMBER_QUESTION: Final[dict[str, Any]] = {
    "parameters": [_NUMBER, *(one for one in _QUERY if one["name"] == "at")],
    "security": [{"key": []}],
}


def _problem(trouble: Trouble, description: str, detail: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    example = problem(trouble, detail, "TESTTRACE0001")
    content = {"application/problem+json": {"schema": Problem.model_json_schema(), "example": example}}
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


NUMBER_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": NumberAnswer,
        "description": "The number at the instant asked, and what was told of it up to then.",
        "headers": _LAG_HEADERS,
    },
    400: _problem(Trouble.PARAMETER, "A parameter is not allowed.", "at: epoch seconds, or RFC 3339 with a zone"),
    401: _problem(Trouble.UNAUTHENTICATED, "No key, or none of ours.", "Authorization: Bearer <id>:<secret>"),
    503: _problem(
        Trouble.UNAVAILABLE,
        "Not caught up, or behind by more than the bound: ask again.",
        f"not fresh enough to answer; ask again in {RETRY_AFTER_S} s",
        _RETRY_AFTER,
    ),
}
SECURITY_SCHEMES: Final = {
    "key": {"type": "http", "scheme": "bearer", "description": "`<id>:<secret>`, one of CALLGRANT_API_KEYS."}
}
READY_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    503: {
        "description": "Not ready: why, in words.",
        "headers": _RETRY_AFTER,
        "content": {
            "application/problem+json": {
                "schema": Problem.model_json_schema(),
                "example": problem(Trouble.UNAVAILABLE, "still reading permission.state", "TESTTRACE0001"),
            }
        },
    }
}


def complete(document: dict[str, Any]) -> None:
    """Add what FastAPI has no place for, or drops: the keys' scheme, and the nulls of the example."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for path, operations in document["paths"].items():
        if path.endswith(META_PATH):
            operations["get"]["responses"]["200"]["content"]["application/json"]["example"] = ANSWER_EXAMPLE
