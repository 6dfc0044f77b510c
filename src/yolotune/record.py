"""The folder of a study: the only truth about it, written by the driver as things happen.

    study.yaml  environment.json  trials/0007/{point.yaml, epochs.jsonl, verdict.yaml, ...}  best.yaml

YAML is written to a temporary name, synced and renamed; `epochs.jsonl` is appended to, and a torn last line is dropped
when it is read.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.errors import fail
from yolotune.metrics import best_epoch, better
from yolotune.space import Point
from yolotune.yamlio import read_yaml, write_atomic, write_yaml

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
#: In the folder of a search: what was found when its best points were trained again.
CONFIRMED = Path("confirm") / "confirmed.yaml"


class Verdict(StrEnum):
    """Why a trial ended."""

    COMPLETED = "completed"  # all its epochs
    PRUNED = "pruned"  # ASHA: worse than its peers at a rung
    PLATEAUED = "plateaued"  # converged
    DIVERGED = "diverged"  # NaN or Inf
    OOM = "oom"  # out of memory
    FAILED = "failed"  # an error
    INTERRUPTED = "interrupted"  # the study was stopped


#: The trial's value stands, and the searcher may learn from it.
FINISHED = frozenset({Verdict.COMPLETED, Verdict.PLATEAUED, Verdict.PRUNED})


@dataclass(frozen=True)
class Ending:
    """A verdict and its reason in words."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class TrialRecord:
    """One trial as it stands in the record.

    Attributes:
        number: From 0, in the order of suggestion.
        folder: `trials/0007`.
        point: Hyperparameters, flat.
        epochs: One flat map per epoch, in order.
        ending: None while it runs.
        effective: Arguments that became something else than the point or the study said.
        restarts: How often its process or node died and it went on, since it was last started.
    """

    number: int
    folder: Path
    point: Point
    epochs: list[dict[str, Any]]
    ending: Ending | None
    best_epoch: int | None
    value: float | None
    effective: dict[str, Any] = field(default_factory=dict)
    restarts: int = 0

    @property
    def unfinished(self) -> bool:
        """Whether it is to go on when the study is resumed."""
        return self.ending is None or self.ending.verdict is Verdict.INTERRUPTED

    @property
    def weights(self) -> Path:
        """`best.pt`, the weights of the best epoch."""
        return self.folder / "weights" / "best.pt"

    @property
    def verdict(self) -> Verdict | None:
        return self.ending.verdict if self.ending else None


@dataclass(frozen=True)
class Confirmed:
    """The point that was best when the best ones were trained again on fresh seeds.

    Attributes:
        trial: Of the search.
        mean: Its objective, over the seeds.
        seeds: Those it was trained on.
        search_best: The best value of the search at that time. A trial found later has to beat it: a smaller value was
            there already when the confirmed point was chosen, and was no reason to choose another.
    """

    trial: int
    mean: float
    seeds: tuple[int, ...]
    search_best: float

    def beaten_by(self, value: float, mode: str) -> bool:
        """Whether a search value is reason enough to prefer its trial to the confirmed one."""
        return better(value, self.search_best, mode)


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stands in the record; what `yolotune.run` returns."""

    folder: Path
    settings: dict[str, Any]
    trials: list[TrialRecord]

    @property
    def metric(self) -> str:
        """The objective by the record's name."""
        return str(self.settings["metric"])

    @property
    def mode(self) -> str:
        return str(self.settings["direction"])

    @cached_property
    def best(self) -> TrialRecord | None:
        """The trial with the best value; None as long as no trial has one."""
        best: TrialRecord | None = None
        for trial in self.trials:
            if trial.value is not None and better(trial.value, best.value if best else None, self.mode):
                best = trial
        return best

    @cached_property
    def confirmed(self) -> Confirmed | None:
        """The confirmed point, if there is one.

        Raises:
            UserError: The file that says so is damaged.
        """
        path = self.folder / CONFIRMED
        said = _plain(path).get("best") if path.exists() else None
        if said is None:
            return None
        try:
            found = Confirmed(said["trial"], said["mean"], tuple(said["seeds"]), said["search_best"])
        except (KeyError, TypeError) as error:
            raise fail(str(path), "damaged: it does not say which point is best.", "run the confirm again.") from error
        return found if any(trial.number == found.trial for trial in self.trials) else None

    @property
    def chosen(self) -> TrialRecord | None:
        """The trial whose point best.yaml holds: the confirmed one, unless one found since has a better value."""
        best, held = self.best, self.confirmed
        if held is None or (best is not None and best.value is not None and held.beaten_by(best.value, self.mode)):
            return best
        return self.trial(held.trial)

    def trial(self, number: int) -> TrialRecord:
        """Returns a trial that is there."""
        return next(trial for trial in self.trials if trial.number == number)

    @property
    def verdicts(self) -> dict[str, int]:
        """How many trials ended how; running ones under `running`."""
        return dict(Counter(str(trial.verdict or "running") for trial in self.trials))

    @property
    def epochs_trained(self) -> int:
        return sum(len(trial.epochs) for trial in self.trials)

    def frame(self) -> pandas.DataFrame:
        """Returns all epoch reports as one table: a row per epoch, `trial` and `epoch` first."""
        import pandas

        return pandas.DataFrame([{"trial": trial.number, **row} for trial in self.trials for row in trial.epochs])


class Record:
    """The writing side of a study's folder, held by the driver alone."""

    def __init__(self, folder: Path, *, metric: str, mode: str, uid: str | None = None) -> None:
        """Takes charge of a folder, without touching it yet.

        Args:
            folder: The study's folder.
            metric: The objective by the record's name.
            mode: Its direction.
            uid: Of a study that goes on; a new one draws its own.
        """
        self.folder = folder
        self.uid = uid or secrets.token_hex(4)
        self._metric = metric
        self._mode = mode
        self._rows: dict[int, list[dict[str, Any]]] = {}
        self._points: dict[int, Point] = {}
        self._best: tuple[int, float] | None = None
        self._confirmed: Confirmed | None = None

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

    def reopen(self, trials: Iterable[TrialRecord], settings: Mapping[str, Any]) -> None:
        """Goes on with a study: what was recorded is known again, and the settings are those of now.

        The best trial is to be offered again, so that best.yaml is rewritten from the record.
        """
        for trial in trials:
            self._rows[trial.number] = list(trial.epochs)
            self._points[trial.number] = trial.point
        self._write_settings(settings)

    def _write_settings(self, settings: Mapping[str, Any]) -> None:
        head = {"schema": SCHEMA, "uid": self.uid, "metric": self._metric, "direction": self._mode}
        header = "The study as it runs: preset, file and flags together."
        write_yaml(self.folder / "study.yaml", {**head, **settings}, header)

    def start(self, number: int, point: Point) -> None:
        """Notes that a trial exists, or that one goes on that was interrupted."""
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
        return True

    def end(self, number: int, ending: Ending, effective: Mapping[str, Any], restarts: int = 0) -> float | None:
        """Writes the verdict and returns the trial's value, None if no epoch had one.

        Args:
            number: The trial.
            ending: Why it ended.
            effective: Arguments that became something else than was asked.
            restarts: How often its process or node died and it went on.

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

    def offer_best(self, number: int, value: float, hyperparameters: Mapping[str, Any]) -> bool:
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


def trial_folder(study: Path, number: int) -> Path:
    """Returns `trials/0007` of a study's folder."""
    return study / "trials" / f"{number:04d}"


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


def read_study(folder: Path) -> StudyRecord:
    """Reads a study's folder, running or ended.

    Raises:
        UserError: The folder holds no study, or a file of it is damaged.
    """
    settings = folder / "study.yaml"
    if not settings.is_file():
        raise fail(str(folder), "no study here: study.yaml is missing.", "give the folder that `yolotune run` printed.")
    head = _plain(settings)
    if not {"metric", "direction"} <= head.keys():
        raise fail(str(settings), "says neither metric nor direction.", "give the folder that `yolotune run` printed.")
    folders = {int(path.name): path for path in (folder / "trials").glob("*") if path.name.isdecimal()}
    trials = [_read_trial(path) for _, path in sorted(folders.items()) if _exists(path)]
    return StudyRecord(folder=folder, settings=head, trials=trials)


def _exists(folder: Path) -> bool:
    """Whether a trial is there: it is from its point.yaml on, and this may be read while one is being started."""
    written = [name for name in ("epochs.jsonl", "verdict.yaml") if (folder / name).exists()]
    if (folder / "point.yaml").exists() or not written:
        return (folder / "point.yaml").exists()
    raise fail(str(folder / "point.yaml"), f"is missing beside {written[0]}.", _RESTORE)


def read_ending(folder: Path) -> Ending | None:
    """Returns the verdict on the trial of a folder, if it has one."""
    path = folder / "verdict.yaml"
    return _ending(_plain(path), path) if path.exists() else None


def _read_trial(folder: Path) -> TrialRecord:
    point = _plain(folder / "point.yaml")
    end = _plain(folder / "verdict.yaml") if (folder / "verdict.yaml").exists() else {}
    ending = _ending(end, folder / "verdict.yaml") if end else None
    rows = read_rows(folder / "epochs.jsonl")
    if len(rows) < int(end.get("epochs", 0)):
        what = f"damaged: it holds {len(rows)} epochs, verdict.yaml says {end['epochs']}."
        raise fail(str(folder / "epochs.jsonl"), what, _RESTORE)
    return TrialRecord(
        number=int(folder.name),
        folder=folder,
        point=point,
        epochs=rows,
        ending=ending,
        best_epoch=end.get("best_epoch"),
        value=end.get("value"),
        effective=end.get("effective", {}),
        restarts=end.get("restarts", 0),
    )


def _plain(path: Path) -> dict[str, Any]:
    """Reads a map that yolotune wrote, without its schema version."""
    read = read_yaml(path, whole=True)
    if not isinstance(read, dict):
        raise fail(str(path), "damaged: a map was expected.", _RESTORE)
    return {key: value for key, value in read.items() if key != "schema"}


_RESTORE = "restore it from a copy, or remove the trial's folder; the study then goes on without it."


def _ending(said: Mapping[str, Any], path: Path) -> Ending:
    try:
        return Ending(Verdict(said["verdict"]), str(said["reason"]))
    except (KeyError, ValueError) as error:
        raise fail(str(path), f"damaged: {said!r:.80} is no verdict.", _RESTORE) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Reads epoch reports; a last line that was torn by a crash is dropped."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    rows = []
    for place, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            row = {key: value for key, value in json.loads(line).items() if key != "schema"}
        except (ValueError, AttributeError) as error:  # no JSON, or no map
            raise fail(f"{path}:{place}", "damaged line.", "remove the line; the epoch is lost.") from error
        rows.append(row)
    return rows
