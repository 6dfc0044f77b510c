"""What rungs should rank by: how well a ranking foretells the end, and what halving by it saves and loses.

    python -m benchmarks.search.ranking benchmarks/tables/*.jsonl.gz [--pools 60 --picture docs/ranking.png]

Rank correlation: Spearman's, of a ranking at an epoch with the level that trainings end at, over all points and over
the better half, which is where the decision is hard.

Halving: all trials of a study meet at each rung, and the best share goes on (one batch, nothing asynchronous, so that
only the ranking differs). A pool is a random half of a table's points, a study a random half of a pool. Loss and level
are those of `replay.py`; kept is how many of the five trials with the best level were trained in full. The error of a
figure is its standard deviation over pools: the delete-half jackknife, which knows that a table is a sample of points
from one dataset, and not that there are other datasets.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search.curves import F1, Curve, level, read_table
from yolotune.schedulers.ranking import losses, scores

#: Epochs of the rungs, of 30, and the share that goes on from each.
LADDERS = (
    ((6, 1 / 2), (12, 1 / 2)),
    ((3, 1 / 2), (6, 1 / 2), (12, 1 / 2)),
    ((3, 1 / 3), (9, 1 / 3)),
    ((2, 1 / 3), (6, 1 / 3)),
    ((2, 1 / 4), (6, 1 / 3)),
    ((1, 1 / 3), (3, 1 / 3), (9, 1 / 3)),
)
EPOCHS_SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 20)
BEST_FEW = 5


@dataclass(frozen=True)
class Pool:
    """Curves as arrays: F1, its best so far, and the training losses by their gains, turned round."""

    f1: np.ndarray  # (points, epochs)
    best: np.ndarray  # (points, epochs)
    losses: np.ndarray  # (points, epochs, losses)
    level: np.ndarray  # (points,)

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Pool:
        f1 = np.array([[row[F1] for row in curve.rows] for curve in curves])
        early = np.array([[losses(row, curve.point) for row in curve.rows] for curve in curves])
        return cls(f1, np.maximum.accumulate(f1, axis=1), early, np.array([level(curve) for curve in curves]))


def mean_share(columns: np.ndarray) -> np.ndarray:
    """Returns each row's mean share of the others that it is ahead of, by the product's own rule."""
    if columns.shape[1] == 1:
        columns = np.repeat(columns, 2, axis=1)  # alone, `scores` would hand the value back
    return np.array(list(scores({place: tuple(row) for place, row in enumerate(columns)}).values()))


#: Scores of the trials `who` after an epoch (from 0); higher is better.
Ranking = Callable[[Pool, np.ndarray, int], np.ndarray]
#: By the name of `asha.rank`, or in words what it has not.
RANKINGS: dict[str, Ranking] = {
    "current": lambda pool, who, at: pool.f1[who, at],
    "best": lambda pool, who, at: pool.best[who, at],
    "seg loss alone": lambda pool, who, at: pool.losses[who, at, 1],
    "losses alone": lambda pool, who, at: mean_share(pool.losses[who, at]),
    "signals": lambda pool, who, at: mean_share(np.column_stack([pool.best[who, at], pool.losses[who, at]])),
}


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's correlation; ties share their rank."""
    return float(np.corrcoef(mean_share(one[:, None]), mean_share(other[:, None]))[0, 1])


def halve(pool: Pool, who: np.ndarray, ladder: Sequence[tuple[int, float]], ranking: Ranking) -> np.ndarray:
    """Returns the epochs that each trial of a study is trained."""
    epochs, alive = np.zeros(len(who), int), np.arange(len(who))
    for rung, share in ladder:
        epochs[alive] = rung
        order = np.argsort(-ranking(pool, who[alive], rung - 1), kind="stable")
        alive = alive[order[: max(1, round(len(alive) * share))]]
    epochs[alive] = pool.f1.shape[1]
    return epochs


def outcome(pool: Pool, who: np.ndarray, epochs: np.ndarray) -> tuple[float, float, float, float]:
    """Returns ratio of epochs, loss in F1, loss in level, and the share of the best few trained in full."""
    full = pool.f1.shape[1]
    all_run, had = pool.best[who, -1], pool.best[who, epochs - 1]
    lower = pool.level[who][np.argmax(all_run)] - pool.level[who][np.argmax(had)]
    few = np.argsort(-pool.level[who])[:BEST_FEW]
    return len(who) * full / epochs.sum(), all_run.max() - had.max(), lower, float((epochs[few] == full).mean())


def resampled(pool: Pool, pools: int, studies: int) -> dict[str, np.ndarray]:
    """Returns outcomes by ranking, (pools, ladders, figures): means over the studies of a pool."""
    draw = np.random.default_rng(0)
    found: dict[str, list[list[np.ndarray]]] = {name: [] for name in RANKINGS}
    for _ in range(pools):
        half = draw.permutation(len(pool.level))[: len(pool.level) // 2]
        drawn = [draw.permutation(half)[: max(BEST_FEW + 1, len(half) // 2)] for _ in range(studies)]
        for name, ranking in RANKINGS.items():
            by_ladder = [[outcome(pool, who, halve(pool, who, lad, ranking)) for who in drawn] for lad in LADDERS]
            found[name].append([np.mean(told, axis=0) for told in by_ladder])
    return {name: np.array(told) for name, told in found.items()}


def report(pool: Pool, found: dict[str, np.ndarray]) -> None:
    """Prints both tables."""
    everyone = np.arange(len(pool.level))
    better = everyone[pool.level > np.median(pool.level)]
    print("| ranked by, at epoch |" + "".join(f" {epoch} |" for epoch in EPOCHS_SHOWN))
    print("|---|" + "---|" * len(EPOCHS_SHOWN))
    for name, ranking in RANKINGS.items():
        cells = (
            " / ".join(f"{spearman(ranking(pool, who, epoch - 1), pool.level[who]):.2f}" for who in (everyone, better))
            for epoch in EPOCHS_SHOWN
        )
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| rungs at epochs | ranked by | ratio | loss in F1 | minus that of best | loss in level | kept |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for place, ladder in enumerate(LADDERS):
        for name, told in found.items():
            ratio, loss, lower, kept = told[:, place].mean(axis=0)
            apart = told[:, place, 1] - found["best"][:, place, 1]
            paired = "" if name == "best" else f"{apart.mean():+.4f} ± {apart.std():.4f}"
            rungs = ", ".join(f"{rung}: {share:.2f}" for rung, share in ladder)
            print(f"| {rungs} | {name} | {ratio:.1f}x | {loss:+.4f} | {paired} | {lower:+.4f} | {kept:.0%} |")


def draw_picture(found: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Draws loss against epochs saved: a panel for each table, a line for each value of `asha.rank`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(5.2 * len(found), 4), squeeze=False)
    colors = {"current": "#999999", "best": "#0072b2", "signals": "#d55e00"}
    for panel, (title, told) in zip(panels[0], found.items(), strict=True):
        for place, (name, color) in enumerate(colors.items()):
            mean, error = told[name].mean(axis=0), told[name].std(axis=0)
            order = np.argsort(mean[:, 0])
            shift = 1 + 0.012 * (place - 1)  # so that error bars do not hide each other
            x, y, bars = mean[order, 0] * shift, mean[order, 1], error[order, 1]
            panel.errorbar(x, y, bars, color=color, marker="o", ms=4, lw=1.6, elinewidth=0.8, label=f"rank: {name}")
        panel.axhline(0.005, color="black", lw=0.8, ls=":")
        panel.set(title=title, xlabel="times fewer epochs than training all", ylim=(0, None))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("F1 lost (dotted: 0.005)")
    panels[0][0].legend(frameon=False, loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--pools", type=int, default=60)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    found = {}
    for path in options.tables:
        about, curves = read_table(path)
        pool = Pool.of(curves)
        told = resampled(pool, options.pools, options.studies)
        print(f"\n**{path.name}**: {len(curves)} points, {len(pool.level) // 4} trials a study\n")
        report(pool, told)
        found[f"{about['dataset']}, {len(curves)} points"] = told
    if options.picture:
        draw_picture(found, options.picture)


if __name__ == "__main__":
    main()
