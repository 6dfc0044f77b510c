"""How long processes have worked on a study: `sessions.yaml`, from which a budget in hours continues after a resume.

A killed process cannot say when it ended, so the file is written again while it works, at most every `BETWEEN_S`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from yolotune._yaml import read_yaml, write_yaml
from yolotune.errors import UserError, fail

FILE = "sessions.yaml"
SCHEMA = 1
#: Seconds between two writes, which a kill can cost.
BETWEEN_S = 30.0


class WorkedTime:
    """The stopwatch of the process that works on a study; it begins at once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._ended = _read(self._path)
        self._began = time.monotonic()
        self._written = self._began
        self._since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._write()

    def tick(self) -> None:
        """Notes that the session lasts."""
        if time.monotonic() - self._written >= BETWEEN_S:
            self._write()

    def end(self) -> None:
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        now = {"began": self._since, "seconds": round(self._written - self._began, 1)}
        said = {"schema": SCHEMA, "sessions": [*self._ended, now]}
        write_yaml(self._path, said, "How long processes have worked on this study.")


def seconds_worked(folder: Path) -> float:
    """Returns the seconds that processes have worked on a study, all sessions together; 0 if the file is damaged.

    Who continues the study is told of a damaged file (`WorkedTime`); who reads about it is not held up.
    """
    try:
        return float(sum(session["seconds"] for session in _read(folder / FILE)))
    except UserError:
        return 0.0


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    read = read_yaml(path, whole=True)
    try:
        return [{"began": str(one["began"]), "seconds": float(one["seconds"])} for one in read["sessions"]]
    except (KeyError, TypeError, ValueError) as error:
        fix = "restore it from a copy, or remove it: the hours in it then count no more."
        raise fail(str(path), "damaged: it does not say how long the study was worked on.", fix) from error
