"""The history: what earlier studies of this user found, in one file that outlives their folders.

    $XDG_DATA_HOME/yolotune/history.jsonl, ~/.local/share/yolotune/history.jsonl where that is not set

One line per study, written when it ends and again when it is resumed or confirmed: on what data, how, and the points
that beat Ultralytics' defaults. Whatever is wrong with the file costs a note and never a study. Lines of a newer
version of yolotune are passed over and kept; lines that cannot be read go when the next study is written.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from yolotune.arguments import ultralytics_defaults
from yolotune.errors import UserError, fail
from yolotune.metrics import better
from yolotune.preflight import redacted
from yolotune.record import CONFIRMED, FINISHED, StudyRecord, best_trials, read_study
from yolotune.similarity import NAMES_KEPT, Task
from yolotune.space import Point, Value, parse_space
from yolotune.yamlio import read_yaml, write_atomic

SCHEMA = 1
#: Studies that are kept, the newest, and points of each.
STUDIES, POINTS = 500, 10
#: Bytes that are read, from the end: more than `STUDIES` lines of 20 hyperparameters have.
MOST = 8_000_000
#: Seconds that a study waits for another one that writes.
PATIENCE_S = 2.0
#: All that can be wrong with a disk, a lock and a record. Whatever it is, the study has ended well.
_FAULTS = (OSError, Timeout, UserError, ValueError, KeyError, TypeError, OverflowError)


@dataclass(frozen=True)
class Found:
    """A point that beat Ultralytics' defaults.

    Attributes:
        trial: Its number.
        point: What was searched.
        effective: Arguments that became something else.
        epochs: That it trained.
        value: The objective of its best epoch.
        confirmed: Its mean on fresh seeds; None if it was not trained on any.
    """

    trial: int
    point: Point
    effective: dict[str, Value]
    epochs: int
    value: float
    confirmed: float | None = None

    def __post_init__(self) -> None:
        numbers = (self.value, self.confirmed, *self.point.values(), *self.effective.values())
        if not all(math.isfinite(number) for number in numbers if isinstance(number, (int, float))):
            raise ValueError(f"a number that is none: {self}")


@dataclass(frozen=True)
class Remembered:
    """A study that ended.

    Attributes:
        uid: Of the study.
        name: Of the study.
        folder: Where it was kept; it may be gone.
        ended: Local time of its end, `2026-11-24T12:00:00`.
        task: What it trained on, and how.
        mode: `max` or `min`.
        fixed: Ultralytics arguments that were the same in every trial.
        trials: How many there were.
        defaults: Value of Ultralytics' defaults, trial 0; None if it has none that stands.
        points: Those that were better, the most trustworthy first.
    """

    uid: str
    name: str
    folder: str
    ended: str
    task: Task
    mode: Literal["max", "min"]
    fixed: Point
    trials: int
    defaults: float | None
    points: tuple[Found, ...]


def history_file() -> Path:
    """Returns where the history is, whether it is there or not.

    Raises:
        UserError: There is no home folder, and XDG_DATA_HOME names none.
    """
    given = os.environ.get("XDG_DATA_HOME", "")
    try:  # relative ones do not count
        data = Path(given) if os.path.isabs(given) else Path("~/.local/share").expanduser()
    except RuntimeError as error:  # as in a container whose user is a mere number
        raise fail("XDG_DATA_HOME", "not set, and there is no home folder for a history.", "set it.") from error
    return data / "yolotune" / "history.jsonl"


def read_history() -> tuple[list[Remembered], list[str]]:
    """Returns all studies that can be read, the newest last, and in words what cannot."""
    try:
        path = history_file()
        lines = _lines(path)
    except (OSError, UserError) as error:
        return [], [f"history: it cannot be read ({str(error).splitlines()[0]}); the study begins without it."]
    studies, damaged, newer = [], 0, 0
    for line in lines:
        found = _parsed(line)
        if isinstance(found, Remembered):
            studies.append(found)
        else:
            damaged, newer = damaged + (found == 0), newer + (found != 0)
    notes = []
    if damaged:
        notes.append(f"history: passed over {damaged} of {len(lines)} lines of {path} that cannot be read.")
    if newer:
        notes.append(f"history: passed over {newer} of {len(lines)} lines of {path} from a newer yolotune.")
    return studies, notes


def remember(folder: Path) -> str | None:
    """Writes what a study found into the history, in place of what was written of it before.

    Args:
        folder: Of a search that has ended or was stopped.

    Returns:
        In words why that was not possible, if so.
    """
    try:
        path = history_file()
        study = remembered(read_study(folder))
        if study is None:
            return None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=PATIENCE_S):
            lines = [line for line in _lines(path) if _stays(_parsed(line), study.uid)]
            lines.append(json.dumps(redacted({"schema": SCHEMA, **asdict(study)}), allow_nan=False).encode())
            write_atomic(path.resolve(), b"".join(line + b"\n" for line in lines[-STUDIES:]))  # it may be a link
    except _FAULTS as error:
        said = str(error) or repr(error)
        return f"History: this study is not in it: {said.splitlines()[0]}"
    return None


def remembered(study: StudyRecord) -> Remembered | None:
    """Returns what is to be remembered of a study; None where the record does not tell what it trained on.

    Args:
        study: A search.

    Raises:
        UserError: The record of its confirmation is damaged.
    """
    task = task_of(study)
    zero = next((trial for trial in study.trials if trial.number == 0), None)
    if task is None:
        return None
    settings = study.settings
    defaults = zero.value if zero is not None and zero.verdict in FINISHED else None
    fixed = {**settings.get("train", {}), **parse_space(settings["space"], "space")[1]}
    known = ultralytics_defaults()
    return Remembered(
        uid=str(settings["uid"]),
        name=str(settings["name"]),
        folder=str(study.folder.resolve()),
        ended=time.strftime("%Y-%m-%dT%H:%M:%S"),
        task=task,
        mode="max" if study.mode == "max" else "min",
        # what a space may vary: numbers, switches, and the one word that is searched; no paths, no names
        fixed={k: v for k, v in fixed.items() if k in known and (isinstance(v, (int, float)) or k == "optimizer")},
        trials=len(study.trials),
        defaults=defaults,
        points=_better(study, defaults),
    )


def _better(study: StudyRecord, defaults: float | None) -> tuple[Found, ...]:
    """Returns the best points that beat the defaults: by their means on fresh seeds, then those never confirmed."""
    if defaults is None:
        return ()
    means = _confirmed(study)
    found = []
    for trial in best_trials(study, len(study.trials)):
        value, mean = trial.value, means.get(trial.number)
        held, against = (value, defaults) if mean is None else (mean, means[0])
        if trial.number and value is not None and held is not None and better(held, against, study.mode):
            found.append(Found(trial.number, trial.point, trial.effective, len(trial.epochs), value, mean))
    confirmed = [one for one in found if one.confirmed is not None]
    confirmed.sort(key=lambda one: one.confirmed or 0.0, reverse=study.mode == "max")
    return tuple([*confirmed, *(one for one in found if one.confirmed is None)][:POINTS])


def _confirmed(study: StudyRecord) -> dict[int, float]:
    """Returns the means on fresh seeds by trial, trial 0 among them; nothing where the defaults have none."""
    path = study.folder / CONFIRMED
    said = read_yaml(path, whole=True) if path.exists() else {"points": []}
    means = {int(point["trial"]): float(point["mean"]) for point in said["points"] if point["mean"] is not None}
    return means if 0 in means else {}


def task_of(study: StudyRecord) -> Task | None:
    """Returns what a recorded study trained on; None where environment.json does not tell, as of older versions."""
    try:
        about = json.loads((study.folder / "environment.json").read_text(encoding="utf-8"))
        data, settings = about["dataset"], study.settings
        return Task(
            fingerprint=data["fingerprint"],
            images=data["images"]["train"],
            objects=data["instances"]["train"] / data["images"]["train"],
            areas=tuple(data["areas"]),
            side=data["side"],
            names=tuple(data["names"].values())[:NAMES_KEPT],
            nc=len(data["names"]),
            model=Path(about["model"]["name"]).name,
            weights=about["model"]["sha256"],
            imgsz=settings["imgsz"],
            epochs=settings["epochs"],
            objective=settings["objective"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None


def _lines(path: Path) -> list[bytes]:
    """Returns the lines of the file, a torn one among them; of a file that is too large, the last."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MOST))
            lines = file.read(MOST).split(b"\n")
    except FileNotFoundError:
        return []
    return [line for line in lines[size > MOST :] if line.strip()]


def _stays(found: Remembered | int, uid: str) -> bool:
    return found.uid != uid if isinstance(found, Remembered) else found > SCHEMA


def _parsed(line: bytes) -> Remembered | int:
    """Returns the study of a line; of one that a newer version wrote its schema, of one that cannot be read 0."""
    try:
        said = json.loads(line)
        schema = said["schema"]
        if schema == SCHEMA:
            return _READER.validate_json(line, strict=True)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # of pydantic too: a ValueError
        return 0
    return schema if type(schema) is int and schema > SCHEMA else 0


_READER = TypeAdapter(Remembered)
