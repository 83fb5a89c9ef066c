"""The secrets `up` and `demo` draw where the operator has set none, kept in `DATA_DIR/secrets.env`.

Owns that file: mode 0600, written whole or not at all, read again the next time (`deploy.config`). Refuses to replace a
secret that is set, and to print one.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.config import SECRETS_FILE, Config
from deploy.data_folder import made_private
from deploy.sources import PREFIX

DRAWN: Final[Mapping[str, Callable[[], str]]] = {
    "meta_app_secrets": lambda: secrets.token_hex(16),  # the form of Meta's own
    "meta_verify_tokens": lambda: secrets.token_urlsafe(24),
    "api_keys": lambda: f"local:{secrets.token_urlsafe(24)}",
}
HEAD: Final = (
    "# Drawn by callgrant because they were not set. Readable by you alone; delete a line to have it drawn again.\n"
)


def secrets_or_drawn(config: Config) -> tuple[Config, list[str], Path]:
    """The settings with every secret a local run needs, the names of those drawn just now, and the file they are in."""
    path = config.data_dir / SECRETS_FILE
    missing = {field: draw() for field, draw in DRAWN.items() if not getattr(config.names, field)}
    if not missing:
        return config, [], path
    made_private(path.parent)
    kept = path.read_text("utf-8") if path.exists() else HEAD
    lines = "".join(f"{PREFIX}{field.upper()}={text}\n" for field, text in missing.items())
    _write_whole(path, f"{kept.rstrip()}\n{lines}")
    return config.changed(SECRETS_FILE, **missing), [PREFIX + field.upper() for field in missing], path


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
