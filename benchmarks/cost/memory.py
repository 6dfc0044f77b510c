"""What trainings beside each other take of memory and time, with images they share and with images of their own.

    python -m benchmarks.cost.memory data.yaml weights.pt [--imgsz 320] [--batch 16] [--epochs 3] [--slots 1 4]
        [--read-only] [--device 0] [--workers 4]

Starts so many trainings at once, each in a process of its own with one thread, and prints a row for each case: the
largest sum of their proportional set sizes (`benchmarks/cost/meter.py`), which count a shared page once, and the
median seconds of the first epoch and of a further one. All are the same training, with train metrics as in a study.
With `--read-only` nothing is trained: only the training's images are read and augmented, by loader processes where
`--workers` says so, as on a GPU. What the images take is then not lost in what the model does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cost.meter import measure
from benchmarks.jobs import make_job
from yolotune.data.index import indexed_dataset_class
from yolotune.record.verdict import Ending
from yolotune.training.job import Job, Order
from yolotune.training.tasks import make_trainer


def train_here(options: argparse.Namespace) -> None:
    """Trains in this process and prints the seconds of each epoch."""

    def on_epoch(row: dict[str, Any], ending: Ending | None) -> Order:
        print("seconds", row["seconds"], flush=True)
        return Order.LEAVE if row["epoch"] == options.epochs else Order.GO

    fixed = {"imgsz": options.imgsz, "optimizer": "AdamW", "plots": False}
    given = {"epochs": 20, "fixed": fixed, "device": options.device, "workers": options.workers}
    with tempfile.TemporaryDirectory() as place:
        job = make_job(options.data, options.model, Path(place), images=options.images, **given)
        if options.read_only:
            return read_here(options, job)
        make_trainer(job, {"lr0": 0.001, "batch": options.batch}, Path(place) / "trial", on_epoch).train()
    return None


def read_here(options: argparse.Namespace, job: Job) -> None:
    """Reads and augments the training's images in this process and prints the seconds of each epoch."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build_dataloader

    from yolotune.training.datasets import resolved_dataset

    data = resolved_dataset(job.data, single_cls=False)
    settings = {"imgsz": options.imgsz, "batch_size": options.batch, "task": "segment", "data": data, "hyp": get_cfg()}
    dataset = indexed_dataset_class(job.indexes["train"])(data["train"], **settings)
    if job.images is not None:
        dataset.share_images(job.images)
    loader = build_dataloader(dataset, options.batch, options.workers, device="cpu")
    for _ in range(options.epochs):
        began = time.monotonic()
        for _ in loader:
            pass
        print("seconds", time.monotonic() - began, flush=True)
    loader.close()


def train_beside(slots: int, logs: Path) -> None:
    """Runs so many trainings at once to their end, with the arguments of this process."""
    arguments = sys.argv[1 : sys.argv.index("--logs")]
    command = [sys.executable, "-m", "benchmarks.cost.memory", *arguments, "--train"]
    running = [subprocess.Popen(command, stdout=(logs / f"{number}.log").open("w")) for number in range(slots)]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit("a training failed.")


def cost_of(slots: int, *, shared: bool) -> tuple[float, float, float]:
    """Returns the megabytes of so many trainings, and the median seconds of the first epoch and of a further one."""
    with tempfile.TemporaryDirectory() as place:
        images = ["--images", f"{place}/images"] if shared else []
        given = [*sys.argv[1:], *images, "--logs", place, "--beside", str(slots)]
        command = [sys.executable, "-m", "benchmarks.cost.memory", *given]
        cost = measure(command, Path(place) / "said", os.environ, Path.cwd())
        if cost.code:
            raise SystemExit((Path(place) / "said").read_text())
        epochs = [seconds_in(log) for log in Path(place).glob("*.log")]
    first = statistics.median(seconds[0] for seconds in epochs)
    return cost.memory / 1e6, first, statistics.median(one for seconds in epochs for one in seconds[1:])


def seconds_in(log: Path) -> list[float]:
    """Returns the seconds of each epoch that a training has printed."""
    return [float(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("seconds ")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--read-only", action="store_true", help="train nothing")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="loader processes of each; a training on a CPU has none")
    parser.add_argument("--images", type=Path, help="used by the script itself, as are the following")
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--beside", type=int)
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    if options.train:
        return train_here(options)
    if options.beside:
        return train_beside(options.beside, options.logs)
    print("| images | trainings | memory, MB | first epoch, s | a further one, s |\n|---|---:|---:|---:|---:|")
    for shared in (False, True):
        for slots in options.slots:
            memory, first, further = cost_of(slots, shared=shared)
            said = "shared" if shared else "own"
            print(f"| {said} | {slots} | {memory:,.0f} | {first:.1f} | {further:.1f} |", flush=True)
    return None


if __name__ == "__main__":
    main()
