"""What an effort buys, and how near the forecast of a study's epochs comes, over recorded trainings.

    python benchmarks/efforts.py benchmarks/tables/NAME.jsonl.gz [--seeds 100 --searched 20]

`forecast`: trials drawn from the table in random order (random search over real curves, exact), one slot, and TPE over
the surrogate of `surrogate.py`, two slots; beside each the epochs that `Study.forecast` says beforehand.
`efforts`: the same random draws under the rules and the number of trials of each effort and of alternatives to them: F1
of the best epoch of the study, and the level of its point (the mean F1 of the last epochs of its full training), which
one lucky epoch moves less. Draws come from one pool, so standard errors know nothing of another dataset.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curves import Curve, level, read_table
from replay import Outcome, error, surrogate_study, table_study
from strategies import Strategy
from surrogate import Surrogate
from yolotune.config.effort import CHOICES, rung_numbers
from yolotune.config.settings import Settings


def rules(grace: float, factor: float, batch: int | None = None) -> Strategy:
    """Returns a strategy by its numbers."""
    name = "ASHA" if batch is None else f"halving in batches of {batch}"
    return Strategy(f"{name}, {grace:g}/{factor:g}", {"grace_period": grace, "reduction_factor": factor}, batch=batch)


NUMBERS = ((0.15, 2), (0.1, 2), (0.1, 3), (0.1, 4), (0.2, 2), (0.2, 3), (1, 3))
RULES = (*(rules(*numbers) for numbers in NUMBERS), rules(0.1, 3, 9))


def report_forecast(curves: Sequence[Curve], seeds: int, searched: int) -> None:
    """Prints expected and trained epochs."""
    epochs = len(curves[0].rows)
    print("\n| points | rules | trials | forecast | trained, mean ± s.e. | 90 % of studies | trained / forecast |")
    print("|---|---|---:|---:|---:|---:|---:|")
    surrogate = Surrogate(curves, Settings(data="none").domains)
    for search, count, tried, slots in (("random", seeds, (20, 50, 100), 1), ("tpe", searched, (20, 50), 2)):
        for strategy in RULES if search == "random" else (rules(0.15, 2), rules(0.1, 3), rules(0.1, 3, 9)):
            for trials in tried:
                run = table_study(curves, trials) if search == "random" else None
                run = run or surrogate_study(surrogate, epochs, trials, search)
                spent = np.array([run(strategy, seed, slots).epochs for seed in range(count)])
                said = strategy.study(epochs=epochs, num_samples=trials, search=search).forecast().expected
                low, high = np.quantile(spent, [0.05, 0.95])
                print(
                    f"| {search} | {strategy.name} | {trials} | {said:.0f} | {spent.mean():.0f} ± {error(spent):.0f} "
                    f"| {low:.0f} to {high:.0f} | {spent.mean() / said:.2f} |",
                    flush=True,
                )


def report_efforts(curves: Sequence[Curve], seeds: int) -> None:
    """Prints what efforts and alternatives to them spend and deliver."""
    epochs = len(curves[0].rows)
    rows: list[tuple[str, Strategy, int]] = []
    for effort, choice in CHOICES.items():
        numbers = rung_numbers(effort, choice.scheduler, epochs)
        batch = 9 if choice.scheduler == "halving" else None
        rows.append((effort, rules(numbers["grace_period"], numbers["reduction_factor"], batch), choice.trials))
    rows += [("", rules(0.1, factor), trials) for trials in (20, 50, 100) for factor in (2, 3)]
    rows += [("", rules(0.2, 2), trials) for trials in (50, 100)]
    rows += [("", rules(0.1, 3, 9), trials) for trials in (18, 54, 108)]
    print("\n| effort | rules | trials | epochs | delivered F1 | level of its point |")
    print("|---|---|---:|---:|---:|---:|")
    for name, strategy, trials in rows:
        found: list[Outcome] = [table_study(curves, trials)(strategy, seed, 1) for seed in range(seeds)]
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
