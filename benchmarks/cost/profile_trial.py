"""Where the seconds of one trial go, beside those of a bare Ultralytics training of the same point.

    python -m benchmarks.cost.profile_trial [--data path/to/data.yaml --model weights.pt --imgsz 96] [--epochs 20]
    python -m benchmarks.cost.profile_trial --study FOLDER

Trains the defaults in a fresh process each, in turn: bare (plots off), and as a trial does, without Ray: with train
metrics, curves, checkpoints that wait for the record, and W&B offline. The parts are timed from outside, by wrapping
functions; a part's seconds are its own, without those of the parts it calls. They are CPU seconds of the process, which
other work on the machine changes little. Prints medians as Markdown. What lies between trials (processes, Ray, the
report) shows `--study`: the times at which a study wrote its files.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.cost import overhead
from benchmarks.jobs import make_job
from yolotune.config.isolation import isolate
from yolotune.config.layers import make_settings
from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking import TrackingContext, TrialResult, make_tracker
from yolotune.training.drawing import drawing_process
from yolotune.training.job import Order
from yolotune.training.tasks import make_trainer

#: Part, and what is timed as it: module, class (or nothing), function.
PARTS = (
    ("begin: model", "ultralytics.engine.trainer", "BaseTrainer", "setup_model"),
    ("begin: datasets, loaders", "ultralytics.engine.trainer", "BaseTrainer", "_build_train_pipeline"),
    ("begin: plots of labels", "ultralytics.models.yolo.detect", "DetectionTrainer", "plot_training_labels"),
    ("begin: the rest", "ultralytics.engine.trainer", "BaseTrainer", "_setup_train"),
    ("epoch: images", "ultralytics.data.base", "BaseDataset", "__getitem__"),
    ("epoch: read and decode", "ultralytics.data.base", "BaseDataset", "load_image"),
    ("epoch: forward and loss", "ultralytics.nn.tasks", "BaseModel", "forward"),
    ("epoch: backward", "torch", "Tensor", "backward"),
    ("epoch: optimizer, EMA", "ultralytics.engine.trainer", "BaseTrainer", "optimizer_step"),
    ("epoch: plots of batches", "ultralytics.models.yolo.detect", "DetectionTrainer", "plot_training_samples"),
    ("epoch: validation", "ultralytics.engine.validator", "BaseValidator", "__call__"),
    ("epoch: checkpoint", "ultralytics.engine.trainer", "BaseTrainer", "save_model"),
    ("epoch: results.csv", "ultralytics.engine.trainer", "BaseTrainer", "save_metrics"),
    ("end: final evaluation, curves", "ultralytics.engine.trainer", "BaseTrainer", "final_eval"),
    ("end: results.png", "ultralytics.engine.trainer", "BaseTrainer", "plot_metrics"),
    ("epoch: the rest", "ultralytics.engine.trainer", "BaseTrainer", "_do_train"),
)
#: Parts of yolotune; timed where it trains.
OURS = (
    ("epoch: train split", "yolotune.training.trainer", "TrialTraining", "_measure_train_subset"),
    ("epoch: report", "yolotune.training.trainer", "TrialTraining", "_report"),
    ("begin: plots of labels", "yolotune.training.curves", "DrawnCurves", "plot_training_labels"),
    ("epoch: plots of batches", "yolotune.training.curves", "DrawnCurves", "plot_training_samples"),
    ("epoch: checkpoint", "yolotune.training.trainer", "TrialTraining", "save_model"),
    ("end: final evaluation, curves", "yolotune.training.trainer", "TrialTraining", "final_eval"),
    ("end: results.png", "yolotune.training.trainer", "TrialTraining", "plot_metrics"),
)
#: A part inside one of these belongs to it; validation must not share out its forward pass among the training's.
WHOLE = ("epoch: validation", "epoch: train split", "end: final evaluation, curves")


class Clock:
    """Adds up the seconds of each part; the innermost part gets them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0  # when the process began

    def switch(self) -> None:
        """Books the time since the last switch."""
        now = time.process_time()
        part = self._open[-1] if self._open else "begin: Python, imports"
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def begin(self) -> None:
        """Books the time since the last switch to no part."""
        self._since = time.process_time()

    def since_begin(self) -> float:
        """Returns the seconds since the last switch."""
        return time.process_time() - self._since

    def wrap(self, owner: Any, name: str, part: str) -> None:
        """Times a function as a part, unless it runs inside a part that is taken whole."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            inside = next((whole for whole in self._open if whole in WHOLE), part)
            self.switch()
            self._open.append(inside)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._open.pop()

        setattr(owner, name, timed)


def watch(clock: Clock, parts: tuple[tuple[str, str, str, str], ...]) -> None:
    """Times parts; their modules are imported, and Ultralytics with them."""
    for part, module, owner, name in parts:
        clock.wrap(getattr(importlib.import_module(module), owner), name, part)


def train_bare(task: dict[str, Any]) -> dict[str, float]:
    """Trains as Ultralytics does, in this process, and returns the seconds of each part."""
    isolate()
    from ultralytics.models.yolo.segment import SegmentationTrainer

    clock = Clock()
    watch(clock, PARTS)
    own = {**task["fixed"], "model": task["model"], "data": task["data"], "epochs": task["epochs"], "plots": False}
    where = {"device": "cpu", "project": task["folder"], "name": "training", "patience": 0}
    SegmentationTrainer(overrides={**own, **task["points"][0], **where}).train()
    clock.switch()
    return clock.seconds


def train_as_trial(task: dict[str, Any]) -> dict[str, float]:
    """Trains as a trial does, in this process, and returns the seconds of each part."""
    folder, point = Path(task["folder"]), task["points"][0]
    clock = Clock()
    clock.switch()
    job = make_job(task["data"], task["model"], folder, epochs=task["epochs"], fixed=task["fixed"])
    clock.begin()  # what the driver does once a study is no part of a trial
    watch(clock, OURS + PARTS)
    context = TrackingContext(mode="offline", project="overhead", study="profile", uid="uid", folder=folder)
    run = make_tracker(make_settings(data=task["data"]), context).open_trial(0, {**task["fixed"], **point})

    def on_epoch(row: dict[str, Any], ending: Ending | None) -> Order:
        run.log_epoch(row)
        return Order.GO

    trainer = make_trainer(job, point, folder / "trial", on_epoch)
    trainer.train()
    clock.switch()
    trainer.curves.wait()
    clock.begin()
    result = TrialResult(
        ending=Ending(Verdict.COMPLETED, ""),
        best_epoch=1,
        value=0.0,
        effective={},
        weights=folder / "trial/weights/best.pt",
        curves=folder / "trial/curves",
    )
    run.finish(result)
    clock.seconds["end: W&B"] = clock.since_begin()
    drawing = drawing_process().running
    assert drawing is not None
    spent = psutil.Process(drawing.pid).cpu_times()
    clock.seconds["beside: the process that draws"] = spent.user + spent.system
    return clock.seconds


#: What is compared, and how it trains.
KINDS = {"bare": train_bare, "trial": train_as_trial}


def timeline(folder: Path) -> Iterator[tuple[float, str]]:
    """Yields the seconds since the first file of a study at which it got ready, and what with."""
    found = [(folder / "environment.json", "checked, record begun"), (folder / "report.html", "report written")]
    for trial in sorted((folder / "trials").iterdir()):
        told = ("point.yaml", "started"), ("train.log", "left its training"), ("ended.yaml", "ended, W&B closed")
        found += [(trial / name, f"trial {trial.name} {what}") for name, what in told]
        rows = [json.loads(line) for line in (trial / "epochs.jsonl").read_text().splitlines()]
        yield -1.0, f"trial {trial.name}: {sum(row['seconds'] for row in rows):.1f} s in {len(rows)} epochs"
    began = min(path.stat().st_mtime for path, _ in found)
    yield from sorted((path.stat().st_mtime - began, what) for path, what in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--model", default="yolo11n-seg.yaml")
    parser.add_argument("--imgsz", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--task", help="used by the script itself: what to train, as JSON")
    options = parser.parse_args()
    if options.task:
        task = json.loads(options.task)
        return print("seconds", json.dumps(KINDS[task["kind"]](task)))
    if options.study:
        for seconds, what in timeline(options.study):
            print(f"{seconds:8.1f} s  {what}" if seconds >= 0 else f"            {what}")
        return None
    options.trials, options.cpus, options.device = 1, None, "cpu"
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as place:
        options.work = Path(place)
        task = overhead.make_task(options)
        for number in range(options.rounds):
            for kind, results in found.items():
                folder = options.work / f"{kind}-{number}"
                folder.mkdir()
                words = json.dumps({**task, "kind": kind, "folder": str(folder)})
                command = [sys.executable, "-m", "benchmarks.cost.profile_trial", "--task", words]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                results.append(json.loads(said.splitlines()[-1].removeprefix("seconds ")))
    print_table(found, options.epochs)


def print_table(found: dict[str, list[dict[str, float]]], epochs: int) -> None:
    """Prints the median seconds of each part of both trainings."""
    middle = {
        kind: {part: statistics.median(one.get(part, 0.0) for one in results) for part in set().union(*results)}
        for kind, results in found.items()
    }
    order = {part: at for at, part in enumerate(["begin: Python, imports", *(part for part, *_ in PARTS + OURS)])}
    print("| part | bare, s | trial, s | trial, ms an epoch |\n|---|---:|---:|---:|")
    parts = set().union(*middle.values())
    for part in sorted(parts, key=lambda part: (part.split(":")[0], order.get(part, 99))):
        cells = [f"{own.get(part, 0.0):.2f}" for own in middle.values()]
        each = f"{1000 * middle['trial'].get(part, 0.0) / epochs:.0f}" if part.startswith("epoch") else ""
        print("|", " | ".join([part, *cells, each]), "|")
    print("|", " | ".join(["all", *(f"{sum(own.values()):.2f}" for own in middle.values())]), "| |")


if __name__ == "__main__":
    main()
