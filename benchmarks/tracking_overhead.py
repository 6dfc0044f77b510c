"""What W&B costs: seconds of an epoch and of a trial with offline tracking against none, in turn.

    python benchmarks/tracking_overhead.py

The demo's dataset and settings, one trial of the defaults at a time; prints medians and the ratios pair by pair.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import yolotune
from yolotune.config.settings import Settings
from yolotune.workflows.demo import demo_study

PAIRS = 4
EPOCHS = 12


def measure(study: Settings, wandb: str, folder: Path) -> tuple[float, float]:
    """Returns the median seconds of an epoch, and the seconds of the whole study of one trial."""
    changes = {"wandb": wandb, "project": str(folder), "num_samples": 1, "epochs": EPOCHS, "concurrent": 1, "cpus": 1}
    began = time.monotonic()
    record = yolotune.run(study.model_copy(update={**changes, "asha": None, "plateau": None}))
    return statistics.median(row["seconds"] for row in record.trials[0].epochs), time.monotonic() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        study = demo_study(Path(folder) / "demo")
        pairs = []
        for number in range(PAIRS):
            place = Path(folder) / str(number)
            pairs.append((measure(study, "offline", place / "with"), measure(study, "disabled", place / "without")))
    for index, what in enumerate(("epoch", "study of one trial")):
        tracked = [pair[0][index] for pair in pairs]
        plain = [pair[1][index] for pair in pairs]
        ratios = sorted(one / other for one, other in zip(tracked, plain, strict=True))
        print(
            f"{what}: tracked {statistics.median(tracked):.3f} s, not tracked {statistics.median(plain):.3f} s, "
            f"ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )


if __name__ == "__main__":
    main()
