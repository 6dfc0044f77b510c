"""The plateau rule: ends a trial that has converged, by its own curve alone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from yolotune.config.base import epochs_of
from yolotune.config.scheduling import PlateauSettings
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed
from yolotune.metrics import best_direction, is_finite
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers.base import Report


def std_plateau(values: Sequence[float], rule: PlateauSettings) -> str | None:
    """The guide's rule: the last `num_results` values deviate by less than `std` from their mean.

    It knows no direction: slow gain, slow loss and a flat zero all count. Kept as it is for the preset `guide`.

    Returns:
        The reason in words, or None.
    """
    window = values[-rule.num_results :]
    if len(window) < rule.num_results or not np.std(window) < rule.std:
        return None
    return f"standard deviation {np.std(window):.4f} over {rule.num_results} epochs is below {rule.std:g}"


def patience_plateau(values: Sequence[float], rule: PlateauSettings, epochs: int, mode: str) -> str | None:
    """The default rule: the smoothed value has not got better for a share of all epochs.

    Args:
        values: The watched metric, one finite value per epoch, oldest first.
        rule: Its numbers.
        epochs: Length of a full trial.
        mode: `max` or `min`.

    Returns:
        The reason in words, or None. A trial whose smoothed value never passed `min_value` is not judged: it has not
        converged, it has not begun (real curves flicker near zero for a third of the epochs and then rise), and the
        scheduler compares it with the others.
    """
    sign = 1.0 if mode == "max" else -1.0
    window: deque[float] = deque(maxlen=rule.num_results)
    best, since = -math.inf, 0
    for place, value in enumerate(values):
        window.append(sign * value)
        level = sum(window) / len(window)
        if len(window) == rule.num_results and level > best + rule.min_delta:
            best, since = level, place
    waited = len(values) - 1 - since
    if waited < epochs_of(rule.patience, epochs) or best == -math.inf or (mode == "max" and best < rule.min_value):
        return None
    return f"no gain above {rule.min_delta:g} for {waited} epochs, since {sign * best:.4f} at epoch {since + 1}"


class PlateauRule:
    """Applies one of the two rules to the curves of all trials.

    Ray's `TrialPlateauStopper` counts reports; this one counts epochs, so that a doubled report changes nothing, passes
    over values that are no numbers, and does not stay silent when the metric never comes.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.plateau is None:
            raise ValueError("plateau is None: there is no rule")
        self._rule = settings.plateau
        self._epochs = settings.epochs
        self._mode = best_direction(settings.plateau.metric)
        self._grace = epochs_of(settings.plateau.grace_period, settings.epochs)
        self._curves: dict[int, dict[int, float]] = {}

    def judge(self, report: Report) -> Ending | None:
        """Takes a report into account; how its trial ends, if it has converged.

        Raises:
            StudyFailed: Trials do not report the metric.
        """
        name = self._rule.metric
        if name not in report.row:
            raise StudyFailed(f"plateau.metric: no trial reports {name}, so it can never stop one.")
        self._take(report)
        if not is_finite(report.row[name]) or report.epoch < self._grace:
            return None
        curve = self._curves[report.number]
        values = [curve[epoch] for epoch in sorted(curve)]
        if self._rule.rule == "std":
            reason = std_plateau(values, self._rule)
        else:
            reason = patience_plateau(values, self._rule, self._epochs, self._mode)
        return None if reason is None else Ending(Verdict.PLATEAUED, f"{name}: {reason}")

    def rebuild(self, trials: Sequence[TrialRecord]) -> None:
        """Takes in the trials of a record, so that a study that continues judges whole curves."""
        for trial in trials:
            for row in trial.epochs:
                self._take(Report(trial.number, trial.point, int(row["epoch"]), row))

    def _take(self, report: Report) -> None:
        value = report.row.get(self._rule.metric)
        if is_finite(value):
            self._curves.setdefault(report.number, {}).setdefault(report.epoch, float(value))
