"""What a tracker is, what it is told, and which ones there are.

The driver asks `preflight` whether a tracker can be used before the study starts, and makes it with `make_tracker`.
The driver then opens the study's own run. The tracker is sent to the workers, which open the runs of the trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.errors import did_you_mean, fail
from yolotune.record.verdict import Ending


@dataclass(frozen=True)
class TrackingContext:
    """What a tracker is made from.

    Attributes:
        mode: As `preflight` returned it.
        project: What the studies of one project are kept under.
        study: Name of the study.
        uid: Identifies the study for ever. A study that is resumed has the same, so its trials continue their runs.
        folder: For the tracker's own files, in the study's folder under the tracker's name; made by who needs it.
        tags: Of every run.
        group: What the runs of the study are grouped by; the study's name if not given.
        kind: What the trainings are called: `trial`, or `confirm` and `retrain`.
        lineage: Where the points come from, for the config of every run. `search_run_id` is the run of the trial whose
            point is trained again.
    """

    mode: str
    project: str
    study: str
    uid: str
    folder: Path
    tags: tuple[str, ...] = ()
    group: str | None = None
    kind: str = "trial"
    lineage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended, as its run is told by the worker.

    Attributes:
        ending: Verdict and reason.
        best_epoch: As in the record.
        value: As in the record.
        effective: Arguments that became something else than the point or the study said.
        weights: `best.pt`; it may not be there.
        curves: Folder of the curves that Ultralytics drew; some or all may not be there.
    """

    ending: Ending
    best_epoch: int | None
    value: float | None
    effective: Mapping[str, Any]
    weights: Path
    curves: Path


@dataclass(frozen=True)
class TrialSummary:
    """How a trial ended, as the study's run is told by the driver.

    Attributes:
        number: The trial.
        point: Its hyperparameters, those that vary.
        ending: Verdict and reason.
        best_epoch: As in the record.
        value: As in the record.
        epochs_total: Epochs that all trials of the study have trained by now.
    """

    number: int
    point: Point
    ending: Ending
    best_epoch: int | None
    value: float | None
    epochs_total: int


class TrialRun(Protocol):
    """The run of one trial, in the worker. No method may raise, and only `pause` and `finish` may wait."""

    def log_epoch(self, row: Mapping[str, Any]) -> None:
        """Logs an epoch report of the record. An epoch may come twice, after a worker was killed."""

    def pause(self) -> None:
        """Ends this part of the run. The trial continues later, in a run that is opened for the same number."""

    def finish(self, result: TrialResult) -> None:
        """Ends the run as the trial ended."""


class StudyRun(Protocol):
    """The run of the study itself, in the driver. No method may raise, and only `finish` may wait."""

    def trial_ended(self, summary: TrialSummary, *, log: bool = True) -> None:
        """Takes note of a trial that ended.

        Args:
            summary: How it ended.
            log: False for a trial that had ended before the study was resumed: it was logged then.
        """

    def finish(self, best_number: int | None, best_yaml: Path | None, *, failed: bool = False) -> None:
        """Ends the run.

        Args:
            best_number: The best trial.
            best_yaml: Its hyperparameters in a file, which may not be there.
            failed: Whether the study ended without a result.
        """


class Tracker(Protocol):
    """Opens the runs of a study. It is sent to the workers, so it is small, has no secrets and can be pickled."""

    @property
    def mode(self) -> str:
        """How it is used, such as `online` or `offline`; `disabled` where nothing is tracked."""

    def open_trial(self, number: int, config: Mapping[str, Any]) -> TrialRun:
        """Opens the run of a trial, or continues it, and returns at once.

        Args:
            number: The trial.
            config: What it trains with: the fixed arguments, its point and the model.
        """

    def open_study(self, config: Mapping[str, Any], direction: str) -> StudyRun:
        """Opens the run of the study, or continues it, and returns at once. Called before any trial runs.

        Args:
            config: Settings of the study.
            direction: Of the objective, `max` or `min`.
        """

    def notes(self) -> list[str]:
        """Returns what the user is to be told when the study has ended, one sentence or command each."""


class TrackerKind(Protocol):
    """How trackers of one kind are made: the class of the tracker, with these as class methods."""

    def preflight(self, settings: Settings) -> tuple[str, str | None]:
        """Returns the mode to use, and one sentence of warning if it is not the one that was asked for."""

    def create(self, context: TrackingContext) -> Tracker:
        """Returns the tracker of a study."""


_KINDS: dict[str, TrackerKind] = {}


def register_tracker(name: str, kind: TrackerKind) -> None:
    """Makes a tracker known under the name that the setting `tracker` takes.

    Example:
        >>> register_tracker("null", NullTracker)
    """
    _KINDS[name] = kind


def tracker_names() -> list[str]:
    """Returns the names that `tracker` takes."""
    return sorted(_KINDS)


def preflight(settings: Settings) -> tuple[str, str | None]:
    """Asks the tracker of a study whether it can be used, which takes a few seconds at most.

    Returns:
        The mode to use, and one sentence of warning if it is not the one that was asked for.

    Raises:
        UserError: There is no tracker of that name.
    """
    return _kind(settings.tracker).preflight(settings)


def make_tracker(settings: Settings, context: TrackingContext) -> Tracker:
    """Returns the tracker of a study.

    Raises:
        UserError: There is no tracker of that name.
    """
    return _kind(settings.tracker).create(context)


def run_id(uid: str, number: int) -> str:
    """Returns the id of the run of a trial: the same whenever the trial is continued.

    Args:
        uid: Of the study.
        number: The trial.
    """
    return f"{uid}-{number:04d}"


def _kind(name: str) -> TrackerKind:
    if name not in _KINDS:
        what = f"no tracker is called {name!r}.{did_you_mean(name, _KINDS)}"
        raise fail("tracker", what, f"use one of {', '.join(tracker_names())}.")
    return _KINDS[name]
