"""What a study will cost, before it starts: rungs, expected epochs, and how many trials a budget in epochs carries,
and with that the numbers that settings leave open.

Plain arithmetic on settings. It knows the rungs and nothing else: trials that fail, and those that the plateau rule
ends, cost less than is said here; a scheduler that is neither ASHA nor halving is taken to stop none.

Halving in batches costs what it costs. ASHA is played with made trials, each as good at every rung as at the others:
that is nearly so in recorded trainings, where studies of random points come out at 1.00 to 1.04 of it
(benchmarks/RESULTS.md, "Forecast and outcome"). A sampler that learns proposes better points than those before, and
more of them pass: `LEARNING`.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from functools import cache

import numpy as np

from yolotune.config.effort import default_trials, with_numbers
from yolotune.config.scheduling import AshaSettings, HalvingSettings
from yolotune.config.settings import Settings
from yolotune.config.space import countable
from yolotune.schedulers.asha import Rungs, bracket_odds, reduction_factor

#: How much better points get that a sampler proposes: the best of 1 + `LEARNING` random ones. Fitted to TPE over
#: recorded trainings (benchmarks/RESULTS.md, "Forecast and outcome").
LEARNING = 1.5
#: The sampler learns nothing from so many trials: Optuna's default, see `search.samplers.STARTUP_TRIALS`.
STARTUP = 10
#: Samplers that do not learn.
BLIND = ("random", "grid")
#: Studies that are played, and trials of each; later trials cost what the last ones cost.
STUDIES, PLAYED = 100, 200
#: More trials than any study will have.
MOST_TRIALS = 1_000_000


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


@dataclass(frozen=True)
class Rules:
    """The settings that decide what a study costs.

    Attributes:
        epochs: Of a trial that nothing stops.
        grace: Epochs before the first rung; None where no rung cuts.
        factor: At each rung the best 1/factor continue.
        brackets: Of ASHA.
        batch: Trials that halving compares with each other; None for ASHA.
        learns: Whether the sampler learns from the trials.
    """

    epochs: int
    grace: int | None = None
    factor: float = 2.0
    brackets: int = 1
    batch: int | None = None
    learns: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Returns those of a study whose scheduler's numbers were resolved."""
        epochs, numbers, learns = settings.epochs, settings.scheduler, settings.search not in BLIND
        if isinstance(numbers, HalvingSettings):
            grace, factor = numbers.grace_epochs(epochs), reduction_factor(numbers)
            return cls(epochs, grace, factor, batch=numbers.batch, learns=learns)
        if isinstance(numbers, AshaSettings):
            grace, factor = numbers.grace_epochs(epochs), reduction_factor(numbers)
            return cls(epochs, grace, factor, numbers.brackets, learns=learns)
        return cls(epochs, learns=learns)

    def rungs(self, bracket: int = 0) -> tuple[int, ...]:
        """Returns the epochs at which a bracket cuts, ascending: none at the last epoch, where a trial ends anyway."""
        if self.grace is None:
            return ()
        milestones = Rungs.of(self.grace, self.epochs, self.factor, bracket).milestones
        return tuple(sorted({epoch for epoch in milestones if epoch < self.epochs}))

    def forecast(self, trials: int) -> Forecast:
        """Returns what so many trials are expected to cost."""
        return _asha(self, trials) if self.batch is None else _halving(self, trials, self.batch)

    def trials_for(self, budget: int) -> int:
        """Returns the largest number of trials that are expected to cost no more epochs than that, at least 1."""
        low, high = 1, 2
        while high < MOST_TRIALS and self.forecast(high).expected <= budget:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.forecast(middle).expected <= budget else (low, middle)
        return low


def forecast(settings: Settings, trials: int | None = None) -> Forecast:
    """Returns what a study is expected to cost.

    Args:
        settings: Resolved, see `planning.resolve`.
        trials: 0 or more; the number the study is told if not given.
    """
    return Rules.of(settings).forecast(settings.trials if trials is None else trials)


def trials_for(settings: Settings, budget: int) -> int:
    """Returns the largest number of trials of a study that are expected to fit into a budget, at least 1.

    Args:
        settings: The numbers of the scheduler resolved.
        budget: Epochs.
    """
    return Rules.of(settings).trials_for(budget)


def _asha(rules: Rules, trials: int) -> Forecast:
    """Returns what trials are expected to cost under ASHA, or without rungs."""
    ladders = [rules.rungs(bracket) for bracket in range(rules.brackets)]
    shares = [trials * odds for odds in bracket_odds([len(rungs) for rungs in ladders])]
    expected, least, cut_first = 0.0, 0.0, 0.0
    for rungs, share in zip(ladders, shares, strict=True):
        levels = _levels(len(rungs), rules.factor, rules.learns)
        costs = np.array([*rungs, rules.epochs])[levels].mean(axis=0)
        cuts = (levels == 0).mean(axis=0) if rungs else np.zeros(PLAYED)
        expected += _until(costs, share)
        cut_first += _until(cuts, share)
        first = rungs[0] if rungs else rules.epochs
        least += share * first + min(share, 1.0) * (rules.epochs - first)
    rungs = tuple(sorted({rung for ladder in ladders for rung in ladder}))
    return Forecast(trials, rules.epochs, rungs, expected, round(least), cut_first)


@cache
def _levels(rungs: int, factor: float, learns: bool) -> np.ndarray:
    """Plays studies of ASHA by the rule of `asha.Rungs.judge`, faster.

    Args:
        rungs: How many there are.
        factor: At each rung the best 1/factor continue.
        learns: Whether the sampler learns.

    Returns:
        The place of the rung at which each trial is cut, `rungs` for one that passes all: (studies, trials) int.
    """
    goodness = np.random.default_rng(0).random((STUDIES, PLAYED))
    if learns:
        goodness[:, STARTUP:] **= 1 / (1 + LEARNING)
    levels = np.full((STUDIES, PLAYED), rungs)
    for study, trials in enumerate(goodness.tolist()):
        recorded: list[list[float]] = [[] for _ in range(rungs)]
        for number, score in enumerate(trials):
            for place, there in enumerate(recorded):
                passes = not there or score >= _percentile(there, 1 - 1 / factor)
                insort(there, score)
                if not passes:
                    levels[study, number] = place
                    break
    return levels


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


def _halving(rules: Rules, trials: int, batch: int) -> Forecast:
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


def resolve(settings: Settings) -> Settings:
    """Returns settings with all numbers that were left open; those that were resolved are returned equal.

    The effort chooses the scheduler's numbers. The number of trials is what a budget in epochs is expected to carry;
    without one, the effort chooses it too.
    """
    scheduler = with_numbers(settings.scheduler, settings.effort, settings.epochs)
    resolved = settings.model_copy(update={"scheduler": scheduler})
    if settings.num_samples is not None:
        return resolved
    budget = settings.cost_limit.epochs
    trials = default_trials(settings.effort) if budget is None else trials_for(resolved, budget)
    return resolved.model_copy(update={"num_samples": trials})


def planned_trials(settings: Settings) -> int:
    """Returns how many trials a study will have: no point is tried twice, and a space may have fewer than wanted."""
    size = countable(settings.domains)
    return settings.trials if size is None else min(settings.trials, size)
