"""The numbers of a report: what was won over the defaults, what it cost, and how sure that is. Pure arithmetic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any

from yolotune.config.settings import recorded_settings
from yolotune.metrics import SCORES, best_epoch, is_finite
from yolotune.record.study import FINISHED, StudyRecord, TrialRecord, Verdict
from yolotune.report.outcome import Outcome, outcome

#: A score that differs by less is taken for noise, however smooth the curves are; of a loss, this share of it.
SMALLEST_GAIN = 0.01
#: Curves shorter than this say nothing about how much they jitter.
JITTER_EPOCHS = 9
#: The epochs of these trials are the value that the point has; those of others were cut short.
IN_FULL = frozenset({Verdict.COMPLETED, Verdict.PLATEAUED})


class Gain(Enum):
    """What the best point is worth beside Ultralytics' defaults."""

    NOTHING = "no trial has a value"
    UNKNOWN = "trial 0 has no value of a full training"
    NONE = "trial 0 is the best"
    NOISE = "smaller than the noise"
    LIKELY = "larger than the noise, but not by twice"
    CLEAR = "more than twice the noise"


@dataclass(frozen=True)
class Noise:
    """How much a value moves without any reason that a search could use, all in units of the objective.

    Attributes:
        jitter: From one epoch to the next in the last third of full trials, median; None without a long one.
        sampling: One standard error from the number of labelled val objects, for scores 0..1; None where unknown.
        floor: The least that is taken for a gain.
    """

    jitter: float | None
    sampling: float | None
    floor: float

    @property
    def level(self) -> float:
        """The largest of them: what a gain is held against."""
        return max(self.jitter or 0.0, self.sampling or 0.0, self.floor)


@dataclass(frozen=True)
class Facts:
    """What the words of a report are made of.

    Attributes:
        study: The record.
        environment: `environment.json`, or nothing.
        best: The trial with the best value.
        defaults: Trial 0.
        gain: How much better the best value is than that of trial 0, never negative; None where one is missing.
        kind: What that is worth.
        noise: What it was held against.
        full_epochs: What all its trials would have taken, run in full.
        seconds: Of training, all trials together.
        outcome: What was planned, and what came out.
    """

    study: StudyRecord
    environment: Mapping[str, Any]
    best: TrialRecord | None
    defaults: TrialRecord | None
    gain: float | None
    kind: Gain
    noise: Noise
    full_epochs: int
    seconds: float
    outcome: Outcome

    @property
    def sign(self) -> float:
        """1.0 where more is better, -1.0 where less is."""
        return 1.0 if self.study.mode == "max" else -1.0

    @property
    def saved(self) -> float:
        """Share of the epochs that were not trained, 0..1."""
        return max(0.0, 1 - self.study.epochs_trained / self.full_epochs) if self.full_epochs else 0.0

    @property
    def finished(self) -> list[TrialRecord]:
        """Trials that ended with a value that stands, pruned ones among them."""
        return finished(self.study)

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials without a value that could be used: diverged, out of memory, failed."""
        return [trial for trial in self.study.trials if trial.verdict in BROKEN]

    @property
    def running(self) -> list[TrialRecord]:
        """Trials without a verdict: they run now, or their study was killed."""
        return [trial for trial in self.study.trials if trial.ending is None]

    @property
    def interrupted(self) -> list[TrialRecord]:
        return [trial for trial in self.study.trials if trial.verdict is Verdict.INTERRUPTED]


BROKEN = frozenset({Verdict.DIVERGED, Verdict.OOM, Verdict.FAILED})


def gather(study: StudyRecord, environment: Mapping[str, Any]) -> Facts:
    """Returns the facts of a study, running or ended.

    Args:
        study: The record.
        environment: What `environment.json` says; may be empty.
    """
    best = study.best
    defaults = study.trials[0] if study.trials and study.trials[0].number == 0 else None
    noise = _noise(study, environment, best)
    gain = None
    if best and defaults and best.value is not None and defaults.value is not None:
        gain = abs(best.value - defaults.value)
    return Facts(
        study=study,
        environment=environment,
        best=best,
        defaults=defaults,
        gain=gain,
        kind=_kind(best, defaults, gain, noise),
        noise=noise,
        outcome=outcome(study, recorded_settings(study.settings)),
        full_epochs=len(study.trials) * int(study.settings.get("epochs") or 0),
        seconds=math.fsum(row["seconds"] for trial in study.trials for row in trial.epochs if _number(row, "seconds")),
    )


def _kind(best: TrialRecord | None, defaults: TrialRecord | None, gain: float | None, noise: Noise) -> Gain:
    if best is None:
        return Gain.NOTHING
    if defaults is None or gain is None or defaults.verdict not in IN_FULL:
        return Gain.UNKNOWN
    if best is defaults or gain == 0:
        return Gain.NONE
    if gain <= noise.level:
        return Gain.NOISE
    return Gain.LIKELY if gain <= 2 * noise.level else Gain.CLEAR


def _noise(study: StudyRecord, environment: Mapping[str, Any], best: TrialRecord | None) -> Noise:
    steps = []
    whole = [trial for trial in study.trials if trial.verdict in IN_FULL]  # others were cut while they still rose
    for trial in whole or study.trials:
        values = [value for _, value in curve(trial, study.metric)]
        if len(values) >= JITTER_EPOCHS:
            last = values[-(len(values) // 3) - 1 :]
            steps.append(statistics.median(abs(after - before) for before, after in pairwise(last)))
    is_score = study.metric in SCORES
    value = best.value if best else None
    objects = labelled(environment, "instances", "val")
    sampling = None
    if is_score and not study.metric.startswith("train") and objects and value is not None and 0 <= value <= 1:
        sampling = math.sqrt(value * (1 - value) / objects)
    floor = SMALLEST_GAIN if is_score else SMALLEST_GAIN * abs(value or 0.0)
    return Noise(statistics.median(steps) if steps else None, sampling, floor)


def labelled(environment: Mapping[str, Any], what: str, split: str) -> int | None:
    """Returns how many `images` or `instances` a split has, as environment.json says it."""
    counts = (environment.get("dataset") or {}).get(what) or {}
    return counts.get(split)


def finished(study: StudyRecord) -> list[TrialRecord]:
    """Returns the trials whose value stands."""
    return [trial for trial in study.trials if trial.verdict in FINISHED and trial.value is not None]


def curve(trial: TrialRecord, metric: str) -> list[tuple[int, float]]:
    """Returns epoch and value of every epoch report that has the metric as a number."""
    return [(int(row["epoch"]), float(row[metric])) for row in trial.epochs if _number(row, metric)]


def value_of(trial: TrialRecord, study: StudyRecord) -> float | None:
    """Returns a trial's value; that of its best epoch so far while it runs."""
    if trial.value is not None or trial.ending is not None:
        return trial.value
    best = best_epoch(trial.epochs, study.metric, study.mode)
    return best[1] if best else None


def best_report(trial: TrialRecord) -> Mapping[str, Any]:
    """Returns the report of a trial's best epoch; nothing if it has none."""
    return next((row for row in trial.epochs if row["epoch"] == trial.best_epoch), {})


def ranked(trials: list[TrialRecord], mode: str) -> list[TrialRecord]:
    """Returns the trials that have a value, best first."""
    valued = [(trial.value, trial) for trial in trials if trial.value is not None]
    return [trial for _, trial in sorted(valued, key=lambda pair: pair[0], reverse=mode == "max")]


def _number(row: Mapping[str, Any], name: str) -> bool:
    return is_finite(row.get(name))
