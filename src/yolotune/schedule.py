"""Early stopping: ASHA on the objective, and the plateau stopper on one trial's own curve.

The rules (`Rungs`, `patience_plateau`, `std_plateau`) are plain arithmetic; `Asha` and `PlateauStopper` carry them into
Ray Tune. Both write into a shared `endings` why they stopped a trial, since Ray itself only keeps that it did.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from yolotune.errors import StudyFailed
from yolotune.metrics import best_direction, is_finite
from yolotune.record import Ending, Verdict
from yolotune.study import Plateau, Study, epochs_of

#: Why a trial was stopped, by its number; filled by schedulers and stoppers, read by the searcher and the record.
Endings = dict[int, Ending]


@dataclass(frozen=True)
class Cut:
    """A rung's decision against a trial: the score it had, the score it needed, and among how many."""

    milestone: int
    score: float
    cutoff: float
    peers: int


@dataclass
class Rungs:
    """One bracket of asynchronous successive halving: Ray's rule (`async_hyperband._Bracket`), on trial numbers.

    A trial is stopped at the first report at or beyond a milestone if its score is below the percentile
    `1 - 1/reduction_factor` of those recorded there before it. Being plain data, rungs can be rebuilt from the record.

    Attributes:
        milestones: Epochs, descending.
        reduction_factor: The best 1/factor go on.
        recorded: Scores by milestone and trial number; higher is better.
    """

    milestones: tuple[int, ...]
    reduction_factor: float
    recorded: dict[int, dict[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, grace_period: int, max_t: int, reduction_factor: float, bracket: int = 0) -> Rungs:
        """Returns the rungs grace * factor^k up to `max_t`, those below `bracket` left out."""
        count = int(math.log(max_t / grace_period) / math.log(reduction_factor) - bracket + 1)
        exponents = [bracket + k for k in reversed(range(max(count, 0)))]
        milestones = tuple(math.ceil(grace_period * reduction_factor**k) for k in exponents)
        return cls(milestones, reduction_factor, {milestone: {} for milestone in milestones})

    def judge(self, number: int, epoch: int, score: float) -> Cut | None:
        """Records a score at the highest milestone it newly reaches, and says whether the trial is cut there."""
        for milestone in self.milestones:
            at_rung = self.recorded[milestone]
            if epoch < milestone or number in at_rung:
                continue
            peers = list(at_rung.values())
            at_rung[number] = score
            cutoff = float(np.percentile(peers, 100 * (1 - 1 / self.reduction_factor))) if peers else -math.inf
            return Cut(milestone, score, cutoff, len(peers)) if score < cutoff else None
        return None


class Asha(FIFOScheduler):
    """Ray scheduler: asynchronous successive halving whose memory can be rebuilt from the record.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; Ray's `ASHAScheduler`.
    It differs from Ray's in four ways: reports that are no numbers or come twice are passed over, a trial is ranked by
    its best epoch so far (`rank: best`), brackets are drawn from the study's seed, and each decision leaves its reason.
    """

    def __init__(self, study: Study, endings: Endings) -> None:
        super().__init__()
        if study.asha is None:
            raise ValueError("study.asha is None: use FIFOScheduler")
        self._metric: str = study.metric
        self._sign = 1.0 if study.direction == "max" else -1.0
        self._rank = study.asha.rank
        self._seed = study.seed
        self._endings = endings
        self._best: dict[int, float] = {}
        self._epoch: dict[int, int] = {}
        self.brackets = [
            Rungs.of(study.grace_period, study.max_t, study.asha.reduction_factor, bracket)
            for bracket in range(study.asha.brackets)
        ]

    def bracket_of(self, number: int) -> Rungs:
        """Returns the bracket of a trial, the same after every restart; Ray's odds: more rungs, likelier."""
        sizes = np.array([len(bracket.milestones) for bracket in self.brackets], dtype=float)
        odds = np.exp(sizes - sizes.max())
        chosen = np.random.default_rng((self._seed, number)).choice(len(self.brackets), p=odds / odds.sum())
        return self.brackets[int(chosen)]

    def judge(self, number: int, epoch: int, value: Any) -> Cut | None:
        """Takes one epoch report into account; the decision against the trial, if there is one."""
        if epoch <= self._epoch.get(number, 0):
            return None  # as the record does: judged twice, a report would fill a lower rung that it had skipped
        self._epoch[number] = epoch
        if not is_finite(value):
            return None
        score = self._sign * float(value)
        if self._rank == "best":
            score = self._best[number] = max(score, self._best.get(number, -math.inf))
        return self.bracket_of(number).judge(number, epoch, score)

    def rebuild(self, trials: Iterable[tuple[int, Sequence[Mapping[str, Any]]]]) -> None:
        """Fills the rungs from recorded epoch reports, trial by trial in the order they ran."""
        for number, rows in trials:
            for row in rows:
                self.judge(number, int(row["epoch"]), row.get(self._metric))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = int(trial.config["number"])
        cut = self.judge(number, int(result["epoch"]), result.get(self._metric))
        if cut is None:
            return str(TrialScheduler.CONTINUE)
        self._endings[number] = Ending(
            Verdict.PRUNED,
            f"rung at epoch {cut.milestone}: {self._metric} {abs(cut.score):.4f} was "
            f"{'below' if self._sign > 0 else 'above'} the cut-off {abs(cut.cutoff):.4f} of {cut.peers} trials",
        )
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Records the last report too, as Ray does, so that a full trial counts at every rung it reached."""
        if "epoch" in result:
            self.judge(int(trial.config["number"]), int(result["epoch"]), result.get(self._metric))


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

    def __init__(self, study: Study, endings: Endings) -> None:
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
