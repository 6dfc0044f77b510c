"""How many OpenMP threads one training on a CPU should have, and how they should wait for each other.

    python -m benchmarks.cost.threads [--imgsz 96] [--epochs 5] [--rounds 2] [--beside 2 --niceness 15]

Trains YOLO11n-seg on the demo's shapes in a fresh process each, with one thread and with as many as cores, the latter
with several `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT`; prints the median wall and CPU seconds of an epoch, the first and
the last left out. With `--beside`, so many busy processes run at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.jobs import make_job
from yolotune.record.verdict import Ending
from yolotune.training.job import Order
from yolotune.training.tasks import make_trainer
from yolotune.workflows.demo import demo_settings

#: How threads wait, and what libgomp is told for it.
WAITS: dict[str, dict[str, str]] = {
    "passive": {},
    "spin 3000": {"GOMP_SPINCOUNT": "3000"},
    "spin 30000": {"GOMP_SPINCOUNT": "30000"},
    "active": {"OMP_WAIT_POLICY": "ACTIVE"},
}


def train_here(threads: int, imgsz: int, epochs: int) -> list[float]:
    """Returns the median wall and CPU seconds of an epoch of a training in this process."""
    spent: list[tuple[float, float]] = []
    since = [cpu()]

    def on_epoch(row: dict[str, Any], ending: Ending | None) -> Order:
        now = cpu()
        spent.append((row["seconds"], now - since[0]))
        since[0] = now
        return Order.LEAVE if row["epoch"] == epochs else Order.GO

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fixed = {"imgsz": imgsz, "optimizer": "AdamW", "mosaic": 0.0, "plots": False}
        data = demo_settings(folder / "demo").data
        job = make_job(data, "yolo11n-seg.yaml", folder, epochs=20, fixed=fixed, threads=threads)
        make_trainer(job, {"lr0": 0.001, "batch": 16}, folder / "trial", on_epoch).train()
    return [statistics.median(one) for one in zip(*spent[1:-1], strict=True)]


def cpu() -> float:
    """Returns the CPU seconds of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def compare(imgsz: int, epochs: int, rounds: int) -> None:
    """Prints a row for each number of threads and way of waiting, in turn."""
    cores = os.cpu_count() or 1
    cases = [(1, "passive"), *((cores, wait) for wait in WAITS)]
    print("| threads | wait | wall, s | CPU, s |\n|---:|---|---:|---:|")
    for threads, wait in cases * rounds:
        given = ["--threads", str(threads), "--imgsz", str(imgsz), "--epochs", str(epochs)]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **WAITS[wait]}
        command = [sys.executable, "-m", "benchmarks.cost.threads", *given]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        wall, cpu = json.loads(said.splitlines()[-1].removeprefix("seconds "))
        print(f"| {threads} | {wait} | {wall:.2f} | {cpu:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--beside", type=int, default=0, help="busy processes at the same time")
    parser.add_argument("--niceness", type=int, default=15, help="of the busy processes; 0 is the training's own")
    parser.add_argument("--threads", type=int, help="used by the script itself: train here")
    options = parser.parse_args()
    if options.threads:
        found = train_here(options.threads, options.imgsz, options.epochs)
        return print("seconds", json.dumps(found))
    busy = ["nice", "-n", str(options.niceness), sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(busy) for _ in range(options.beside)]
    try:
        compare(options.imgsz, options.epochs, options.rounds)
    finally:
        for other in others:
            other.kill()
            other.wait()
    return None


if __name__ == "__main__":
    main()
