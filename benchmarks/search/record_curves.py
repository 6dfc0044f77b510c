"""Records real trainings over random points of the default space: the tables that search strategies are replayed on.

    python -m benchmarks.search.record_curves record --data path/to/data.yaml --model weights.pt --work runs/curves \
        --points 150 --epochs 30 --imgsz 96 --processes 2
    python -m benchmarks.search.record_curves pack --work runs/curves --table benchmarks/tables/NAME.jsonl.gz

It trains with the product's own trainer, without Ray, Optuna or W&B, so it runs wherever Ultralytics does. A point that
is recorded is not trained again: start it as often as need be. The points are those of `random_points.py`. A table has
one line per point, first a line about itself.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import platform
import shutil
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.jobs import make_job
from benchmarks.search.random_points import PRESET, random_points
from yolotune.config.isolation import isolate
from yolotune.config.layers import read_preset
from yolotune.config.space import Point
from yolotune.data.dataset import load_dataset
from yolotune.record.verdict import Ending
from yolotune.record.writer import write_json
from yolotune.training.job import Job, Order
from yolotune.training.tasks import make_trainer


def prepare(options: argparse.Namespace) -> tuple[Job, list[Point]]:
    """Checks the data and returns what all trainings share, and the points."""
    isolate()
    dataset = load_dataset(options.data)
    fixed = read_preset(PRESET)["train"]
    fixed["close_mosaic"] = max(1, round(fixed["close_mosaic"] * options.epochs))
    job = make_job(
        options.data,
        options.model,
        options.work / "data",
        seed=options.seed,
        epochs=options.epochs,
        fixed={"imgsz": options.imgsz, "seed": options.seed, "plots": False, **fixed},
        device=options.device,
        threads=options.threads,
        workers=options.workers,
    )
    about = {
        "dataset": Path(options.data).resolve().parent.name,
        "fingerprint": dataset.fingerprint,
        "model": Path(options.model).name,
        "epochs": options.epochs,
        "imgsz": options.imgsz,
        "fixed": fixed,
        "seed": options.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {options.device}",
        "versions": {name: metadata.version(name) for name in ("yolotune", "ultralytics", "torch")},
    }
    write_json(options.work / "about.json", about)
    return job, random_points(options.points, options.seed, dataset.nc)


def record(job: Job, number: int, point: Point, work: Path) -> None:
    """Trains one point and keeps every epoch report."""
    folder = work / f"training-{number:04d}"
    shutil.rmtree(folder, ignore_errors=True)
    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], ending: Ending | None) -> Order:
        rows.append(row)
        return Order.GO

    trainer = make_trainer(job, point, folder, on_epoch)
    began = time.monotonic()
    trainer.train()
    ending = trainer.ending
    told = {"number": number, "point": point, "verdict": ending.verdict if ending else None}
    write_json(work / f"{number:04d}.json", {**told, "seconds": round(time.monotonic() - began, 1), "epochs": rows})
    shutil.rmtree(folder)


def work_through(job: Job, todo: list[tuple[int, Point]], work: Path, first: int, step: int) -> None:
    """Records each `step`-th of the points, from `first` on."""
    isolate()
    os.nice(10)
    for number, point in todo[first::step]:
        record(job, number, point, work)
        print(f"{time.strftime('%H:%M:%S')} point {number} recorded", flush=True)


def pack(work: Path, table: Path) -> None:
    """Writes all recorded points into one compressed table."""
    files = sorted(work.glob("[0-9]*.json"))
    about = json.loads((work / "about.json").read_text()) | {"points": len(files), "packed": time.strftime("%Y-%m-%d")}
    with gzip.GzipFile(table, "wb", mtime=0) as out:
        for line in (about, *(json.loads(file.read_text()) for file in files)):
            out.write((json.dumps(line) + "\n").encode())
    print(f"{table}: {len(files)} points, {table.stat().st_size / 2**20:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record")
    recorder.add_argument("--data", required=True)
    recorder.add_argument("--model", required=True)
    recorder.add_argument("--points", type=int, default=150)
    recorder.add_argument("--epochs", type=int, default=30)
    recorder.add_argument("--imgsz", type=int, default=96)
    recorder.add_argument("--seed", type=int, default=0)
    recorder.add_argument("--processes", type=int, default=1)
    recorder.add_argument("--threads", type=int, default=1)
    recorder.add_argument("--workers", type=int, default=0)
    recorder.add_argument("--device", default="cpu")
    packer = commands.add_parser("pack")
    packer.add_argument("--table", type=Path, required=True)
    for command in (recorder, packer):
        command.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    options.work = options.work.resolve()
    if options.command == "pack":
        return pack(options.work, options.table)
    job, found = prepare(options)
    todo = [(n, p) for n, p in enumerate(found) if not (options.work / f"{n:04d}.json").exists()]
    spawn = multiprocessing.get_context("spawn")
    shares = [(job, todo, options.work, first, options.processes) for first in range(options.processes)]
    workers = [spawn.Process(target=work_through, args=share) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
