"""The writing side of a study's folder, held by the driver alone.

YAML is written to a temporary name, synced and renamed; `epochs.jsonl` is appended to and synced.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from yolotune._yaml import write_atomic, write_yaml
from yolotune.config.compat import SCHEMA as STUDY_SCHEMA
from yolotune.config.space import Point
from yolotune.errors import fail
from yolotune.metrics import best_epoch, better
from yolotune.record.confirmed import Confirmed
from yolotune.record.slots import SLOTS
from yolotune.record.study import SCHEMA, TrialRecord, trial_folder
from yolotune.record.verdict import Ending
from yolotune.record.worked_time import WorkedTime


class RecordWriter:
    """The writing side of a study's folder, held by the driver alone."""

    def __init__(self, folder: Path, *, metric: str, mode: str, uid: str | None = None) -> None:
        """Takes charge of a folder, without touching it yet.

        Args:
            folder: The study's folder.
            metric: The objective by the record's name.
            mode: Its direction.
            uid: Of a study that is resumed; a new one draws its own.
        """
        self.folder = folder
        self.uid = uid or secrets.token_hex(4)
        self._metric = metric
        self._mode = mode
        self._rows: dict[int, list[dict[str, Any]]] = {}
        self._points: dict[int, Point] = {}
        self._best: tuple[int, float] | None = None
        self._confirmed: Confirmed | None = None
        self._worked: WorkedTime | None = None

    def create(self, settings: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Makes the folder and writes what is known before the first epoch.

        Raises:
            UserError: The folder already holds trials.
        """
        if (self.folder / "trials").exists():
            raise fail(str(self.folder), "holds a study already.", "resume it, or choose another --name.")
        (self.folder / "trials").mkdir(parents=True)
        self._write_settings(settings)
        write_json(self.folder / "environment.json", {"schema": SCHEMA, **environment})
        self._worked = WorkedTime(self.folder)

    def reopen(self, trials: Iterable[TrialRecord], settings: Mapping[str, Any]) -> None:
        """Continues a study: what was recorded is known again, and the settings are those of now.

        `update_best` is to be called again, so that best.yaml is rewritten from the record.
        """
        for trial in trials:
            self._rows[trial.number] = list(trial.epochs)
            self._points[trial.number] = trial.point
        self._worked = WorkedTime(self.folder)
        self._write_settings(settings)

    def close(self) -> None:
        """Notes how long this process has worked on the study."""
        if self._worked is not None:
            with suppress(OSError):  # a full disk costs half a minute of the account
                self._worked.end()

    def _write_settings(self, settings: Mapping[str, Any]) -> None:
        head = {"schema": STUDY_SCHEMA, "uid": self.uid}
        header = "The study as it runs: preset, file and flags together."
        write_yaml(self.folder / "study.yaml", {**head, **settings}, header)

    def start(self, number: int, point: Point) -> None:
        """Notes that a trial exists, or that one continues that was interrupted."""
        folder = trial_folder(self.folder, number)
        folder.mkdir(exist_ok=True)
        for word in ("verdict.yaml", "ended.yaml"):  # of before it was interrupted
            (folder / word).unlink(missing_ok=True)
        self._rows.setdefault(number, [])
        self._points[number] = point
        write_yaml(folder / "point.yaml", {"schema": SCHEMA, **point})

    def append(self, number: int, row: Mapping[str, Any]) -> bool:
        """Adds an epoch report, and says so; one for an epoch that is there already is dropped.

        Raises:
            OSError: The disk is full or gone; the file is as it was before.
        """
        rows = self._rows[number]
        if rows and row["epoch"] <= rows[-1]["epoch"]:
            return False
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        line = json.dumps({"schema": SCHEMA, **finite}, allow_nan=False) + "\n"
        _append_line(trial_folder(self.folder, number) / "epochs.jsonl", line.encode())
        rows.append(dict(row))
        if self._worked is not None:
            self._worked.tick()
        return True

    def end(self, number: int, ending: Ending, effective: Mapping[str, Any], restarts: int = 0) -> float | None:
        """Writes the verdict and returns the trial's value, None if no epoch had one.

        Args:
            number: The trial.
            ending: Why it ended.
            effective: Arguments that became something else than was asked.
            restarts: How often its process or node died and it continued.

        Raises:
            OSError: The disk is full or gone.
        """
        rows = self._rows[number]
        best = self.best_of(number)
        verdict = {
            "schema": SCHEMA,
            "verdict": str(ending.verdict),
            "reason": ending.reason,
            "epochs": len(rows),
            "best_epoch": best[0] if best else None,
            "value": best[1] if best else None,
            "effective": dict(effective),
            "restarts": restarts,
        }
        write_yaml(trial_folder(self.folder, number) / "verdict.yaml", verdict)
        return best[1] if best else None

    def slots(self, open_now: int, why: str) -> None:
        """Notes how many trials train at the same time from now on."""
        line = {"schema": SCHEMA, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "open": open_now, "why": why}
        _append_line(self.folder / SLOTS, (json.dumps(line) + "\n").encode())

    def update_best(self, number: int, value: float, hyperparameters: Mapping[str, Any]) -> bool:
        """Rewrites `best.yaml` if this value is the best so far, and says whether it was.

        Args:
            number: The trial.
            value: Its objective.
            hyperparameters: Everything `yolo segment train cfg=best.yaml` needs beside `data=`.
        """
        if not better(value, self._best[1] if self._best else None, self._mode):
            return False
        self._best = number, value
        held = self._confirmed
        if held is not None and not held.beaten_by(value, self._mode):
            return True  # best so far, and no better than what the confirmed point was chosen from
        said = [f"schema {SCHEMA}. Trial {number}, {self._metric} {value:.5f}."]
        if held is not None:
            said.append(
                f"Not confirmed. It took the place of trial {held.trial}, confirmed with mean {held.mean:.5f}, "
                f"because it beats the search value {held.search_best:.5f} known then; run `yolotune confirm` again."
            )
        _write_best(self.folder, said, hyperparameters)
        return True

    def keep_confirmed(self, confirmed: Confirmed, hyperparameters: Mapping[str, Any]) -> None:
        """Rewrites best.yaml with the confirmed point, and keeps it until a trial beats what it was chosen from."""
        self._confirmed = confirmed
        write_confirmed_best(self.folder, self._metric, confirmed, hyperparameters)

    def rows(self, number: int) -> list[dict[str, Any]]:
        """Returns the epoch reports of a trial so far."""
        return self._rows.get(number, [])

    def point(self, number: int) -> Point:
        return self._points[number]

    def best_of(self, number: int) -> tuple[int, float] | None:
        """Returns the best epoch of a trial and its objective."""
        return best_epoch(self._rows[number], self._metric, self._mode)

    @property
    def best_number(self) -> int | None:
        return self._best[0] if self._best else None

    @property
    def epochs_trained(self) -> int:
        return sum(len(rows) for rows in self._rows.values())

    def ended(self, number: int) -> bool:
        return (trial_folder(self.folder, number) / "verdict.yaml").exists()


def write_confirmed_best(folder: Path, metric: str, confirmed: Confirmed, hyperparameters: Mapping[str, Any]) -> None:
    """Writes best.yaml with a confirmed point.

    Args:
        folder: Of the search.
        metric: The objective by the record's name.
        confirmed: What was confirmed.
        hyperparameters: Everything `yolo segment train cfg=best.yaml` needs beside `data=`.
    """
    seeds = ", ".join(map(str, confirmed.seeds))
    said = [
        f"schema {SCHEMA}. Trial {confirmed.trial}.",
        f"confirmed: mean {metric} {confirmed.mean:.5f} over seeds {seeds}.",
        f"It stays until a new trial of the search beats {confirmed.search_best:.5f}, the best it had found by then.",
    ]
    _write_best(folder, said, hyperparameters)


def _write_best(folder: Path, said: list[str], hyperparameters: Mapping[str, Any]) -> None:
    said.append("Train with it: yolo segment train cfg=best.yaml data=path/to/data.yaml")
    write_yaml(folder / "best.yaml", dict(hyperparameters), "\n".join(said))


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes JSON for people and programs to read, atomically."""
    write_atomic(path, (json.dumps(data, indent=2) + "\n").encode())


def _append_line(path: Path, line: bytes) -> None:
    """Adds a synced line, or leaves the file as it was; what a crash had torn off before is cut away."""
    with open(path, "a+b", buffering=0) as file:
        end = _whole_lines(file)
        try:
            if file.write(line) < len(line):  # only a disk that is just full writes less
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def _whole_lines(file: FileIO) -> int:
    """Cuts a torn last line off a JSONL file that is to be written on, and returns its size in bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if size and file.read(1) != b"\n":
        file.seek(0)
        size = file.read().rfind(b"\n") + 1
        file.truncate(size)
    return size
