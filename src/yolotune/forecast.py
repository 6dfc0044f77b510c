"""What a study will cost, before it starts: rungs, expected epochs, and how many trials an epochs budget carries.

Plain arithmetic on settings. It knows the rungs and nothing else: trials that fail, and those that the plateau rule
ends, cost less than is said here.

Halving in batches costs what it costs. For ASHA trials are taken as exchangeable, with scores drawn anew at each rung.
A rung lets its first comer pass; the next one, with n scores recorded, passes where it is above their percentile
`q = 1 - 1/factor`, which for uniform scores has the probability `(n - q (n - 1)) / (n + 1)`: a half for factor 2,
whatever n. A searcher that learns proposes better points than those recorded before, and more of them pass: `LEARNING`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from yolotune.rungs import Rungs, bracket_odds

#: So many more trials pass a rung than chance lets pass, as a share, once the searcher has learned: fitted to TPE on
#: recorded curves (benchmarks/RESULTS.md, "Forecast and outcome").
LEARNING = 0.2
#: The searcher learns nothing from so many trials: Optuna's default, see `search.STARTUP_TRIALS`.
STARTUP = 10
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
    learned = LEARNING * max(0.0, 1 - STARTUP / trials) if rules.learns and trials else 0.0
    expected, least, cut_first = 0.0, 0.0, 0.0
    for rungs, share in zip(ladders, shares, strict=True):
        arrived, before = share, 0
        for place, rung in enumerate(rungs):
            expected += arrived * (rung - before)
            going_on = passed(arrived, rules.factor, learned)
            cut_first += arrived - going_on if place == 0 else 0.0
            arrived, before = going_on, rung
        expected += arrived * (rules.epochs - before)
        first = rungs[0] if rungs else rules.epochs
        least += share * first + min(share, 1.0) * (rules.epochs - first)
    rungs = tuple(sorted({rung for ladder in ladders for rung in ladder}))
    return Forecast(trials, rules.epochs, rungs, expected, round(least), cut_first)


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


def passed(arrived: float, factor: float, learned: float = 0.0) -> float:
    """Returns how many of those that arrive at a rung are expected to go on.

    The sum of the probabilities in the head of this page over the arrivals, the first of which always passes.

    Args:
        arrived: 0 or more; a mean, so it need not be whole.
        factor: The best 1/factor go on.
        learned: How many more than chance lets pass, as a share.
    """
    if arrived <= 1:
        return arrived
    q = 1 - 1 / factor
    by_chance = (1 - q) * (arrived + 1) + (2 * q - 1) * _harmonic(arrived)
    return min(arrived, by_chance * (1 + learned))


def _harmonic(number: float) -> float:
    """Returns 1 + 1/2 + … + 1/number, for a number of 1 or more between whole ones too."""
    return math.log(number) + 0.5772156649 + 1 / (2 * number) - 1 / (12 * number**2) + 1 / (120 * number**4)


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
