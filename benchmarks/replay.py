"""Search strategies over recorded trainings: what they spend, and what they lose against training everything.

    python benchmarks/replay.py table benchmarks/tables/NAME.jsonl.gz [--seeds 100 --trials 50 --slots 1 2 8 --drop 1 2]
    python benchmarks/replay.py surrogate benchmarks/tables/NAME.jsonl.gz [--seeds 20 --trials 50 --slots 2]

The product's own search, schedulers and plateau rule run over curves as if they trained, on a simulated clock of
recorded seconds per epoch (`search/simulation.py`).

`table`: each seed draws its trials from a table without replacement, in random order: random search over real curves,
exact. The points are split in two by a hash; strategies are chosen on one half and reported on the other.
`surrogate`: for searches that propose freely. Curves come from `search/surrogate.py`, whose held-out error is printed.

Spent is epochs trained. Delivered is the F1 of the best epoch trained in a study, the F1 of its `best.pt`. Loss is what
training everything delivers, same seed, minus that; the loss in level compares the points instead: the mean F1 of the
last epochs of their full trainings, in which one lucky epoch counts less. Standard errors are over seeds, that is over
draws and orders from one pool; they say nothing of another dataset, and where one point is far ahead of the others, the
loss says little more than whether that point survives: `--drop` repeats all with the best points left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this script is called by its path, from anywhere

from benchmarks.search.comparison import CELLS, HEAD, Figures, compare, error, surrogate_study, table_study
from benchmarks.search.curves import Curve, halves, late_noise, read_table
from benchmarks.search.strategies import RUN_ALL, STRATEGIES
from benchmarks.search.surrogate import Surrogate, held_out

#: Mean loss in F1 that is accepted.
ALLOWED = 0.005


def chosen(figures: dict[str, Figures]) -> str:
    """Returns the strategy that saves most among those that lose no more than `ALLOWED` on average."""
    kept = {name: found for name, found in figures.items() if found.loss.mean() <= ALLOWED}
    return max(kept, key=lambda name: kept[name].ratio.mean())


#: Figures by number of slots, then by name of strategy.
BySlots = dict[int, dict[str, Figures]]


def report_table(curves: Sequence[Curve], options: argparse.Namespace) -> None:
    """Prints the tables of the mode `table`: both halves, what more slots change, and what the choice is worth."""
    pools = halves(curves)
    print(
        f"{len(curves)} curves of {len(curves[0].rows)} epochs; {len(pools[0])} to choose on, {len(pools[1])} to report"
    )
    print(f"noise of one late epoch {late_noise(curves):.3f}")
    sides = [report_half(pool, title, options) for pool, title in zip(pools, ("chosen on", "reported on"), strict=True)]
    report_slots(sides[1], options.slots)
    first = options.slots[0]
    for one, other, what in ((0, 1, "first"), (1, 0, "second (roles exchanged)")):
        name = chosen(sides[one][first])
        there = sides[other][first][name]
        print(
            f"\nChosen on the {what} half: {name}. On the half that it was not chosen on: {there.ratio.mean():.2f}x, "
            f"loss {there.loss.mean():+.4f} ± {error(there.loss):.4f}."
        )
    if options.drop:
        report_dropped(pools, options)


def report_half(pool: Sequence[Curve], title: str, options: argparse.Namespace) -> BySlots:
    """Runs all strategies on a half of the table, prints them with the first number of slots, and returns all."""
    trials = min(options.trials, len(pool))
    run = table_study(pool, trials)
    found = {slots: compare(run, STRATEGIES, options.seeds, slots) for slots in options.slots}
    best = sorted((curve.best for curve in pool), reverse=True)[:4]
    print(f"\n**Half {title}**: {len(pool)} points, {trials} drawn, {options.seeds} seeds, {options.slots[0]} slot;")
    print(f"best F1 {', '.join(f'{value:.3f}' for value in best)}\n\n| strategy | {HEAD} |\n|---|{'---:|' * CELLS}")
    for name, figures in found[options.slots[0]].items():
        print(f"| {name} | {figures.row()} |", flush=True)
    return found


def report_slots(found: BySlots, numbers: Sequence[int]) -> None:
    """Prints what more slots change."""
    print("\n**By slots**, half reported on: ratio of epochs, loss, seconds of a study\n")
    print("| strategy |" + "".join(f" ratio, {s} | loss, {s} | s, {s} |" for s in numbers))
    print("|---|" + "---:|" * 3 * len(numbers))
    for strategy in STRATEGIES:
        cells = (found[slots][strategy.name] for slots in numbers)
        told = (f" {c.ratio.mean():.2f} | {c.loss.mean():+.4f} | {c.seconds:.0f} |" for c in cells)
        print(f"| {strategy.name} |" + "".join(told))


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
    space = RUN_ALL.settings().domains
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
