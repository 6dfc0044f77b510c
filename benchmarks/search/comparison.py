"""Strategies on the same seeds: what each spends, and what it loses against training everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.search.curves import Curve, level, lookup
from benchmarks.search.simulation import GivenPoints, Outcome, SimulatedStudy, simulate
from benchmarks.search.strategies import RUN_ALL, Strategy
from benchmarks.search.surrogate import Surrogate
from yolotune.config.points import default_point
from yolotune.search.optimizer import Optimizer

#: Runs a strategy with a seed in a number of slots.
Study = Callable[[Strategy, int, int], Outcome]


def table_study(pool: Sequence[Curve], trials: int) -> Study:
    """Returns studies whose trials are drawn from a pool of recorded curves."""
    source, epochs = lookup(pool), len(pool[0].rows)

    def run(strategy: Strategy, seed: int, slots: int) -> Outcome:
        settings = strategy.settings(epochs=epochs, num_samples=trials, seed=seed)
        order = np.random.default_rng(seed).permutation(len(pool))
        drawn = [pool[place].point for place in order[: settings.trials]]
        return simulate(SimulatedStudy(settings, GivenPoints(drawn), source), slots)

    return run


def surrogate_study(surrogate: Surrogate, epochs: int, trials: int, search: str) -> Study:
    """Returns studies in which the product's own search proposes points, the defaults first."""

    def run(strategy: Strategy, seed: int, slots: int) -> Outcome:
        settings = strategy.settings(epochs=epochs, num_samples=trials, seed=seed, search=search)
        optimizer = Optimizer(settings, [default_point(settings.domains, 1)[0]])
        return simulate(SimulatedStudy(settings, optimizer, surrogate.source(seed)), slots)

    return run


@dataclass(frozen=True)
class Figures:
    """A strategy over all seeds, paired with training everything: arrays by seed."""

    ratio: np.ndarray
    loss: np.ndarray
    lower: np.ndarray
    outcomes: list[Outcome]

    def row(self) -> str:
        """Returns the cells under `HEAD`."""
        low, high = np.quantile(self.ratio, [0.05, 0.95])
        epochs, lost = np.mean([outcome.epochs for outcome in self.outcomes]), np.mean(self.loss > 0.01)
        return (
            f"{epochs:.0f} | {self.ratio.mean():.2f} ± {error(self.ratio):.2f} | {low:.1f} to {high:.1f} "
            f"| {self.loss.mean():+.4f} ± {error(self.loss):.4f} | {np.max(self.loss):.3f} | {lost:.0%} "
            f"| {self.lower.mean():+.4f} ± {error(self.lower):.4f}"
        )

    @property
    def seconds(self) -> float:
        """Mean length of a study."""
        return float(np.mean([outcome.seconds for outcome in self.outcomes]))


HEAD = "epochs | ratio, mean ± s.e. | 90 % of studies | loss in F1, mean ± s.e. | worst | above 0.01 | loss in level"
CELLS = 7


def error(values: np.ndarray) -> float:
    """Returns the standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def compare(run: Study, strategies: Sequence[Strategy], seeds: int, slots: int) -> dict[str, Figures]:
    """Runs strategies on the same seeds and sets each against training everything."""
    full = [run(RUN_ALL, seed, slots) for seed in range(seeds)]
    found = {}
    for strategy in strategies:
        outcomes = full if strategy is RUN_ALL else [run(strategy, seed, slots) for seed in range(seeds)]
        pairs = list(zip(full, outcomes, strict=True))
        ratio = np.array([whole.epochs / spent.epochs for whole, spent in pairs])
        loss = np.array([whole.delivered - spent.delivered for whole, spent in pairs])
        lower = np.array([level(whole.best) - level(spent.best) for whole, spent in pairs])
        found[strategy.name] = Figures(ratio, loss, lower, outcomes)
    return found
