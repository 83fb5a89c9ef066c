"""Names and texts as somebody wrote them: which are ours, which are misspelt, which name a file, which one is believed.

Owns reading the environment and `.env`, and the text of every fault. Refuses to know what a value means: `deploy.names`
does. Light to import, and of the other rooms it needs none, so every door can read settings by the same rules.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from deploy.names import SECRETS, Names
from deploy.trouble import Trouble

PREFIX: Final = "CALLGRANT_"


class ConfigError(Trouble):
    """The settings cannot be used; the text names each one, where it was set and what is allowed."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A value as somebody wrote it, and where. `path`: the file it was read from, if it named one."""

    text: str
    origin: str
    path: Path | None = None


def believed(environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> dict[str, Found]:
    """What was set in `.env` and in the environment, which wins, even with an empty value. Raises `ConfigError`."""
    here = folder or Path.cwd()
    return known(dotenv(here / ".env"), ".env", here) | known(environ, "environment", here)


def understood(found: Mapping[str, Found]) -> Names:
    """The settings that these texts mean; an empty one means the default. Raises `ConfigError`, one line a fault."""
    given = {field: one for field, one in found.items() if one.text}
    try:
        return Names.model_validate({field: one.text for field, one in given.items()})
    except ValidationError as fault:
        wrong = {str(error["loc"][0]) if error["loc"] else "": error["msg"] for error in fault.errors()}
        raise ConfigError("\n".join(_told(field, message, given) for field, message in wrong.items())) from None


def dotenv(path: Path) -> dict[str, str]:
    """The names of a `.env` file with their texts, nothing put in for `$…`; none where there is no file."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: text or "" for name, text in dotenv_values(path, interpolate=False).items()}
    except OSError as fault:
        raise ConfigError(f"{path} cannot be read ({fault.strerror})") from fault


def known(texts: Mapping[str, str], origin: str, folder: Path) -> dict[str, Found]:
    """Those of the names that are ours, by field; secrets read from the file they name. Raises `ConfigError`."""
    found: dict[str, Found] = {}
    faults: list[str] = []
    for name, text in texts.items():
        if not name.startswith(PREFIX):
            continue
        field = name.removeprefix(PREFIX).lower()
        of_file = field.removesuffix("_file")
        if field in Names.model_fields and name == name.upper():
            found[field] = Found(text.strip(), origin)
        elif field != of_file and of_file in SECRETS and name == name.upper():
            if not text:
                continue
            if texts.get(PREFIX + of_file.upper()):
                faults.append(f"{name} and {PREFIX}{of_file.upper()} are both set in {origin}: keep one")
            try:
                said = (folder / text).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                why = fault.strerror if isinstance(fault, OSError) else "not UTF-8 text"
                faults.append(f"{name}: {text} cannot be read ({why})")
                continue
            found[of_file] = Found(one_line(said), f"file {text}", (folder / text).absolute())
        else:
            faults.append(f"{name} (in {origin}) is no setting of callgrant{_nearest(name)}")
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def one_line(said: str) -> str:
    """What a file of secrets says, one a line or separated by commas, as the setting would say it."""
    return ",".join(filter(None, (line.strip() for line in said.split("\n"))))


def _told(field: str, message: str, given: Mapping[str, Found]) -> str:
    if field not in Names.model_fields:  # a rule between several settings, which names them itself
        return message.removeprefix("Value error, ")
    one = given[field]
    value = "its value" if field in SECRETS else repr(one.text)
    wanted = Names.model_fields[field].description
    return f"{PREFIX}{field.upper()} (from {one.origin}): {value} is not allowed; it is {wanted}"


def _nearest(name: str) -> str:
    known = [PREFIX + field.upper() for field in Names.model_fields]
    known += [f"{PREFIX}{field.upper()}_FILE" for field in SECRETS]
    near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
    return f": did you mean {near[0]}?" if near else "; `callgrant config` lists all of them"
