"""What an effort buys, and how near the forecast of a study's epochs comes, over recorded trainings.

    python -m benchmarks.search.efforts benchmarks/tables/NAME.jsonl.gz [--seeds 100 --searched 20]

`forecast`: trials drawn from the table in random order (random search over real curves, exact), one slot, and TPE over
the surrogate of `surrogate.py`, two slots; beside each the epochs that `schedulers.forecast` says beforehand.
`efforts`: the same random draws under the rules and the number of trials of each effort and of alternatives to them: F1
of the best epoch of the study, and the level of its point (the mean F1 of the last epochs of its full training), which
one lucky epoch moves less. Draws come from one pool, so standard errors know nothing of another dataset.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.search.comparison import error, surrogate_study, table_study
from benchmarks.search.curves import Curve, level, read_table
from benchmarks.search.strategies import Strategy, asha, halving
from benchmarks.search.surrogate import Surrogate
from yolotune.config.effort import EFFORTS
from yolotune.config.layers import make_settings
from yolotune.config.settings import Settings
from yolotune.schedulers.forecast import forecast

#: Trials of a batch of halving.
BATCH = 9


def rules(grace: float, factor: float, *, batches: bool = False) -> Strategy:
    """Returns ASHA, or halving in batches, by its numbers; rungs compare signals, as by default."""
    if batches:
        return Strategy(
            f"halving in batches of {BATCH}, {grace:g}/{factor:g}", halving(grace, factor, "signals", BATCH)
        )
    return Strategy(f"ASHA, {grace:g}/{factor:g}", asha(grace, factor, "signals"))


NUMBERS = ((0.15, 2), (0.1, 2), (0.1, 3), (0.1, 4), (0.2, 2), (0.2, 3), (1, 3))
RULES = (*(rules(*numbers) for numbers in NUMBERS), rules(0.1, 3, batches=True))


def report_forecast(curves: Sequence[Curve], seeds: int, searched: int) -> None:
    """Prints expected and trained epochs: for random points of the table, and for TPE over its surrogate."""
    epochs = len(curves[0].rows)
    surrogate = Surrogate(curves, make_settings(data="none").domains)
    print("\n| points | rules | trials | forecast | trained, mean ± s.e. | 90 % of studies | trained / forecast |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for strategy in RULES:
        for trials in (20, 50, 100):
            run = table_study(curves, trials)
            spent = [run(strategy, seed, 1).epochs for seed in range(seeds)]
            settings = strategy.settings(epochs=epochs, num_samples=trials, search="random")
            print(forecast_row(f"random | {strategy.name}", settings, spent), flush=True)
    for strategy in (rules(0.15, 2), rules(0.1, 3), rules(0.1, 3, batches=True)):
        for trials in (20, 50):
            run = surrogate_study(surrogate, epochs, trials, "tpe")
            spent = [run(strategy, seed, 2).epochs for seed in range(searched)]
            settings = strategy.settings(epochs=epochs, num_samples=trials, search="tpe")
            print(forecast_row(f"tpe | {strategy.name}", settings, spent), flush=True)


def forecast_row(name: str, settings: Settings, epochs: Sequence[int]) -> str:
    """Returns a row of the table: what is forecast for a study, and what studies trained."""
    said, spent = forecast(settings).expected, np.array(epochs)
    low, high = np.quantile(spent, [0.05, 0.95])
    return (
        f"| {name} | {settings.trials} | {said:.0f} | {spent.mean():.0f} ± {error(spent):.0f} "
        f"| {low:.0f} to {high:.0f} | {spent.mean() / said:.2f} |"
    )


def report_efforts(curves: Sequence[Curve], seeds: int) -> None:
    """Prints what efforts and alternatives to them spend and deliver."""
    rows: list[tuple[str, Strategy, int]] = []
    for effort, numbers in EFFORTS.items():
        rows.append((effort, rules(numbers.grace_period, numbers.reduction_factor), numbers.trials))
    rows += [("", rules(0.1, factor), trials) for trials in (20, 50, 100) for factor in (2, 3)]
    rows += [("", rules(0.2, 2), trials) for trials in (50, 100)]
    rows += [("", rules(0.1, 3, batches=True), trials) for trials in (18, 54, 108)]
    print("\n| effort | rules | trials | epochs | delivered F1 | level of its point |")
    print("|---|---|---:|---:|---:|---:|")
    for name, strategy, trials in rows:
        run = table_study(curves, trials)
        found = [run(strategy, seed, 1) for seed in range(seeds)]
        spent = np.array([one.epochs for one in found])
        delivered, levels = np.array([one.delivered for one in found]), np.array([level(one.best) for one in found])
        print(
            f"| {name} | {strategy.name} | {trials} | {spent.mean():.0f} | {delivered.mean():.4f} ± "
            f"{error(delivered):.4f} | {levels.mean():.4f} ± {error(levels):.4f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=100, help="Studies with random points.")
    parser.add_argument("--searched", type=int, default=20, help="Studies with TPE.")
    options = parser.parse_args()
    curves = read_table(options.table)[1]
    print(f"{len(curves)} curves of {len(curves[0].rows)} epochs")
    report_efforts(curves, options.seeds)
    report_forecast(curves, options.seeds, options.searched)


if __name__ == "__main__":
    main()
