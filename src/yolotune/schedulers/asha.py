"""Asynchronous successive halving (ASHA): a trial is stopped where it is worse than most that were there before it.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; Ray's `ASHAScheduler`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from yolotune.config.scheduling import AshaSettings, RungSettings
from yolotune.config.settings import Settings
from yolotune.metrics import is_finite
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Verdict
from yolotune.schedulers import ranking
from yolotune.schedulers.base import CONTINUE, Decision, Report, stop
from yolotune.schedulers.ranking import Standing


@dataclass(frozen=True)
class Cut:
    """A rung's decision against a trial.

    Attributes:
        milestone: Epoch of the rung.
        score: What the trial had.
        cutoff: What it needed.
        peers: How many it was compared with.
        value: Its objective, higher is better; the score too, unless the rung compared signals.
        by_signals: Whether it did.
    """

    milestone: int
    score: float
    cutoff: float
    peers: int
    value: float
    by_signals: bool


@dataclass
class Rungs:
    """One bracket of ASHA: Ray's rule (`async_hyperband._Bracket`), on trial numbers.

    A trial is stopped at the first report at or beyond a milestone if its score is below the percentile
    `1 - 1/reduction_factor` of those recorded there before it.

    Attributes:
        milestones: Epochs, descending.
        reduction_factor: The best 1/factor continue.
        recorded: How trials stood, by milestone and trial number.
    """

    milestones: tuple[int, ...]
    reduction_factor: float
    recorded: dict[int, dict[int, Standing]] = field(default_factory=dict)

    @classmethod
    def of(cls, grace_period: int, max_t: int, reduction_factor: float, bracket: int = 0) -> Rungs:
        """Returns the rungs grace * factor^k up to `max_t`, those below `bracket` left out."""
        count = int(math.log(max_t / grace_period) / math.log(reduction_factor) - bracket + 1)
        exponents = [bracket + k for k in reversed(range(max(count, 0)))]
        milestones = tuple(math.ceil(grace_period * reduction_factor**k) for k in exponents)
        return cls(milestones, reduction_factor, {milestone: {} for milestone in milestones})

    def scores(self, milestone: int) -> dict[int, float]:
        """Returns the scores of all who stood at a rung, by trial number; higher is better."""
        return ranking.scores(self.recorded[milestone])

    def judge(self, number: int, epoch: int, standing: Standing) -> Cut | None:
        """Records a trial at the highest milestone it newly reaches, and says whether it is cut there."""
        for milestone in self.milestones:
            at_rung = self.recorded[milestone]
            if epoch < milestone or number in at_rung:
                continue
            at_rung[number] = standing
            peers = self.scores(milestone)
            score = peers.pop(number)
            if not peers:
                return None
            cutoff = float(np.percentile(list(peers.values()), 100 * (1 - 1 / self.reduction_factor)))
            if score >= cutoff:
                return None
            return Cut(milestone, score, cutoff, len(peers), standing[0], ranking.all_have_signals(at_rung))
        return None


def bracket_odds(sizes: Sequence[int]) -> list[float]:
    """Returns the share of trials that each bracket gets, from its number of rungs: Ray's, more rungs, likelier."""
    weights = np.exp(np.array(sizes, dtype=float) - max(sizes))
    return [float(odds) for odds in weights / weights.sum()]


def reduction_factor(numbers: RungSettings) -> float:
    """Returns the factor of settings that were resolved.

    Raises:
        ValueError: They were not.
    """
    if numbers.reduction_factor is None:
        raise ValueError("scheduler.reduction_factor is None: call yolotune.schedulers.resolve first")
    return numbers.reduction_factor


class Asha:
    """The scheduler: all brackets of a study.

    It differs from Ray's in three ways: reports that are no numbers or come twice are passed over, a trial is ranked by
    its best epoch so far (`rank: best`), or by that and its training losses (`rank: signals`; all who stood at the rung
    are then ranked anew with each that comes), and brackets are drawn from the study's seed.

    Attributes:
        brackets: Their rungs.
    """

    def __init__(self, settings: Settings) -> None:
        numbers = settings.scheduler
        if not isinstance(numbers, AshaSettings):
            raise ValueError(f"scheduler is {numbers.name}, not asha")
        self._metric: str = settings.metric
        self._sign = 1.0 if settings.direction == "max" else -1.0
        self._rank = numbers.rank
        self._seed = settings.seed
        self._best: dict[int, float] = {}
        self._epoch: dict[int, int] = {}
        grace, factor = numbers.grace_epochs(settings.epochs), reduction_factor(numbers)
        # one epoch beyond the last, so that a full trial ends by itself
        self.brackets = [Rungs.of(grace, settings.epochs + 1, factor, place) for place in range(numbers.brackets)]

    def bracket_of(self, number: int) -> Rungs:
        """Returns the bracket of a trial, the same after every restart."""
        if len(self.brackets) == 1:
            return self.brackets[0]
        odds = bracket_odds([len(bracket.milestones) for bracket in self.brackets])
        chosen = np.random.default_rng((self._seed, number)).choice(len(self.brackets), p=odds)
        return self.brackets[int(chosen)]

    def judge(self, report: Report) -> Decision:
        """Records a trial at the rung it reaches, and stops it if it is cut there."""
        cut = self._cut(report)
        return CONTINUE if cut is None else stop(Verdict.PRUNED, self._reason(cut))

    def end(self, number: int, verdict: Verdict) -> None:
        """A trial's reports count at the rungs it reached, however it ended."""

    def rebuild(self, trials: Sequence[TrialRecord]) -> None:
        """Fills the rungs from recorded reports, trial by trial."""
        for trial in trials:
            for row in trial.epochs:
                self._cut(Report(trial.number, trial.point, int(row["epoch"]), row))

    def _cut(self, report: Report) -> Cut | None:
        number, value = report.number, report.row.get(self._metric)
        if report.epoch <= self._epoch.get(number, 0):
            return None  # as the record does: judged twice, a report would fill a lower rung that it had skipped
        self._epoch[number] = report.epoch
        if not is_finite(value):
            return None
        score = self._sign * float(value)
        if self._rank != "current":
            score = self._best[number] = max(score, self._best.get(number, -math.inf))
        early = ranking.losses(report.row, report.point) if self._rank == "signals" else ()
        return self.bracket_of(number).judge(number, report.epoch, (score, *early))

    def _reason(self, cut: Cut) -> str:
        """Returns in words why a trial is cut."""
        peers = "1 trial" if cut.peers == 1 else f"{cut.peers} trials"
        what = f"rung at epoch {cut.milestone}: {self._metric} {self._sign * cut.value:.4f}"
        if cut.by_signals:
            what += f" and the training losses ranked it {cut.score:.2f} (0 worst, 1 best),"
            return f"{what} below the cut-off {cut.cutoff:.2f} of {peers}"
        side = "below" if self._sign > 0 else "above"
        return f"{what} was {side} the cut-off {self._sign * cut.cutoff:.4f} of {peers}"
