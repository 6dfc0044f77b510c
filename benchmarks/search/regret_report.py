"""Tables and a picture of `regret.py`: regret over budget, epochs to equal quality, paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

#: Budgets of the tables, in trainings to the end.
BUDGETS = (2.5, 5.0, 7.5, 10.0, 12.5, 20.0, 50.0)
#: What equal quality is measured against, and what the methods are tested against.
TARGETS = ("TPE, all in full", "random, all in full")
SEED_STACK = "the guide's stack"
DRAWS = 2000
#: What the picture shows.
SHOWN = (
    "random, all in full",
    "TPE, all in full",
    "the guide's stack",
    "run_ray_tune",
    "genetic Tuner",
    "ASHA, TPE",
    "ASHA, GP",
    "halving, TPE",
)

Rows = Sequence[Mapping[str, Any]]


def curve(row: Mapping[str, Any], budgets: np.ndarray) -> np.ndarray:
    """Returns the re-validated F1 that a study delivers at each budget; NaN where it had stopped before."""
    spent = np.array([0, *(step[0] for step in row["trace"])])
    values = np.array([0.0, *(step[2] for step in row["trace"])])
    found = values[np.searchsorted(spent, budgets * row["epochs"], side="right") - 1]
    return np.where(budgets <= row["budget"] + 1e-9, found, np.nan)


def gathered(rows: Rows, budgets: np.ndarray) -> dict[str, dict[int, np.ndarray]]:
    """Returns curves by method and seed."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for row in rows:
        found.setdefault(row["method"], {})[row["seed"]] = curve(row, budgets)
    return found


def times_fewer(method: np.ndarray, target: np.ndarray, budgets: np.ndarray) -> float:
    """Returns the budget of a target divided by that at which a method's mean is as good for good; 0 if it never is.

    Args:
        method: Curves, shape (seeds, budgets).
        target: Curves of what trains everything, likewise; the last budget that it has counts.
        budgets: Trainings to the end.
    """
    spent = ~np.isnan(target).any(axis=0)
    last, goal, means = budgets[spent][-1], target[:, spent][:, -1].mean(), method.mean(axis=0)
    known = spent & ~np.isnan(means)
    worse = np.flatnonzero(known & (means < goal))
    first = worse[-1] + 1 if len(worse) else 0
    return float(last / budgets[first]) if first < known.sum() else 0.0


def interval(method: np.ndarray, target: np.ndarray, budgets: np.ndarray) -> tuple[float, float]:
    """Returns the 90 % interval of `times_fewer` over draws of seeds, method and target by the same draw."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        seeds = draw.integers(len(method), size=len(method))
        found.append(times_fewer(method[seeds], target[seeds], budgets))
    low, high = np.quantile(found, [0.05, 0.95])
    return float(low), float(high)


def told(value: float) -> str:
    return f"{value:.1f}x" if value else "not reached"


def report(rows: Rows, picture: Path | None) -> None:
    """Prints the tables of each half and start, and draws the picture."""
    fine = np.arange(1, 501) / 10
    sides = sorted({(row["half"], row["warm"], row["slots"]) for row in rows})
    for half, warm, slots in sides:
        here = [row for row in rows if (row["half"], row["warm"], row["slots"]) == (half, warm, slots)]
        best = max(row["known_best"] for row in here)
        print(f"\n**Half {half}, {'warm' if warm else 'cold'}, slots: {slots}**; best level known {best:.3f}\n")
        _regrets(here, best)
        _equal_quality(here, fine)
    if picture:
        draw(rows, fine, picture)


def _regrets(rows: Rows, best: float) -> None:
    budgets = np.array(BUDGETS)
    found = gathered(rows, budgets)
    print("| method | seeds |" + "".join(f" {budget:g} |" for budget in BUDGETS) + " to the guide's at 10 (p) |")
    print("|---|---:|" + "---:|" * (len(BUDGETS) + 1))
    for name, curves in found.items():
        values = best - np.array([curves[seed] for seed in sorted(curves)])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        cells = [
            "" if np.isnan(mean) else f"{mean:.4f} ± {e:.4f}"
            for mean, e in zip(values.mean(axis=0), error, strict=True)
        ]
        print(f"| {name} | {len(values)} | {' | '.join(cells)} | {_tested(curves, found.get(SEED_STACK, {}))} |")


def _tested(curves: Mapping[int, np.ndarray], others: Mapping[int, np.ndarray]) -> str:
    """Returns the mean difference in F1 at a budget of 10 and the p of a paired t test."""
    at = BUDGETS.index(10.0)
    both = sorted(curves.keys() & others.keys())
    gain = np.array([curves[seed][at] - others[seed][at] for seed in both])
    if len(gain) < 2 or not gain.any():
        return ""
    return f"{gain.mean():+.4f} ({stats.ttest_1samp(gain, 0).pvalue:.3f})"


def paired(rows: Rows, other: str) -> None:
    """Prints the mean differences in F1 of each method to another one with the p of a paired t test, half by half."""
    budgets = np.array([budget for budget in BUDGETS if budget <= max(row["budget"] for row in rows)])
    print(f"\n| - {other} | halves | pairs |" + "".join(f" {budget:g} |" for budget in budgets))
    print("|---|---|---:|" + "---:|" * len(budgets))
    sides = sorted({(row["warm"], row["slots"]) for row in rows})
    for warm, slots in sides:
        here = [row for row in rows if (row["warm"], row["slots"]) == (warm, slots)]
        by_half = {half: gathered([row for row in here if row["half"] == half], budgets) for half in (0, 1)}
        for name in dict.fromkeys(row["method"] for row in here if row["method"] != other):
            for halves in ((0,), (1,), (0, 1)):
                cells = _differences([by_half[half] for half in halves], name, other)
                side = f"{name}, {'warm' if warm else 'cold'}, slots: {slots}"
                print(f"| {side} | {' and '.join(map(str, halves))} | {' | '.join(cells)} |")


def _differences(parts: Sequence[Mapping[str, Mapping[int, np.ndarray]]], name: str, other: str) -> list[str]:
    """Returns the number of pairs, and at each budget the mean difference with its p, of all parts together."""
    gains = [
        part[name][seed] - part[other][seed]
        for part in parts
        for seed in sorted(part.get(name, {}).keys() & part.get(other, {}).keys())
    ]
    if len(gains) < 2:
        return [str(len(gains))]
    tested = [(gain.mean(), stats.ttest_1samp(gain, 0).pvalue if gain.any() else 1.0) for gain in np.array(gains).T]
    return [str(len(gains)), *(f"{mean:+.4f} ({p:.3f})" for mean, p in tested)]


def _equal_quality(rows: Rows, budgets: np.ndarray) -> None:
    found = gathered(rows, budgets)
    targets = [name for name in TARGETS if name in found]
    print(
        "\n| times fewer epochs than |" + "".join(f" {name} |" for name in targets) + "\n|---|" + "---:|" * len(targets)
    )
    for name, curves in found.items():
        cells = []
        for target in targets:
            seeds = sorted(curves.keys() & found[target].keys())
            own, full = (np.array([one[seed] for seed in seeds]) for one in (curves, found[target]))
            low, high = interval(own, full, budgets)
            cells.append(f"{told(times_fewer(own, full, budgets))} ({told(low)} to {told(high)})")
        print(f"| {name} | {' | '.join(cells)} |")


def draw(rows: Rows, budgets: np.ndarray, path: Path) -> None:
    """Draws mean re-validated F1 over budget, one panel for each start; both halves count alike."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for axis, warm in zip(axes, (False, True), strict=True):
        found: dict[str, list[np.ndarray]] = {name: [] for name in SHOWN}
        for row in rows:
            if bool(row["warm"]) is warm and row["slots"] == 1 and row["method"] in found:
                found[row["method"]].append(curve(row, budgets))
        for place, (name, curves) in enumerate(found.items()):
            style = "-" if name.startswith(("ASHA", "halving")) else "--"
            axis.plot(budgets, np.mean(curves, axis=0), style, color=f"C{place}", label=name, linewidth=1.6)
        axis.set(
            xscale="log", xlabel="epochs spent, in full trainings", title="warm" if warm else "cold", ylim=(0.2, None)
        )
        axis.set_xticks([1, 2.5, 5, 10, 20, 50], ["1", "2.5", "5", "10", "20", "50"])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("re-validated F1 delivered")
    axes[1].legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
