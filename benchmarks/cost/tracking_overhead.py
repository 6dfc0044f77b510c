"""What W&B costs: seconds of an epoch and of a trial with W&B offline against no tracker, in turn.

    python -m benchmarks.cost.tracking_overhead

The demo's dataset and settings, one trial of the defaults at a time; prints medians and the ratios pair by pair.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from yolotune.config.scheduling import NoScheduler
from yolotune.config.settings import Settings
from yolotune.workflows.demo import demo_settings
from yolotune.workflows.search import search

PAIRS = 4
EPOCHS = 12


def measure(settings: Settings, tracker: str, folder: Path) -> tuple[float, float]:
    """Returns the median seconds of an epoch, and the seconds of the whole study of one trial."""
    changes = {"tracker": tracker, "wandb": "offline", "project": str(folder), "scheduler": NoScheduler()}
    changes |= {"num_samples": 1, "epochs": EPOCHS, "concurrent": 1, "cpus": 1}
    began = time.monotonic()
    record = search(settings.model_copy(update=changes))
    return statistics.median(row["seconds"] for row in record.trials[0].epochs), time.monotonic() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = demo_settings(Path(folder) / "demo")
        pairs = []
        for number in range(PAIRS):
            place = Path(folder) / str(number)
            pairs.append((measure(settings, "wandb", place / "with"), measure(settings, "none", place / "without")))
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
