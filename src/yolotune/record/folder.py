"""A study's folder: where it is, and which process works on it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from yolotune.config.settings import Settings
from yolotune.errors import fail


def wanted_folder(settings: Settings) -> Path:
    """Returns the folder that the settings name, taken or not."""
    return (Path(settings.storage or "runs/tune") / (settings.project or "")).resolve() / settings.name


def new_folder(settings: Settings) -> Path:
    """Returns where a new study would be kept: the wanted folder, or the next free `name-2`, `name-3`."""
    path = wanted = wanted_folder(settings)
    taken = 1
    while os.path.lexists(path) and not settings.exist_ok:  # a link that leads nowhere is a name that is taken
        taken += 1
        path = wanted.with_name(f"{wanted.name}-{taken}")
    return path


#: Seconds in which a study is asked for again: `holder` keeps others out for a moment while it looks.
PATIENCE_S = 0.5


@dataclass(frozen=True)
class Holder:
    """The process that works on a study.

    Attributes:
        pid: Its number on its host.
        host: Name of the machine.
        since: Local time there, `2026-11-23 22:12:05`.
    """

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Holds the study of a folder; the operating system lets go of it when the process dies, however it dies.

    Raises:
        UserError: Another process holds it; the message names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / ".owner.json"
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        who = _read_holder(owner) or "another process"
        raise fail(str(folder), f"is in use by {who}.", "wait for it, or stop it.") from None
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        owner.write_text(json.dumps(about))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def holder(folder: Path) -> Holder | None:
    """Returns who works on the study of a folder; None if nobody does. Nothing is written.

    The word of a process that was killed stays behind, so the lock itself is asked.
    """
    said = _read_holder(folder / ".owner.json")
    if said is None:
        return None
    try:
        with open(folder / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of when the file is closed
    except BlockingIOError:
        return said
    except FileNotFoundError:
        return None
    return None


def _read_holder(owner: Path) -> Holder | None:
    try:
        about = json.loads(owner.read_text())
        return Holder(int(about["pid"]), str(about["host"]), str(about["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
