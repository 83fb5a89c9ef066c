"""The analysts' questions from the command line: asked of a running projection, or of the store itself when none runs.

Owns that order. The embedded engine allows one process a folder, so the projection is asked first, by HTTP. Refuses
free SQL: a question has a name and checked parameters (`projections.questions`).
"""

from collections.abc import Mapping
from typing import Any

import httpx

from deploy.config import Config
from deploy.trouble import Trouble

ANSWERS_WITHIN_S = 60.0


class NoAnswer(Trouble):
    """The question was not answered; the text says why and what to do."""


class BadQuestion(Trouble):
    """A parameter cannot be used; the text names it."""

    exit_code = 2


def ask(config: Config, question: str, given: Mapping[str, str]) -> dict[str, Any]:
    """`question, as_of, columns, rows` and the parameters as they were understood."""
    url = config.url(config.names.analytics_port)
    try:
        answer = httpx.get(
            f"{url}/v1/analytics/{question}",
            params=dict(given),
            headers=authorization(config),
            timeout=ANSWERS_WITHIN_S,
            trust_env=False,
        )
    except httpx.ConnectError:
        return _of_the_store(config, question, given)
    except httpx.HTTPError as fault:
        raise NoAnswer(f"the projection at {url} did not answer ({type(fault).__name__})") from fault
    if answer.status_code != httpx.codes.OK:
        raise _refused(url, answer)
    found: dict[str, Any] = answer.json()
    return found


def authorization(config: Config) -> dict[str, str]:
    """The header with the first key of CALLGRANT_API_KEYS; nothing where there is none."""
    return {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}


def _refused(url: str, answer: httpx.Response) -> Trouble:
    match answer.status_code:
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return NoAnswer(
                f"the projection at {url} does not know our key: set CALLGRANT_API_KEYS (id:secret), or "
                f"CALLGRANT_DATA_DIR to the folder whose secrets.env it uses"
            )
        case httpx.codes.BAD_REQUEST | httpx.codes.UNPROCESSABLE_ENTITY:
            return BadQuestion(_detail(answer))
        case httpx.codes.SERVICE_UNAVAILABLE:
            return NoAnswer(f"the projection at {url} is not ready: {_detail(answer)}")
        case code:
            return NoAnswer(f"the projection at {url} answered {code}: {_detail(answer)}")


def _detail(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        return str(told.get("detail") or told.get("title") or told)
    except ValueError:
        return answer.text[:200]


def _of_the_store(config: Config, question: str, given: Mapping[str, str]) -> dict[str, Any]:
    from deploy.config import projection_settings
    from projections import questions
    from projections.faults import ProjectionFault
    from projections.store import Refused, open_embedded, open_server

    settings = projection_settings(config)
    asked = questions.QUESTIONS[question]
    try:
        checked = questions.asked_of(asked, given.items())
    except questions.BadParameter as fault:
        raise BadQuestion(str(fault)) from None
    if not settings.clickhouse_url and not settings.store_folder.exists():
        raise NoAnswer(
            f"no projection runs at {config.url(config.names.analytics_port)} and there is no store in "
            f"{settings.store_folder}: run `callgrant up`, or set CALLGRANT_ANALYTICS_PORT or CALLGRANT_DATA_DIR"
        )
    try:
        store = (
            open_server(settings.clickhouse_url, settings.database, readers=1)
            if settings.clickhouse_url
            else open_embedded(settings.store_folder, settings.database, readers=1)
        )
        try:
            found = questions.ask(store, asked, checked)
        finally:
            store.close()
    except (ProjectionFault, Refused) as fault:
        raise NoAnswer(f"no projection runs, and the store itself cannot be asked: {fault}") from fault
    return {
        "question": found.question,
        "asked": checked.as_words(),
        "as_of": found.as_of,
        "columns": list(found.columns),
        "rows": found.rows,
    }
