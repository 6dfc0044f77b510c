"""The folder of a study, the only truth about it, as it is read; `writer.py` writes it as things happen.

    study.yaml  environment.json  trials/0007/{point.yaml, epochs.jsonl, verdict.yaml, ...}  best.yaml

A torn last line of `epochs.jsonl` is dropped.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from yolotune._yaml import read_yaml
from yolotune.config.compat import RECORD_KEYS, upgraded
from yolotune.config.settings import Settings, recorded_settings
from yolotune.config.space import Point
from yolotune.errors import UserError, fail
from yolotune.metrics import better, is_finite
from yolotune.record.confirmed import CONFIRMED, Confirmed, read_confirmed
from yolotune.record.provenance import Origin, Provenance, read_provenance
from yolotune.record.provenance import known_from as provenance_of
from yolotune.record.split_scores import SplitScores, read_split_scores
from yolotune.record.verdict import FINISHED, PAUSED, Ending, Verdict
from yolotune.record.worked_time import seconds_worked

#: Of the files of a trial; that of study.yaml is `config.compat.SCHEMA`.
SCHEMA = 1


@dataclass(frozen=True, repr=False)
class TrialRecord:
    """One trial as it stands in the record.

    Attributes:
        number: From 0, in the order of suggestion.
        folder: `trials/0007`.
        point: Hyperparameters, flat.
        epochs: One flat map per epoch, in order.
        ending: None while it runs.
        effective: Arguments that became something else than the point or the study said.
        restarts: How often its process or node died and it continued, since it was last started.
        paused: Whether it has no verdict and waits for others, its process gone.
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
    paused: bool = False

    @property
    def unfinished(self) -> bool:
        """Whether it continues when the study is resumed."""
        return self.ending is None or self.ending.verdict is Verdict.INTERRUPTED

    @property
    def weights(self) -> Path:
        """`best.pt`, the weights of the best epoch."""
        return self.folder / "weights" / "best.pt"

    @property
    def verdict(self) -> Verdict | None:
        """Why it ended, in one word; None while it runs."""
        return self.ending.verdict if self.ending else None

    @property
    def seconds(self) -> float:
        """Seconds of all its epochs."""
        return math.fsum(row["seconds"] for row in self.epochs if is_finite(row.get("seconds")))

    def __repr__(self) -> str:
        value = "no value" if self.value is None else f"value {self.value:.4f}"
        return f"TrialRecord({self.number}, {self.verdict or 'running'}, {value}, {len(self.epochs)} epochs)"


@dataclass(frozen=True, repr=False)
class StudyRecord:
    """A study as it stands in its folder.

    Attributes:
        folder: Where it is kept.
        uid: Identifies the study for ever, wherever it is copied to.
        settings: What it was told, resolved.
        trials: By number.
        warm_points: Initial points that earlier studies found.
        warm_from: Where each of them came from.
        origin: The search whose points it trains again; None for a search.
    """

    folder: Path
    uid: str
    settings: Settings
    trials: list[TrialRecord]
    warm_points: list[Point] = field(default_factory=list)
    warm_from: list[Provenance] = field(default_factory=list)
    origin: Origin | None = None

    @property
    def metric(self) -> str:
        """The objective by the record's name."""
        return self.settings.metric

    @property
    def mode(self) -> str:
        """What is better of the objective: `max` or `min`."""
        return self.settings.direction

    def known_from(self, point: Point) -> Provenance | None:
        """Returns where a point came from, if an earlier study found it."""
        return provenance_of(point, self.warm_points, self.warm_from)

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
        found = read_confirmed(self.folder / CONFIRMED)
        known = found is not None and any(trial.number == found.trial for trial in self.trials)
        return found if known else None

    @property
    def chosen(self) -> TrialRecord | None:
        """The trial whose point best.yaml holds: the confirmed one, unless one found since has a better value."""
        best, held = self.best, self.confirmed
        if held is None or (best is not None and best.value is not None and held.beaten_by(best.value, self.mode)):
            return best
        return self.trial(held.trial)

    @cached_property
    def on_test(self) -> SplitScores | None:
        """What its models score on the test split; None where data.yaml has none, or nothing was scored yet."""
        return read_split_scores(self.folder)

    @property
    def learned_nothing(self) -> bool:
        """Whether trials have ended and none found anything: each score is 0, the least it can be, or there is none."""
        scores = self.metric.startswith(("seg_metrics/", "box_metrics/")) and self.mode == "max"
        ended = [trial for trial in self.trials if not trial.unfinished]
        return scores and bool(ended) and not any(trial.value for trial in self.trials)

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

    @cached_property
    def seconds_worked(self) -> float:
        """Seconds that processes have worked on the study, all its resumes together."""
        return seconds_worked(self.folder)

    def __repr__(self) -> str:
        return f"StudyRecord({str(self.folder)!r}, {len(self.trials)} trials)"


def best_trials(study: StudyRecord, top: int) -> list[TrialRecord]:
    """Returns the trials with the best values that stand, best first, no point twice."""
    valued = [trial for trial in study.trials if trial.verdict in FINISHED and trial.value is not None]
    best: list[TrialRecord] = []
    for trial in sorted(valued, key=lambda trial: trial.value or 0.0, reverse=study.mode == "max"):
        if len(best) < top and trial.point not in [found.point for found in best]:
            best.append(trial)
    return best


def trial_folder(study: Path, number: int) -> Path:
    """Returns `trials/0007` of a study's folder."""
    return study / "trials" / f"{number:04d}"


def read_study(folder: str | Path) -> StudyRecord:
    """Reads a study's folder, running or ended.

    Raises:
        UserError: The folder holds no study, or a file of it is damaged.
    """
    folder = Path(folder)
    file = folder / "study.yaml"
    if not file.is_file():
        raise fail(str(folder), "no study here: study.yaml is missing.", "give the folder that `yolotune run` printed.")
    head = upgraded(read_yaml(file, whole=True), str(file))
    settings = recorded_settings({key: value for key, value in head.items() if key not in RECORD_KEYS})
    folders = {int(path.name): path for path in (folder / "trials").glob("*") if path.name.isdecimal()}
    return StudyRecord(
        folder=folder,
        uid=str(head.get("uid")),
        settings=settings,
        trials=[_read_trial(path) for _, path in sorted(folders.items()) if _exists(path)],
        warm_points=head.get("warm_points") or [],
        warm_from=read_provenance(head.get("warm_from")),
        origin=Origin(**head["origin"]) if head.get("origin") else None,
    )


def _exists(folder: Path) -> bool:
    """Whether a trial is there: it is from its point.yaml on, and this may be read while one is being started."""
    written = [name for name in ("epochs.jsonl", "verdict.yaml") if (folder / name).exists()]
    if (folder / "point.yaml").exists() or not written:
        return (folder / "point.yaml").exists()
    raise fail(str(folder / "point.yaml"), f"is missing beside {written[0]}.", _RESTORE)


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
        paused=ending is None and _is_paused(folder),
    )


def _is_paused(folder: Path) -> bool:
    """Whether a trial without a verdict has left its training to wait for others."""
    try:
        return bool(_plain(folder / "ended.yaml").get("verdict") == PAUSED)
    except (OSError, UserError):  # none, or it is going on just now
        return False


def _plain(path: Path) -> dict[str, Any]:
    """Reads a map that yolotune wrote, without its schema version."""
    read = read_yaml(path, whole=True)
    if not isinstance(read, dict):
        raise fail(str(path), "damaged: a map was expected.", _RESTORE)
    return {key: value for key, value in read.items() if key != "schema"}


_RESTORE = "restore it from a copy, or remove the trial's folder; the study then continues without it."


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
