"""What wandb takes from environment variables alone, lent to it for the length of a call."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_lock = threading.Lock()
_users = 0
#: What stood in the environment before it was lent, by variable; None where nothing did.
_before: dict[str, str | None] = {}


@contextmanager
def lent_environment(folder: Path) -> Iterator[None]:
    """Lends wandb the places that only environment variables can name, unless the user named them.

    Artifacts are staged in the study's folder, where a later `wandb sync` finds them. wandb's reports of its own errors
    are off: they go to the server from offline runs too, and a server that hangs keeps the process from ending. wandb
    also leaves the address of its service process behind; a trial that inherited it would depend on the driver's. The
    runs of a process share the environment, so the last one to leave restores it.

    Args:
        folder: Where wandb keeps the study's runs.
    """
    _enter(folder)
    try:
        yield
    finally:
        _leave()


def _lent_by(folder: Path) -> dict[str, str]:
    places = {"WANDB_DATA_DIR": str(folder / "data"), "WANDB_CACHE_DIR": str(folder / "cache")}
    return {**places, "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


def _enter(folder: Path) -> None:
    global _users
    with _lock:
        if not _users:
            lent = {name: os.environ.get(name, value) for name, value in _lent_by(folder).items()}
            _before.update({name: os.environ.get(name) for name in (*lent, "WANDB_SERVICE")})
            os.environ.update(lent)
            os.environ.pop("WANDB_SERVICE", None)
        _users += 1


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        for name, value in _before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
