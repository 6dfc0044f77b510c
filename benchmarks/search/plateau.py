"""What the plateau rules cost: F1 kept and epochs saved, on healthy curves and on recorded ones.

    python -m benchmarks.search.plateau benchmarks/tables/*.jsonl.gz

Drives the product's own `PlateauRule` over curves as if they trained. Healthy curves are
0.85 * (1 - exp(-e / tau)) with noise of sd 0.01 over 250 epochs, tau from 5 to 100. Recorded curves come from
`record_curves.py`; the rule watches train F1, as in a study, and the F1 kept is that of the val split.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from yolotune.config.layers import make_settings, read_preset
from yolotune.config.scheduling import PlateauSettings
from yolotune.schedulers.base import Report
from yolotune.schedulers.plateau import PlateauRule

VAL, TRAIN = "seg_metrics/F1", "train_seg_metrics/F1"

#: Watched value (train F1) and judged value (val F1) by epoch.
Curve = list[tuple[float, float]]


def healthy() -> list[Curve]:
    """Returns rising curves with noise, 25 seeds for each of 20 speeds."""
    epochs = np.arange(1, 251)
    curves = []
    for tau in np.linspace(5, 100, 20):
        for seed in range(25):
            rng = np.random.default_rng((int(tau * 100), seed))
            level = 0.85 * (1 - np.exp(-epochs / tau))
            train, val = (np.clip(level + rng.normal(0, 0.01, 250), 0, 1) for _ in range(2))
            curves.append(list(zip(train.tolist(), val.tolist(), strict=True)))
    return curves


def recorded(path: Path) -> list[Curve]:
    """Returns the curves of a table whose val F1 ever passed 0.05."""
    with gzip.open(path, "rt") as file:
        points = [json.loads(line) for line in file][1:]
    curves = [[(row[TRAIN], row[VAL]) for row in point["epochs"]] for point in points]
    return [curve for curve in curves if max(value for _, value in curve) > 0.05]


def outcome(curves: Iterable[Curve], rule: PlateauSettings) -> str:
    """Returns one table row: how many stopped, F1 kept (mean, worst), epochs saved."""
    kept, spent, full, stopped = [], 0, 0, 0
    for curve in curves:
        judge = PlateauRule(make_settings(data="none", plateau=rule.model_dump(), epochs=len(curve))).judge
        reports = (Report(0, {}, epoch, {TRAIN: seen}) for epoch, (seen, _) in enumerate(curve, 1))
        end = next((report.epoch for report in reports if judge(report)), len(curve))
        stopped += end < len(curve)
        kept.append(max(value for _, value in curve[:end]) / max(value for _, value in curve))
        spent, full = spent + end, full + len(curve)
    return f"{len(kept)} | {stopped} | {np.mean(kept):.3f} | {min(kept):.3f} | {full / spent:.2f}x"


def main() -> None:
    print("| curves | rule | number | stopped | F1 kept, mean | worst | epochs saved |")
    print("|---|---|---:|---:|---:|---:|---:|")
    pools = {"healthy, made": healthy()} | {Path(name).name: recorded(Path(name)) for name in sys.argv[1:]}
    for name, curves in pools.items():
        for rule, called in (
            (PlateauSettings(), "patience"),
            (PlateauSettings(**read_preset("guide")["plateau"]), "the guide's"),
        ):
            print(f"| {name} | {called} | {outcome(curves, rule)} |")


if __name__ == "__main__":
    main()
