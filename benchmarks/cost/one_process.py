"""Many trainings in one process: does its memory grow, and are their numbers those of fresh processes?

    python -m benchmarks.cost.one_process --data path/to/data.yaml --model weights.pt --imgsz 96 --trainings 20

Trains points with other rates, seeds and batch sizes one after another in one process, as a slot of a study does, and
prints what the process holds after each. Then some of them are trained again, each in a process of its own, and every
number of every epoch is compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.jobs import make_job
from yolotune.config.layers import make_settings
from yolotune.record.study import trial_folder
from yolotune.record.verdict import Ending
from yolotune.tracking import NullTracker, TrackingContext
from yolotune.training.memory import free_memory
from yolotune.training.messages import TrainingTask
from yolotune.training.session import TrainingSession, TrainingThread

BATCHES = (16, 8, 32, 16)


def train(options: argparse.Namespace, folder: Path, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Trains points in this process, and returns the rows of each and the bytes that were held after it."""
    fixed = {**make_settings(data=options.data, epochs=options.epochs).fixed, "imgsz": options.imgsz}
    job = make_job(options.data, options.model, folder, epochs=options.epochs, fixed=fixed)
    context = TrackingContext(mode="disabled", project="p", study="s", uid="u", folder=folder)
    thread, found = TrainingThread(), []
    for number in numbers:
        point = {
            "lr0": 0.001 * (1 + number % 5),
            "batch": BATCHES[number % len(BATCHES)],
            "seed": number,
            "optimizer": "AdamW",
        }
        trial_folder(folder, number).mkdir(parents=True)
        session = TrainingSession(TrainingTask(number, point, None, job, NullTracker.create(context), folder), thread)
        rows: list[dict[str, Any]] = []
        ending: Ending | None = None
        while ending is None:
            said = session.next()
            rows += [] if said.row is None else [said.row]
            ending = said.ending
            if ending is None:
                session.go_on()
        session.end(ending)
        session.join()
        del session
        free_memory()
        found.append({"number": number, "rows": rows, "held": psutil.Process().memory_info().rss})
        print(f"training {number}: {found[-1]['held'] / 2**20:.0f} MB, {ending}", file=sys.stderr, flush=True)
    return found


def fresh(number: int) -> list[dict[str, Any]]:
    """Returns the rows of a training in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.cost.one_process", *sys.argv[1:], "--only", str(number)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.splitlines()[-1])[0]["rows"]  # type: ignore[no-any-return]


def difference(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> float:
    """Returns the largest difference between two numbers of the same name and epoch."""
    pairs = [(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a if name != "seconds"]
    return max(abs(a - b) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="yolo11n-seg.yaml")
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--only", type=int, help="used by the script itself: the one training of this process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        numbers = range(options.trainings) if options.only is None else [options.only]
        found = train(options, Path(place), numbers)
    if options.only is not None:
        return print(json.dumps(found))
    held = [one["held"] for one in found]
    again = (1, options.trainings // 2, options.trainings - 1)
    worst = max(difference(found[number]["rows"], fresh(number)) for number in again)
    print(f"held after the second: {held[1] / 2**20:.0f} MB; after the last: {held[-1] / held[1]:.3f} times as much")
    print(f"most: {max(held[1:]) / held[1]:.3f} times as much")
    print(f"largest difference to a fresh process, of trainings {again}: {worst:.3g}")
    return None


if __name__ == "__main__":
    main()
