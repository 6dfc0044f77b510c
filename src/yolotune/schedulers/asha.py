"""ASHA's rules without Ray: rungs as plain arithmetic, rebuilt at any time from recorded epochs.

`schedule.Asha` carries them into Ray Tune; the report rebuilds them to show who met whom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from yolotune.metrics import is_finite
from yolotune.schedulers import ranking as signals
from yolotune.schedulers.ranking import Standing

if TYPE_CHECKING:
    from yolotune.config.settings import Settings
    from yolotune.config.space import Point


@dataclass(frozen=True)
class Cut:
    """A rung's decision against a trial: the score it had, the score it needed, and among how many.

    `value` is its objective, and the score too unless the rung compared `signals`.
    """

    milestone: int
    score: float
    cutoff: float
    peers: int
    value: float
    by_signals: bool


@dataclass
class Rungs:
    """One bracket of asynchronous successive halving: Ray's rule (`async_hyperband._Bracket`), on trial numbers.

    A trial is stopped at the first report at or beyond a milestone if its score is below the percentile
    `1 - 1/reduction_factor` of those recorded there before it. Being plain data, rungs can be rebuilt from the record.

    Attributes:
        milestones: Epochs, descending.
        reduction_factor: The best 1/factor go on.
        recorded: How trials stood, by milestone and trial number; higher is better.
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
        return signals.scores(self.recorded[milestone])

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
            return Cut(milestone, score, cutoff, len(peers), standing[0], signals.all_have(at_rung))
        return None


def bracket_odds(sizes: Sequence[int]) -> list[float]:
    """Returns the share of trials that each bracket gets, from its number of rungs."""
    weights = np.exp(np.array(sizes, dtype=float) - max(sizes))
    return [float(odds) for odds in weights / weights.sum()]


class Halving:
    """Asynchronous successive halving over all brackets of a study, whose memory can be rebuilt from the record.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; Ray's `ASHAScheduler`.
    It differs from Ray's in three ways: reports that are no numbers or come twice are passed over, a trial is ranked by
    its best epoch so far (`rank: best`), or by that and its training losses (`rank: signals`; all who stood at the rung
    are then ranked anew with each that comes), and brackets are drawn from the study's seed.
    """

    def __init__(self, study: Settings) -> None:
        if study.asha is None:
            raise ValueError("study.asha is None: there are no rungs")
        self._metric: str = study.metric
        self._sign = 1.0 if study.direction == "max" else -1.0
        self._rank = study.asha.rank
        self._seed = study.seed
        self._best: dict[int, float] = {}
        self._epoch: dict[int, int] = {}
        self.brackets = [
            Rungs.of(study.grace_period, study.max_t, study.asha.reduction_factor, bracket)
            for bracket in range(study.asha.brackets)
        ]

    def bracket_of(self, number: int) -> Rungs:
        """Returns the bracket of a trial, the same after every restart; Ray's odds: more rungs, likelier."""
        odds = bracket_odds([len(bracket.milestones) for bracket in self.brackets])
        chosen = np.random.default_rng((self._seed, number)).choice(len(self.brackets), p=odds)
        return self.brackets[int(chosen)]

    def judge(self, number: int, epoch: int, value: Any, early: Standing = ()) -> Cut | None:
        """Takes one epoch report into account; the decision against the trial, if there is one.

        Args:
            number: Of the trial.
            epoch: From 1.
            value: The objective.
            early: The report's other signals, `signals.losses`; they count with `rank: signals`.
        """
        if epoch <= self._epoch.get(number, 0):
            return None  # as the record does: judged twice, a report would fill a lower rung that it had skipped
        self._epoch[number] = epoch
        if not is_finite(value):
            return None
        score = self._sign * float(value)
        if self._rank != "current":
            score = self._best[number] = max(score, self._best.get(number, -math.inf))
        standing = (score, *early) if self._rank == "signals" else (score,)
        return self.bracket_of(number).judge(number, epoch, standing)

    def reason(self, cut: Cut) -> str:
        """Returns in words why a trial is cut."""
        what = f"rung at epoch {cut.milestone}: {self._metric} {abs(cut.value):.4f}"
        if cut.by_signals:
            what += f" and the training losses ranked it {cut.score:.2f} (0 worst, 1 best),"
            return f"{what} below the cut-off {cut.cutoff:.2f} of {cut.peers} trials"
        side = "below" if self._sign > 0 else "above"
        return f"{what} was {side} the cut-off {abs(cut.cutoff):.4f} of {cut.peers} trials"

    def rebuild(self, trials: Iterable[tuple[int, Point, Sequence[Mapping[str, Any]]]]) -> None:
        """Fills the rungs from points and recorded epoch reports, trial by trial in the order they ran."""
        for number, point, rows in trials:
            for row in rows:
                self.judge(number, int(row["epoch"]), row.get(self._metric), signals.losses(row, point))
