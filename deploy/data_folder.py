"""The data folder is ours alone: stores, Kafka's logs and their temporary files hold phone numbers.

Owns making it with mode 0700 and tightening one that was made before. Refuses to touch a folder that holds anything we
did not put there, or belongs to somebody else: `callgrant doctor` then tells who can look inside.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from deploy.trouble import Trouble

OURS: Final = re.compile(
    r"cache|demo|kafka|logs|worker|clickhouse(\.g\d+)?(\.tmp|\.lock)?|secrets\.env|up\.lock"
    r"|\.secrets\.env\.\d+|\.doctor-[0-9a-f]+"  # what a kill at the wrong moment leaves
)
OTHERS: Final = 0o077


class FolderUnusable(Trouble):
    """The data folder cannot be made or looked into; the text names its setting and the reason."""


def made_private(folder: Path) -> None:
    """Make the folder, or tighten it when all that is in it is ours. Raises `FolderUnusable`."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise
            if open_to_others(folder) and _is_ours(folder):
                folder.chmod(0o700)
    except OSError as fault:
        raise FolderUnusable(
            f"{folder} cannot be used ({fault.strerror}): set CALLGRANT_DATA_DIR to a folder you may write to"
        ) from fault


def open_to_others(folder: Path) -> bool:
    """Whether anybody but its owner may look inside."""
    return bool(stat.S_IMODE(folder.stat().st_mode) & OTHERS)


def _is_ours(folder: Path) -> bool:
    found = folder.stat()
    shared_by_purpose = found.st_mode & stat.S_ISVTX  # as /tmp is, which may well be empty
    if found.st_uid != os.geteuid() or shared_by_purpose:
        return False
    return all(OURS.fullmatch(one.name) for one in folder.iterdir())
