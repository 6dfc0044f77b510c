"""How many OpenMP threads one training on a CPU should have, and how long they should spin before they sleep.

    python benchmarks/threads.py [--imgsz 96] [--epochs 5] [--rounds 2] [--beside 2]

Trains YOLO11n-seg on the demo's shapes in a fresh process each, with one thread
and with as many as cores, the latter with several `GOMP_SPINCOUNT`; prints the median wall and
CPU seconds of an epoch, the first and the last left out. With `--beside`, so many busy processes of low priority (nice
15) run at the same time.
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

#: How threads wait, and what libgomp is told for it.
WAITS: dict[str, dict[str, str]] = {
    "passive": {},
    "spin 3000": {"GOMP_SPINCOUNT": "3000"},
    "spin 30000": {"GOMP_SPINCOUNT": "30000"},
    "active": {"OMP_WAIT_POLICY": "ACTIVE"},
}


def train_here(threads: int, imgsz: int, epochs: int) -> list[float]:
    """Returns the median wall and CPU seconds of an epoch of a training in this process."""
    from yolotune.training.job import Job, Order, isolate

    isolate()
    from yolotune.data.dataset import build_index, load_dataset, write_resolved, write_train_subset
    from yolotune.training.trainer import TrialTrainer
    from yolotune.workflows.demo import demo_study

    spent: list[tuple[float, float]] = []
    since = [cpu()]

    def told(row: dict[str, Any], last: bool) -> Order:
        now = cpu()
        spent.append((row["seconds"], now - since[0]))
        since[0] = now
        return Order.LEAVE if row["epoch"] == epochs else Order.GO

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        dataset = load_dataset(demo_study(folder / "demo").data)
        job = Job(
            "yolo11n-seg.yaml",
            write_resolved(dataset, folder),
            20,
            {"imgsz": imgsz, "optimizer": "AdamW", "mosaic": 0.0, "plots": False},
            indexes={split: build_index(dataset, split, folder) for split in ("train", "val")},
            train_subset=write_train_subset(dataset, folder),
            threads=threads,
        )
        TrialTrainer(job, {"lr0": 0.001, "batch": 16}, folder / "trial", told).train()
    return [statistics.median(one) for one in zip(*spent[1:-1], strict=True)]


def cpu() -> float:
    """Returns the CPU seconds of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def compare(imgsz: int, epochs: int, rounds: int) -> None:
    """Prints a row for each number of threads and way of waiting, in turn."""
    cores = len(os.sched_getaffinity(0))
    cases = [(1, "passive"), *((cores, wait) for wait in WAITS)]
    print("| threads | wait | wall, s | CPU, s |\n|---:|---|---:|---:|")
    for threads, wait in cases * rounds:
        given = ["--threads", str(threads), "--imgsz", str(imgsz), "--epochs", str(epochs)]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **WAITS[wait]}
        command = [sys.executable, __file__, *given]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        wall, cpu = json.loads(said.splitlines()[-1].removeprefix("seconds "))
        print(f"| {threads} | {wait} | {wall:.2f} | {cpu:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--beside", type=int, default=0)
    parser.add_argument("--threads", type=int, help="used by the script itself: train here")
    options = parser.parse_args()
    if options.threads:
        found = train_here(options.threads, options.imgsz, options.epochs)
        return print("seconds", json.dumps(found))
    busy = ["nice", "-n", "15", sys.executable, "-c", "while True: pass"]
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
