"""What a study's driver pays per epoch report and per suggestion, with 10 to 5,000 trials in its record.

The real record, searcher, ASHA, plateau stopper and keeper, called as Ray Tune calls them; no trial trains, so that
what is measured is the driver alone. CPU time of this process; `fsync` is waiting, so it shows in wall time only.

    python benchmarks/scale.py [--trials 10 100 1000 5000]
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from yolotune.config.points import default_point
from yolotune.config.settings import Settings
from yolotune.record.study import Ending, Verdict, read_study
from yolotune.record.writer import Record
from yolotune.schedulers.plateau import Asha, Endings
from yolotune.schedulers.stop import Stop
from yolotune.search.optimizer import OptunaSearcher
from yolotune.tracking.wandb_study import NullStudyRun
from yolotune.tuner.callbacks import RecordKeeper, StudyStopper
from yolotune.tuner.plan import Listener, Plan, Resources

EPOCHS = 30
F1 = "seg_metrics/F1"
MORE = [f"{part}_{split}/{name}" for part in ("seg", "box") for split in ("val", "train") for name in "abcdef"]


def row(number: int, epoch: int) -> dict[str, Any]:
    """A report of the size that trainings make."""
    value = random.Random(number).random() * (1 - math.exp(-epoch / 8))
    return {"epoch": epoch, F1: value, "train_seg_metrics/F1": value, **dict.fromkeys(MORE, value), "seconds": 3.2}


def write_record(record: Record, study: Settings, trials: int) -> None:
    """A study of many ended trials, half of them pruned at the first rung; written without waiting for the disk."""
    import yolotune.record.writer as room

    room.os.fsync = lambda descriptor: None  # type: ignore[assignment]
    record.create(study.model_dump(), {})
    names = study.domains
    for number in range(trials):
        draw = random.Random(number)
        point = {name: domain.ends()[0] for name, domain in names.items()} | {"lr0": draw.uniform(1e-4, 1e-2)}
        record.start(number, point)
        epochs = EPOCHS if number % 2 else study.grace_period
        for epoch in range(1, epochs + 1):
            record.append(number, row(number, epoch))
        record.end(number, Ending(Verdict.COMPLETED if number % 2 else Verdict.PRUNED, "a reason"), {})


def timed(call: Any, times: int) -> tuple[float, float]:
    """Returns milliseconds of CPU and of wall time per call."""
    cpu, wall = time.process_time(), time.perf_counter()
    for place in range(times):
        call(place)
    return 1000 * (time.process_time() - cpu) / times, 1000 * (time.perf_counter() - wall) / times


def measure(trials: int) -> str:
    folder = Path(tempfile.mkdtemp(prefix="scale-")) / "study"
    study = Settings(data="d.yaml", epochs=EPOCHS, num_samples=trials + 100, wandb="disabled")
    record = Record(folder, metric=F1, mode="max")
    from os import fsync

    write_record(record, study, trials)
    import yolotune.record.writer as room

    room.os.fsync = fsync  # type: ignore[assignment]
    began = time.perf_counter()
    recorded = read_study(folder).trials
    reading = time.perf_counter() - began
    endings, stop = Endings(), Stop()
    began = time.perf_counter()
    searcher = OptunaSearcher(study, [default_point(study.domains, 1)[0]], endings, stop, None, recorded)
    scheduler = Asha(study, endings)
    scheduler.rebuild((trial.number, trial.point, trial.epochs) for trial in recorded)
    filling = time.perf_counter() - began
    plan = Plan(study, None, "m", [], [], Resources(0, 2, 0, 2), "disabled", 0, [])  # type: ignore[arg-type]
    keeper = RecordKeeper(record, plan, endings, Listener(), NullStudyRun(), stop, recorded)
    stopper = StudyStopper(study, endings, stop)
    asked: list[Any] = []
    suggest = timed(lambda place: asked.append(searcher.suggest(f"t{place}")), 10)
    ray_trials = [SimpleNamespace(config=config, trial_id=f"t{i}") for i, config in enumerate(asked)]
    for trial in ray_trials:
        keeper.on_trial_start(0, [], trial)  # type: ignore[arg-type]

    def report(place: int) -> None:
        trial, epoch = ray_trials[place % 10], place // 10 + 1
        made = row(trial.config["number"], epoch)
        result = {
            "epoch": epoch,
            F1: made[F1],
            "report": made,
            "effective": {},
            "config": trial.config,
            "hostname": "h",
            "pid": 1,
        }
        stopper(trial.trial_id, result)
        searcher.on_trial_result(trial.trial_id, result)
        scheduler.on_trial_result(None, trial, result)  # type: ignore[arg-type]
        keeper.on_trial_result(0, [], trial, result)  # type: ignore[arg-type]

    reports = timed(report, 10 * EPOCHS)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"| {trials:,} | {reading:.2f} | {filling:.2f} | {suggest[0]:.0f} | {reports[0]:.2f} | {reports[1]:.2f} "
        f"| {memory:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 5000])
    print("| trials | read, s | fill searcher and rungs, s | suggestion, ms CPU | report, ms CPU | report, ms | MB |")
    print("|---|---|---|---|---|---|---|")
    for trials in parser.parse_args().trials:
        print(measure(trials), flush=True)


if __name__ == "__main__":
    main()
