"""What a study's driver pays per epoch report and per suggestion, with 10 to 5,000 trials in its record.

    python -m benchmarks.cost.scale [--trials 10 100 1000 5000]

The conductor with the real record, search (TPE), scheduler (ASHA) and plateau rule, without Ray; no trial trains, so
that what is measured is the driver alone. CPU time of this process; `fsync` is waiting, so it shows in wall time only.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from yolotune.config.layers import make_settings
from yolotune.config.points import default_point
from yolotune.config.settings import Settings
from yolotune.record.study import TrialRecord, read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.schedulers import Action, PlateauRule, make_scheduler, resolve
from yolotune.search.optimizer import Optimizer
from yolotune.search.warm_start import Warm
from yolotune.tracking import NullTracker
from yolotune.tuner.conductor import Assignment, Conductor
from yolotune.tuner.events import Listener
from yolotune.tuner.parts import Parts
from yolotune.tuner.plan import Plan, Resources
from yolotune.tuner.stop import StudyStop

EPOCHS = 30
F1 = "seg_metrics/F1"
MORE = [f"{part}_{split}/{name}" for part in ("seg", "box") for split in ("val", "train") for name in "abcdef"]
#: Trials that report at the same time.
RUNNING = 10


def row(level: float, epoch: int) -> dict[str, Any]:
    """Returns a report of the size that trainings make, of a training that rises to a level."""
    value = level * (1 - math.exp(-epoch / 8))
    return {"epoch": epoch, F1: value, "train_seg_metrics/F1": value, **dict.fromkeys(MORE, value), "seconds": 3.2}


def write_record(record: RecordWriter, settings: Settings, trials: int) -> None:
    """Writes a study of many ended trials, half of them pruned at the fourth epoch, without waiting for the disk."""
    with mock.patch.object(os, "fsync"):
        record.create(settings.model_dump(), {})
        for number in range(trials):
            rng = random.Random(number)
            level = rng.random()
            point = {name: domain.ends()[0] for name, domain in settings.domains.items()}
            record.start(number, point | {"lr0": rng.uniform(1e-4, 1e-2)})
            for epoch in range(1, (EPOCHS if number % 2 else 4) + 1):
                record.append(number, row(level, epoch))
            record.end(number, Ending(Verdict.COMPLETED if number % 2 else Verdict.PRUNED, "a reason"), {})


def timed(call: Callable[[int], Any], times: int) -> tuple[float, float]:
    """Returns milliseconds of CPU and of wall time per call."""
    cpu, wall = time.process_time(), time.perf_counter()
    for place in range(times):
        call(place)
    return 1000 * (time.process_time() - cpu) / times, 1000 * (time.perf_counter() - wall) / times


def conductor_of(settings: Settings, record: RecordWriter, recorded: Sequence[TrialRecord]) -> Conductor:
    """Returns the conductor of a study that continues, filled from its record."""
    points = [default_point(settings.domains, 1)[0]]
    resources = Resources(gpus=0, cpus=2, gpu_share=0, cpu_share=2)
    dataset: Any = None  # nothing is trained
    plan = Plan(settings, dataset, "m", points, Warm([], [], []), resources, "disabled", 0, [])
    scheduler = make_scheduler(settings)
    scheduler.rebuild(recorded)
    parts = Parts(
        plan=plan,
        record=record,
        search=Optimizer(settings, points, recorded=recorded),
        scheduler=scheduler,
        plateau=PlateauRule(settings),
        tracking=NullTracker().open_study({}, settings.direction),
        listener=Listener(),
        stop=StudyStop(),
    )
    return Conductor(parts, recorded)


@dataclass
class Study:
    """A study that continues, with trials that only report."""

    conductor: Conductor
    running: list[Assignment]

    def begin(self, place: int) -> None:
        """Asks for a trial and starts it."""
        assignment = self.conductor.next_trial(busy=())
        assert assignment is not None
        self.running.append(assignment)

    def report(self, place: int) -> None:
        """Gives the conductor the next report of the trials in turn; they are the best, so that none is cut."""
        number = self.running[place % RUNNING].number
        decision = self.conductor.report(number, row(1.0, place // RUNNING + 1), None, {})
        assert decision.action is Action.CONTINUE


def measure(trials: int) -> str:
    """Returns a row of the table."""
    settings = resolve(
        make_settings(
            data="d.yaml",
            epochs=EPOCHS,
            num_samples=trials + 100,
            search="tpe",
            tracker="none",
            concurrent=RUNNING,
            plateau={"rule": "patience"},
        )
    )
    with tempfile.TemporaryDirectory(prefix="scale-") as place:
        folder = Path(place) / "study"
        record = RecordWriter(folder, metric=F1, mode="max")
        write_record(record, settings, trials)
        began = time.perf_counter()
        recorded = read_study(folder).trials
        reading = time.perf_counter() - began
        began = time.perf_counter()
        study = Study(conductor_of(settings, record, recorded), [])
        filling = time.perf_counter() - began
        suggest = timed(study.begin, RUNNING)
        for assignment in study.running:
            study.conductor.start(assignment)
        reports = timed(study.report, RUNNING * EPOCHS)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"| {trials:,} | {reading:.2f} | {filling:.2f} | {suggest[0]:.0f} | {reports[0]:.2f} | {reports[1]:.2f} "
        f"| {memory:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 5000])
    print("| trials | read, s | fill search and rungs, s | suggestion, ms CPU | report, ms CPU | report, ms | MB |")
    print("|---|---|---|---|---|---|---|")
    for trials in parser.parse_args().trials:
        print(measure(trials), flush=True)


if __name__ == "__main__":
    main()
