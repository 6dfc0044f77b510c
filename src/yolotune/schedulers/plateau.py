"""Early stopping: ASHA on the objective, and the plateau stopper on one trial's own curve.

The rules (`rungs.Halving`, `patience_plateau`, `std_plateau`) are plain arithmetic; `Asha` and `PlateauStopper` carry
them into Ray Tune. Both write into a shared `endings` why they stopped a trial, since Ray only keeps that it did.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from yolotune.config.early_stopping import Plateau, epochs_of
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed
from yolotune.metrics import best_direction, is_finite
from yolotune.record.study import Ending, Verdict
from yolotune.schedulers.asha import Cut, Halving
from yolotune.schedulers.ranking import losses

#: Why a trial was stopped, by its number; filled by schedulers and stoppers, read by the searcher and the record.
Endings = dict[int, Ending]


def report_in(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the epoch report in a result as Ray hands it to schedulers: flattened, under keys like `report/epoch`."""
    return {name.removeprefix("report/"): value for name, value in result.items() if name.startswith("report/")}


class Asha(Halving, FIFOScheduler):
    """Ray scheduler that stops a trial where `Halving` cuts it, and leaves the reason."""

    def __init__(self, study: Settings, endings: Endings) -> None:
        FIFOScheduler.__init__(self)
        Halving.__init__(self, study)
        self._endings = endings

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        cut = self._judge_report(trial, result)
        if cut is None:
            return str(TrialScheduler.CONTINUE)
        self._endings[int(trial.config["number"])] = Ending(Verdict.PRUNED, self.reason(cut))
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Records the last report too, as Ray does, so that a full trial counts at every rung it reached."""
        if "epoch" in result:
            self._judge_report(trial, result)

    def _judge_report(self, trial: Trial, result: dict[str, Any]) -> Cut | None:
        early = losses(report_in(result), trial.config["point"])
        return self.judge(int(trial.config["number"]), int(result["epoch"]), result.get(self._metric), early)


# --- plateau ---------------------------------------------------------------------------------------------------------


def std_plateau(values: Sequence[float], rule: Plateau) -> str | None:
    """The guide's rule: the last `num_results` values deviate by less than `std` from their mean.

    It knows no direction: slow gain, slow loss and a flat zero all count. Kept as it is for the preset `guide`.

    Returns:
        The reason in words, or None.
    """
    window = values[-rule.num_results :]
    if len(window) < rule.num_results or not np.std(window) < rule.std:
        return None
    return f"standard deviation {np.std(window):.4f} over {rule.num_results} epochs is below {rule.std:g}"


def patience_plateau(values: Sequence[float], rule: Plateau, epochs: int, mode: str) -> str | None:
    """The default rule: the smoothed value has not got better for a share of all epochs.

    Args:
        values: The watched metric, one finite value per epoch, oldest first.
        rule: Its numbers.
        epochs: Length of a full trial.
        mode: `max` or `min`.

    Returns:
        The reason in words, or None. A trial whose smoothed value never passed `min_value` is not judged: it has not
        converged, it has not begun (real curves flicker near zero for a third of the epochs and then rise), and ASHA
        compares it with the others.
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


class PlateauStopper(Stopper):
    """Ray stopper: ends a trial that has converged, by its own curve alone.

    Ray's `TrialPlateauStopper` counts reports; this one counts epochs, so that a doubled report changes nothing, passes
    over values that are no numbers, and does not stay silent when the metric never comes.
    """

    def __init__(self, study: Settings, endings: Endings) -> None:
        if study.plateau is None:
            raise ValueError("study.plateau is None: use no stopper")
        self._rule = study.plateau
        self._epochs = study.epochs
        self._mode = best_direction(study.plateau.metric)
        self._grace = epochs_of(study.plateau.grace_period, study.epochs)
        self._endings = endings
        self._curves: dict[int, dict[int, float]] = {}

    def judge(self, number: int, epoch: int, value: Any) -> str | None:
        """Takes one epoch report into account; why the trial has converged, if it has."""
        if not is_finite(value):
            return None
        curve = self._curves.setdefault(number, {})
        curve.setdefault(epoch, float(value))
        if epoch < self._grace:
            return None
        values = [curve[at] for at in sorted(curve)]
        if self._rule.rule == "std":
            return std_plateau(values, self._rule)
        return patience_plateau(values, self._rule, self._epochs, self._mode)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if result.get("done"):
            return False  # it ends by itself, with a verdict of its own
        report = result["report"]
        if self._rule.metric not in report:
            raise StudyFailed(f"plateau.metric: no trial reports {self._rule.metric}, so it can never stop one.")
        number = int(result["config"]["number"])
        reason = self.judge(number, int(report["epoch"]), report[self._rule.metric])
        if reason is None:
            return False
        self._endings[number] = Ending(Verdict.PLATEAUED, f"{self._rule.metric}: {reason}")
        self._curves.pop(number)
        return True

    def stop_all(self) -> bool:
        return False
