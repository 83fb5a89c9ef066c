"""Names and texts as somebody wrote them: which are ours, which are misspelt, which name a file.

Owns reading one source (the environment, a `.env`). Refuses to understand a value: `deploy.names` does.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.names import SECRETS, Names
from deploy.trouble import Trouble

PREFIX: Final = "CALLGRANT_"


class ConfigError(Trouble):
    """The settings cannot be used; the text names each one, where it was set and what is allowed."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A value as somebody wrote it, and where."""

    text: str
    origin: str


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
            found[of_file] = Found(",".join(filter(None, said.split("\n"))), f"file {text}")
        else:
            faults.append(f"{name} (in {origin}) is no setting of callgrant{_nearest(name)}")
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _nearest(name: str) -> str:
    known = [PREFIX + field.upper() for field in Names.model_fields]
    known += [f"{PREFIX}{field.upper()}_FILE" for field in SECRETS]
    near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
    return f": did you mean {near[0]}?" if near else "; `callgrant config` lists all of them"
