"""What a study will cost, before it starts: rungs, expected epochs, and how many trials an epochs budget carries.

Plain arithmetic on settings. It knows the rungs and nothing else: trials that fail, and those that the plateau rule
ends, cost less than is said here.

Halving in batches costs what it costs. ASHA is played with made trials, each as good at every rung as at the others:
that is nearly so in recorded trainings, where studies of random points come out at 1.00 to 1.04 of it
(benchmarks/RESULTS.md, "Forecast and outcome"). A searcher that learns proposes better points than those recorded
before, and more of them pass: `LEARNING`.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from yolotune.schedulers.asha import Rungs, bracket_odds

#: How much better points get that a searcher proposes: the best of 1 + `LEARNING` random ones. Fitted to TPE over
#: foretold trainings (benchmarks/RESULTS.md, "Forecast and outcome").
LEARNING = 1.5
#: The searcher learns nothing from so many trials: Optuna's default, see `samplers.STARTUP_TRIALS`.
STARTUP = 10
#: Studies that are played, and trials of each; later trials cost what the last ones cost.
STUDIES, PLAYED = 100, 200
#: More trials than any study will have.
MOST_TRIALS = 1_000_000


@dataclass(frozen=True)
class Rules:
    """The settings that decide what a study costs.

    Attributes:
        epochs: Of a trial that nothing stops.
        grace: Epochs before the first rung; None where no rung cuts.
        factor: At each rung the best 1/factor go on.
        brackets: Of ASHA.
        batch: Trials that halving compares with each other; None for ASHA.
        learns: Whether the searcher learns from the trials.
    """

    epochs: int
    grace: int | None = None
    factor: float = 2.0
    brackets: int = 1
    batch: int | None = None
    learns: bool = False

    def rungs(self, bracket: int = 0) -> tuple[int, ...]:
        """Returns the epochs at which a bracket cuts, ascending: none at the last epoch, where a trial ends anyway."""
        if self.grace is None:
            return ()
        end = self.epochs + (self.batch is None)  # as `schedule.Asha` and `halving.SuccessiveHalving` have it
        milestones = Rungs.of(self.grace, end, self.factor, bracket).milestones
        return tuple(sorted({epoch for epoch in milestones if epoch < self.epochs}))


@dataclass(frozen=True)
class Forecast:
    """What a study is expected to cost, all numbers for the whole study.

    Attributes:
        trials: How many.
        epochs: Of a trial that nothing stops.
        rungs: Epochs at which trials are compared, ascending, of all brackets.
        expected: Epochs.
        least: Epochs, if all that can be cut are cut at their first rung: the first comer of a bracket cannot.
        cut_first: Trials expected to be cut at their first rung.
    """

    trials: int
    epochs: int
    rungs: tuple[int, ...]
    expected: float
    least: int
    cut_first: float

    @property
    def exact(self) -> bool:
        """Whether the cost is known, as long as no trial fails."""
        return self.expected == self.least

    @property
    def most(self) -> int:
        """Epochs of all trials in full."""
        return self.trials * self.epochs


def forecast(rules: Rules, trials: int) -> Forecast:
    """Returns what so many trials are expected to cost.

    Args:
        rules: The settings.
        trials: 0 or more.
    """
    if rules.batch is not None:
        return _halved(rules, trials, rules.batch)
    ladders = [rules.rungs(bracket) for bracket in range(rules.brackets)]
    shares = [trials * odds for odds in bracket_odds([len(rungs) for rungs in ladders])]
    expected, least, cut_first = 0.0, 0.0, 0.0
    for rungs, share in zip(ladders, shares, strict=True):
        costs, cuts = played(rungs, rules.epochs, rules.factor, rules.learns)
        expected += _until(costs, share)
        cut_first += _until(cuts, share)
        first = rungs[0] if rungs else rules.epochs
        least += share * first + min(share, 1.0) * (rules.epochs - first)
    rungs = tuple(sorted({rung for ladder in ladders for rung in ladder}))
    return Forecast(trials, rules.epochs, rungs, expected, round(least), cut_first)


@cache
def played(rungs: tuple[int, ...], epochs: int, factor: float, learns: bool) -> tuple[np.ndarray, np.ndarray]:
    """Plays studies of ASHA by the rule of `rungs.Rungs.judge`, faster.

    Args:
        rungs: Epochs at which it cuts, ascending.
        epochs: Of a trial that nothing stops.
        factor: At each rung the best 1/factor go on.
        learns: Whether the searcher learns.

    Returns:
        The mean epochs of each trial, and how likely it is cut at its first rung: two arrays by number.
    """
    goodness = np.random.default_rng(0).random((STUDIES, PLAYED))
    if learns:
        goodness[:, STARTUP:] **= 1 / (1 + LEARNING)
    costs, cuts = np.full((2, STUDIES, PLAYED), (np.array([epochs, 0]))[:, None, None], dtype=float)
    for study, trials in enumerate(goodness.tolist()):
        recorded: list[list[float]] = [[] for _ in rungs]
        for number, score in enumerate(trials):
            for place, (rung, there) in enumerate(zip(rungs, recorded, strict=True)):
                passes = not there or score >= _percentile(there, 1 - 1 / factor)
                insort(there, score)
                if not passes:
                    costs[study, number], cuts[study, number] = rung, place == 0
                    break
    return costs.mean(axis=0), cuts.mean(axis=0)


def _percentile(ascending: list[float], share: float) -> float:
    """Returns what `numpy.percentile` does, of numbers that are in order."""
    place = share * (len(ascending) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (place - below)


def _until(means: np.ndarray, count: float) -> float:
    """Returns the sum over the first trials; of a mean number of them, so it need not be whole."""
    whole = min(math.floor(count), len(means))
    later = float(means[whole]) if whole < len(means) else float(means[-50:].mean())
    return float(means[:whole].sum()) + later * (count - whole)


def _halved(rules: Rules, trials: int, batch: int) -> Forecast:
    """Returns what trials cost that are halved in batches: known beforehand, as long as none of them fails."""
    rungs = rules.rungs()
    expected = cut_first = 0
    for size in (batch, trials % batch):
        count = trials // batch if size == batch else 1
        there, before = size, 0
        for rung in rungs:
            expected += count * there * (rung - before)
            kept = min(there, max(1, int(there / rules.factor)))
            cut_first += count * (there - kept) if not before else 0
            there, before = kept, rung
        expected += count * there * (rules.epochs - before)
    return Forecast(trials, rules.epochs, rungs, expected, expected, cut_first)


def trials_for(budget: int, cost: Callable[[int], float]) -> int:
    """Returns the largest number of trials that are expected to cost no more than a budget, at least 1.

    Args:
        budget: Epochs.
        cost: The epochs expected of a number of trials; it grows with it.
    """
    low, high = 1, 2
    while high < MOST_TRIALS and cost(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= budget else (low, middle)
    return low
