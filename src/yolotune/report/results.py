"""What a study has found: the best trial beside the defaults, how sure that is, and what it cost. Numbers only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import pairwise
from typing import Any

from yolotune.config.settings import Settings
from yolotune.metrics import SCORES
from yolotune.record.confirmed import Confirmed
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import Verdict
from yolotune.report.importance import Importance, importance
from yolotune.report.on_test import sampling_error
from yolotune.report.outcome import Outcome, outcome
from yolotune.report.rungs import Rung, rungs_of
from yolotune.report.trials import BROKEN, TRAINED_IN_FULL, curve, finished, overfitting_gaps, seconds_of, unlearned

#: The least difference that is taken for a gain, however smooth the curves are; of a loss it is a share of the value.
SMALLEST_GAIN = 0.01
#: Shorter curves do not show how much the objective moves between epochs.
JITTER_EPOCHS = 9


class Gain(Enum):
    """What the difference between the best point and Ultralytics' defaults is worth."""

    NOTHING = "no trial has a value"
    UNKNOWN = "trial 0 has no value of a full training"
    NONE = "trial 0 is the best"
    NOISE = "smaller than the noise"
    LIKELY = "larger than the noise, but not twice as large"
    CLEAR = "more than twice the noise"


@dataclass(frozen=True)
class Noise:
    """How much a value moves for reasons that a search cannot use, all in units of the objective.

    Attributes:
        jitter: From one epoch to the next in the last third of full trainings, median; None if all are too short.
        sampling: One standard error from the number of labelled val objects, of scores 0..1; None if unknown.
        floor: The least difference that is taken for a gain.
    """

    jitter: float | None
    sampling: float | None
    floor: float

    @property
    def level(self) -> float:
        """The largest of them, to which a gain is compared."""
        return max(self.jitter or 0.0, self.sampling or 0.0, self.floor)


@dataclass(frozen=True)
class Results:
    """What a study has found so far; everything on the page is made of it.

    Attributes:
        record: The study.
        environment: Content of `environment.json`; empty where it is missing.
        gain: How much better the best value is than that of trial 0, never negative; None if one is missing.
        kind: What the gain is worth.
        noise: To which it was compared.
        outcome: Planned and actual cost.
    """

    record: StudyRecord
    environment: Mapping[str, Any]
    gain: float | None
    kind: Gain
    noise: Noise
    outcome: Outcome

    @property
    def settings(self) -> Settings:
        return self.record.settings

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the best value."""
        return self.record.best

    @property
    def defaults(self) -> TrialRecord | None:
        """Trial 0, which trains Ultralytics' defaults."""
        return defaults_of(self.record)

    @property
    def proven(self) -> Confirmed | None:
        """What fresh seeds said of the chosen point; None where there is no confirm, or a trial since is better."""
        held, chosen = self.record.confirmed, self.record.chosen
        return held if held is not None and chosen is not None and held.trial == chosen.number else None

    @property
    def full_epochs(self) -> int:
        """Epochs of all its trials, had nothing stopped them."""
        return len(self.record.trials) * self.settings.epochs

    @property
    def saved(self) -> float:
        """Share of these epochs that were not trained, 0..1."""
        return max(0.0, 1 - self.record.epochs_trained / self.full_epochs) if self.full_epochs else 0.0

    @cached_property
    def seconds(self) -> float:
        """Seconds of training, of all trials together."""
        return math.fsum(seconds_of(trial) for trial in self.record.trials)

    @property
    def finished(self) -> list[TrialRecord]:
        """Trials whose value stands, pruned ones among them."""
        return finished(self.record)

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials that diverged, ran out of memory or failed."""
        return [trial for trial in self.record.trials if trial.verdict in BROKEN]

    @property
    def running(self) -> list[TrialRecord]:
        """Trials without a verdict: they run now, or their process was killed."""
        return [trial for trial in self.record.trials if trial.ending is None]

    @property
    def interrupted(self) -> list[TrialRecord]:
        """Trials that continue when the study is resumed."""
        return [trial for trial in self.record.trials if trial.verdict is Verdict.INTERRUPTED]

    @cached_property
    def rungs(self) -> list[Rung]:
        """Rungs that a trial has reached; empty where the scheduler has none."""
        return rungs_of(self.record)

    @cached_property
    def importance(self) -> Importance | None:
        """Importance of the hyperparameters; None with too few trials."""
        return importance(self.record)

    @cached_property
    def gaps(self) -> dict[int, float]:
        """Train F1 less val F1 at the best epoch, by trial number."""
        return overfitting_gaps(self.record)

    @cached_property
    def unlearned(self) -> list[int]:
        """Numbers of the trials that learned nothing; they have no gap."""
        return unlearned(self.record)

    @property
    def value_axis(self) -> dict[str, Any]:
        """Plotly's axis of values; of scores that are all 0 it would draw one from -1 to 1."""
        return {"title": "", "range": [0, 1]} if self.record.learned_nothing else {"title": ""}

    @property
    def hyperparameters(self) -> list[str]:
        """Names of what the study searches, the most important first where that is known."""
        return list(self.importance.shares if self.importance else self.settings.domains)


def results_of(record: StudyRecord, environment: Mapping[str, Any]) -> Results:
    """Returns the results of a study, running or ended.

    Args:
        record: The study.
        environment: Content of `environment.json`; may be empty.
    """
    best, defaults = record.best, defaults_of(record)
    noise = _noise(record, environment)
    gain = None
    if best and defaults and best.value is not None and defaults.value is not None:
        gain = abs(best.value - defaults.value)
    kind = _kind(best, defaults, gain, noise)
    return Results(record, environment, gain, kind, noise, outcome(record))


def defaults_of(record: StudyRecord) -> TrialRecord | None:
    """Returns trial 0, if it is there."""
    return record.trials[0] if record.trials and record.trials[0].number == 0 else None


def dataset_count(environment: Mapping[str, Any], what: str, split: str) -> int | None:
    """Returns how many `images` or `instances` a split has, by environment.json; None if it does not say."""
    counts = (environment.get("dataset") or {}).get(what) or {}
    return counts.get(split)


def _kind(best: TrialRecord | None, defaults: TrialRecord | None, gain: float | None, noise: Noise) -> Gain:
    if best is None:
        return Gain.NOTHING
    if defaults is None or gain is None or defaults.verdict not in TRAINED_IN_FULL:
        return Gain.UNKNOWN
    if best is defaults or gain == 0:
        return Gain.NONE
    if gain <= noise.level:
        return Gain.NOISE
    return Gain.LIKELY if gain <= 2 * noise.level else Gain.CLEAR


def _noise(record: StudyRecord, environment: Mapping[str, Any]) -> Noise:
    is_score = record.metric in SCORES
    value = record.best.value if record.best else None
    floor = SMALLEST_GAIN if is_score else SMALLEST_GAIN * abs(value or 0.0)
    objects = dataset_count(environment, "instances", "val")
    sampling = None
    if is_score and not record.metric.startswith("train") and objects and value is not None and 0 <= value <= 1:
        sampling = sampling_error(value, objects)
    return Noise(_jitter(record), sampling, floor)


def _jitter(record: StudyRecord) -> float | None:
    """Returns the median step between epochs, over the last third of each training that was not cut."""
    full = [trial for trial in record.trials if trial.verdict in TRAINED_IN_FULL]
    steps = []
    for trial in full or record.trials:
        values = [value for _, value in curve(trial, record.metric)]
        if len(values) >= JITTER_EPOCHS:
            last = values[-(len(values) // 3) - 1 :]
            steps.append(statistics.median(abs(after - before) for before, after in pairwise(last)))
    return statistics.median(steps) if steps else None
