"""Search strategies over recorded trainings: what they spend, and what they lose against training everything.

    python benchmarks/replay.py table benchmarks/tables/NAME.jsonl.gz [--seeds 100 --trials 50 --slots 1 2 8 --drop 1 2]
    python benchmarks/replay.py surrogate benchmarks/tables/NAME.jsonl.gz [--seeds 20 --trials 50 --slots 2]

The product's own searcher, ASHA and plateau stopper are called as Ray Tune calls them, over curves as if they trained,
on a simulated clock of recorded seconds per epoch; starting, ending, pausing and resuming a trial cost nothing.

`table`: each seed draws its trials from a table without replacement, in random order: random search over real curves,
exact. The points are split in two by a hash; strategies are chosen on one half and reported on the other.
`surrogate`: for searchers that propose freely. Curves come from `surrogate.Surrogate`, whose held-out error is printed.

Spent is epochs trained. Delivered is the F1 of the best epoch trained in a study, the F1 of its `best.pt`. Loss is what
training everything delivers, same seed, minus that; the loss in level compares the points instead: the mean F1 of the
last epochs of their full trainings, in which one lucky epoch counts less. Standard errors are over seeds, that is over
draws and orders from one pool; they say nothing of another dataset, and where one point is far ahead of the others, the
loss says little more than whether that point survives: `--drop` repeats all with the best points left out.
"""

from __future__ import annotations

import argparse
import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curves import Curve, halves, late_noise, level, lookup, read_table
from policies import Given, Policy
from strategies import RUN_ALL, STRATEGIES, Strategy
from surrogate import Surrogate, held_out
from yolotune.config.points import default_point
from yolotune.schedulers.plateau import Endings
from yolotune.search.optimizer import OptunaSearcher

#: Mean loss in F1 that is accepted.
ALLOWED = 0.005


@dataclass(frozen=True)
class Outcome:
    """What one study came to: epochs trained, its time in seconds, the F1 it delivers, and the point that has it."""

    epochs: int
    seconds: float
    delivered: float
    best: Curve


#: Told of each epoch: epochs of the study so far, the curve and its epoch. Whether the study goes on.
Watch = Callable[[int, Curve, int], bool]


def simulate(policy: Policy, slots: int, watch: Watch = lambda spent, curve, epoch: True) -> Outcome:
    """Runs a study on a simulated clock.

    Args:
        policy: What trains when.
        slots: Trainings at the same time.
        watch: Sees every epoch.
    """
    now, asked, spent, free = 0.0, 0, 0, slots
    running: list[tuple[float, int, int]] = []  # when an epoch ends, in which order it began, the trial

    def train_an_epoch(number: int) -> None:
        nonlocal asked
        training = policy.trainings[number]
        heapq.heappush(running, (now + training.curve.rows[training.epoch]["seconds"], asked, number))
        asked += 1

    while True:
        while free and (begun := policy.next()) is not None:
            free -= 1
            train_an_epoch(begun.number)
        if not running:
            break
        now, _, number = heapq.heappop(running)
        training = policy.trainings[number]
        training.epoch += 1
        spent += 1
        if not watch(spent, training.curve, training.epoch):
            break
        if policy.goes_on(training):
            train_an_epoch(number)
        else:
            free += 1
    best = max(policy.trainings, key=lambda training: training.best)
    return Outcome(sum(training.epoch for training in policy.trainings), now, best.best, best.curve)


#: Runs a strategy with a seed in a number of slots.
Study = Callable[[Strategy, int, int], Outcome]


def table_study(pool: Sequence[Curve], trials: int) -> Study:
    """Returns studies whose trials are drawn from a pool of recorded curves."""
    source, epochs = lookup(pool), len(pool[0].rows)

    def run(strategy: Strategy, seed: int, slots: int) -> Outcome:
        drawn = [pool[place].point for place in np.random.default_rng(seed).permutation(len(pool))[:trials]]
        study = strategy.study(epochs=epochs, num_samples=trials, seed=seed)
        return simulate(strategy.policy(study, Given(drawn), Endings(), source), slots)

    return run


def surrogate_study(surrogate: Surrogate, epochs: int, trials: int, search: str) -> Study:
    """Returns studies in which the product's searcher proposes points, the defaults first."""

    def run(strategy: Strategy, seed: int, slots: int) -> Outcome:
        study = strategy.study(epochs=epochs, num_samples=trials, seed=seed, search=search)
        endings = Endings()
        searcher = OptunaSearcher(study, [default_point(study.domains, 1)[0]], endings)
        return simulate(strategy.policy(study, searcher, endings, surrogate.source(seed)), slots)

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


def chosen(figures: dict[str, Figures]) -> str:
    """Returns the strategy that saves most among those that lose no more than `ALLOWED` on average."""
    kept = {name: found for name, found in figures.items() if found.loss.mean() <= ALLOWED}
    return max(kept, key=lambda name: kept[name].ratio.mean())


def report_table(curves: Sequence[Curve], options: argparse.Namespace) -> None:
    """Prints the tables of the mode `table`: both halves, and what more slots change."""
    pools = halves(curves)
    print(
        f"{len(curves)} curves of {len(curves[0].rows)} epochs; {len(pools[0])} to choose on, {len(pools[1])} to report"
    )
    print(f"noise of one late epoch {late_noise(curves):.3f}")
    sides = []
    for pool, title in zip(pools, ("chosen on", "reported on"), strict=True):
        trials = min(options.trials, len(pool))
        run = table_study(pool, trials)
        sides.append({slots: compare(run, STRATEGIES, options.seeds, slots) for slots in options.slots})
        best = sorted((curve.best for curve in pool), reverse=True)[:4]
        print(
            f"\n**Half {title}**: {len(pool)} points, {trials} drawn, {options.seeds} seeds, {options.slots[0]} slot;"
        )
        print(f"best F1 {', '.join(f'{value:.3f}' for value in best)}\n\n| strategy | {HEAD} |\n|---|{'---:|' * CELLS}")
        for name, found in sides[-1][options.slots[0]].items():
            print(f"| {name} | {found.row()} |", flush=True)
    print("\n**By slots**, half reported on: ratio of epochs, loss, seconds of a study\n")
    print("| strategy |" + "".join(f" ratio, {s} | loss, {s} | s, {s} |" for s in options.slots))
    print("|---|" + "---:|" * 3 * len(options.slots))
    for strategy in STRATEGIES:
        cells = (sides[1][slots][strategy.name] for slots in options.slots)
        told = (f" {c.ratio.mean():.2f} | {c.loss.mean():+.4f} | {c.seconds:.0f} |" for c in cells)
        print(f"| {strategy.name} |" + "".join(told))
    for one, other, what in ((0, 1, "first"), (1, 0, "second (roles exchanged)")):
        name = chosen(sides[one][options.slots[0]])
        there = sides[other][options.slots[0]][name]
        print(
            f"\nChosen on the {what} half: {name}. On the half that it was not chosen on: {there.ratio.mean():.2f}x, ",
            end="",
        )
        print(f"loss {there.loss.mean():+.4f} ± {error(there.loss):.4f}.")

    if options.drop:
        report_dropped(pools, options)


def report_dropped(pools: Sequence[Sequence[Curve]], options: argparse.Namespace) -> None:
    """Prints ratio and loss, the mean of both halves, with the best points of each half left out."""
    print(
        "\n**Without the best k points of each half**, mean of both halves, 1 slot: ratio, loss in F1, loss in level\n"
    )
    print("| strategy |" + "".join(f" k = {k} |" for k in options.drop) + "\n|---|" + "---|" * len(options.drop))
    cells: dict[str, list[str]] = {strategy.name: [] for strategy in STRATEGIES}
    for k in options.drop:
        found = []
        for pool in pools:
            left = sorted(pool, key=lambda curve: curve.best)[: len(pool) - k]
            run = table_study(left, min(options.trials, len(left)))
            found.append(compare(run, STRATEGIES, options.seeds, 1))
        for name in cells:
            ratio, loss, lower = (
                np.mean([getattr(f[name], what) for f in found]) for what in ("ratio", "loss", "lower")
            )
            cells[name].append(f"{ratio:.1f}x {loss:+.3f} {lower:+.3f}")
    for name, told in cells.items():
        print(f"| {name} | {' | '.join(told)} |")


def report_surrogate(curves: Sequence[Curve], options: argparse.Namespace) -> None:
    """Prints the table of the mode `surrogate`."""
    space = RUN_ALL.study().domains
    epochs = len(curves[0].rows)
    surrogate = Surrogate(curves, space)
    fit, rank, top = held_out(curves, space)
    print(
        f"Surrogate of {len(curves)} curves, 10-fold: R² {fit:.2f}, rank correlation {rank:.2f}, {top:.2f} within the"
    )
    print(f"better half. Weights: {', '.join(f'{name} {weight:.2f}' for name, weight in surrogate.heaviest)}.\n")
    strategies = [strategy for strategy in STRATEGIES if strategy.name in options.strategies or not options.strategies]
    for slots in options.slots:
        print(f"{options.trials} trials, {options.seeds} seeds, {slots} slots\n")
        print(f"| searcher | strategy | delivered F1 | without noise | {HEAD} |\n|---|---|{'---:|' * (CELLS + 2)}")
        for search in ("random", "tpe"):
            run = surrogate_study(surrogate, epochs, options.trials, search)
            for name, found in compare(run, strategies, options.seeds, slots).items():
                delivered = np.mean([outcome.delivered for outcome in found.outcomes])
                quiet = np.mean([surrogate.level(outcome.best.point) for outcome in found.outcomes])
                print(f"| {search} | {name} | {delivered:.3f} | {quiet:.3f} | {found.row()} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("table", "surrogate"))
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--drop", type=int, nargs="*", default=[], help="table: repeat without the best k points")
    parser.add_argument("--strategies", nargs="*", default=[], help="surrogate: names; all if not given")
    options = parser.parse_args()
    began = time.monotonic()
    _, curves = read_table(options.table)
    (report_table if options.mode == "table" else report_surrogate)(curves, options)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
