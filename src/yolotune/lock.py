"""One process at a time works on a study."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from yolotune.errors import fail


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
        lock.acquire(timeout=0)
    except Timeout:
        raise fail(str(folder), f"is in use by {_who(owner)}.", "wait for it, or stop it.") from None
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        owner.write_text(json.dumps(about))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _who(owner: Path) -> str:
    try:
        about = json.loads(owner.read_text())
        return f"process {about['pid']} on {about['host']} since {about['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
