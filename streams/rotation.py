"""Secrets that are kept in files, read again while we run: a rotation needs no restart.

Owns when files are read and what an unusable one does: the secrets that held go on holding, the log and a metric say
so until the file is mended. An empty file is unusable too: whoever empties a file by mistake must not close every
door, and whoever means to close one removes the setting. Refuses to know what a file says (`SecretFile.read` does), to
read on the event loop, to know whose secrets they are (`deploy.config` hands it to whoever has some), and to quote.

Files are compared by content, not by their times: a mounted secret is swapped by a link, an editor may keep a time.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog

MAX_FILE_BYTES: Final = 256 * 1024
EVERY_S: Final = 1.0
"""A removed secret lets nobody in after at most five seconds; some files of a few bytes are read in that time."""

Held = TypeVar("Held")

log = structlog.get_logger("callgrant.secrets")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile(Generic[Held]):
    """A file that holds secrets. `read` gives what is held with what the file says now; ValueError when it says nothing
    usable, without quoting it."""

    setting: str
    path: Path
    read: Callable[[Held, str], Held] = field(repr=False)


class Rotation(Generic[Held]):
    """`take` is handed all that is held whenever a file has changed it. `held`: what the process was started with."""

    def __init__(
        self, files: Sequence[SecretFile[Held]], held: Held, take: Callable[[Held], None], *, every_s: float = EVERY_S
    ) -> None:
        self._files = files
        self._held = held
        self._take = take
        self._every_s = every_s
        self._seen: dict[SecretFile[Held], str] = {}
        self.unusable: dict[str, bool] = {file.setting: False for file in files}
        """By setting: whether its file cannot be used now."""

    async def keep(self) -> None:
        """Until cancelled."""
        while self._files:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - no thread to be had, or a defect: the next look may succeed
                log.warning("secrets_not_read", error=type(error).__name__)

    async def look(self) -> None:
        """Read every file once."""
        for file in self._files:
            text = await asyncio.to_thread(_text_of, file.path)
            if isinstance(text, OSError | ValueError):
                self._tell_unusable(file, _why(text))
            elif self._seen.get(file) == text:
                self._tell_usable(file)
            else:
                self._read(file, text)

    def _read(self, file: SecretFile[Held], text: str) -> None:
        try:
            held = file.read(self._held, text)
        except ValueError as fault:
            self._tell_unusable(file, str(fault))
            return
        self._tell_usable(file)
        self._seen[file] = text
        if held != self._held:  # not so when it is what the process was started with
            self._held = held
            self._take(held)
            log.info("secrets_changed", setting=file.setting)

    def _tell_unusable(self, file: SecretFile[Held], why: str) -> None:
        if not self.unusable[file.setting]:
            self.unusable[file.setting] = True
            mend = f"mend the file that {file.setting} names"
            log.warning("secrets_unusable", setting=file.setting, why=why, kept="the secrets before", mend=mend)

    def _tell_usable(self, file: SecretFile[Held]) -> None:
        if self.unusable[file.setting]:
            self.unusable[file.setting] = False
            log.info("secrets_usable_again", setting=file.setting)


def _text_of(path: Path) -> str | OSError | ValueError:
    try:
        with path.open("rb") as file:
            read = file.read(MAX_FILE_BYTES + 1)
        if len(read) > MAX_FILE_BYTES:
            return ValueError(f"more than {MAX_FILE_BYTES} bytes")
        text = read.decode("utf-8").strip()
    except UnicodeDecodeError:
        return ValueError("not UTF-8 text")
    except OSError as fault:
        return fault
    return text or ValueError("empty")


def _why(fault: OSError | ValueError) -> str:
    return (fault.strerror or type(fault).__name__) if isinstance(fault, OSError) else str(fault)
