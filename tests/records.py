"""Studies that were never trained: records as the driver writes them, with made curves and the real schedulers."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolotune.config.layers import make_settings
from yolotune.config.settings import Settings
from yolotune.config.space import Choice, Point, RandInt, Uniform
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.schedulers import Action, PausingScheduler, Report, Scheduler, make_scheduler, resolve

SPACE: dict[str, Any] = {
    "lr0": "loguniform(1e-4, 1e-1)",
    "momentum": "uniform(0.6, 0.98)",
    "warmup_epochs": "randint(0, 5)",
    "optimizer": "choice([AdamW, SGD])",
    "batch": "choice([8, 16, 32])",
}
ENVIRONMENT: dict[str, Any] = {
    "started": "2026-11-01T10:00:00+0000",
    "versions": {"yolotune": "0.1.0", "ultralytics": "8.4.190", "wandb": None},
    "python": "3.11.7",
    "machine": "Linux x86_64, 2 cores",
    "gpus": [],
    "git": None,
    "dataset": {
        "yaml": "/data/data.yaml",
        "fingerprint": "ab" * 32,
        "images": {"train": 400, "val": 200},
        "instances": {"train": 2500, "val": 1200},
        "names": {"0": "person"},
    },
    "seed": 0,
    "notes": [],
}


class Trial(NamedTuple):
    """A trial as far as it was trained: its epoch reports, and how it ended; None for one that runs."""

    point: Point
    rows: Sequence[dict[str, Any]]
    ending: Ending | None


def point_of(settings: Settings, rng: random.Random) -> Point:
    point: Point = {}
    for name, domain in settings.domains.items():
        if isinstance(domain, Uniform):
            low, high = (math.log(end) if domain.log else end for end in (domain.low, domain.high))
            at = rng.uniform(low, high)
            point[name] = math.exp(at) if domain.log else at
        elif isinstance(domain, RandInt):
            point[name] = rng.randrange(domain.low, domain.high)
        elif isinstance(domain, Choice):
            point[name] = rng.choice(domain.options)
    return point


def write_study(
    folder: Path,
    *,
    trials: int,
    values: Mapping[int, list[float]] | None = None,
    endings: Mapping[int, Ending | None] | None = None,
    environment: Mapping[str, Any] | None = None,
    train_metrics: bool = True,
    seed: int = 0,
    **settings: Any,
) -> Path:
    """Writes a study whose curves rise to a level that lr0 alone decides, and returns its folder.

    Args:
        folder: Where to put it; it must not exist.
        trials: Number of trials; trial 0 is always run in full.
        values: Objective by epoch, of trials that are to have another curve.
        endings: Of trials that are to end otherwise; None for one that runs.
        environment: Of environment.json.
        train_metrics: Whether trials report the train split.
        seed: Of points and noise.
        settings: Of the study.
    """
    given = {"data": "/data/data.yaml", "epochs": 30, "num_samples": max(1, trials), "space": SPACE}
    study = resolve(make_settings(**{**given, **settings}))
    own, rng = values or {}, random.Random(seed)
    full = []
    for number in range(trials):
        point = point_of(study, rng)
        curve = own[number] if number in own else _curve(study, point, rng)
        rows = [_row(study, epoch, value, train_metrics) for epoch, value in enumerate(curve, start=1)]
        full.append(Trial(point, rows, Ending(Verdict.COMPLETED, f"all {study.epochs} epochs")))
    scheduler = make_scheduler(study)
    if isinstance(scheduler, PausingScheduler):
        trained = _in_turns(scheduler, full)
    else:
        trained = [_trained(scheduler, number, trial, {0, *own}) for number, trial in enumerate(full)]
    given_endings = endings or {}
    trained = [trial._replace(ending=given_endings.get(n, trial.ending)) for n, trial in enumerate(trained)]
    _write(RecordWriter(folder, metric=study.metric, mode=study.direction, uid="abcdef01"), study, trained, environment)
    return folder


def _write(
    record: RecordWriter, settings: Settings, trials: Sequence[Trial], environment: Mapping[str, Any] | None
) -> None:
    record.create(settings.model_dump(), ENVIRONMENT if environment is None else environment)
    for number, (point, rows, ending) in enumerate(trials):
        record.start(number, point)
        for row in rows:
            record.append(number, row)
        value = record.end(number, ending, {}) if ending is not None else None
        if value is not None:
            record.update_best(number, value, point)


def _trained(scheduler: Scheduler, number: int, trial: Trial, uncut: set[int]) -> Trial:
    """Returns how far a trial trains, and how it ends; one that is not to be cut counts at the rungs all the same."""
    for place, row in enumerate(trial.rows, start=1):
        decision = scheduler.judge(Report(number, trial.point, place, row))
        if decision.ending and number not in uncut:
            return trial._replace(rows=trial.rows[:place], ending=decision.ending)
    return trial


def _in_turns(scheduler: PausingScheduler, trials: Sequence[Trial]) -> list[Trial]:
    """Returns how far trials train that wait for each other, one at a time, and how they end."""
    scheduler.limit(len(trials))
    found = [trial._replace(rows=[], ending=None) for trial in trials]
    while (turn := scheduler.next_turn(())) is not None:
        number, ending = turn.number, turn.ending
        (point, rows, whole), trained = trials[number], len(found[number].rows)
        action = Action.CONTINUE
        while ending is None and action is Action.CONTINUE:
            if trained < len(rows):
                trained += 1
                decision = scheduler.judge(Report(number, point, trained, rows[trained - 1]))
                action, ending = decision.action, decision.ending
            else:
                ending = whole
        found[number] = Trial(point, rows[:trained], ending)
        if ending is not None:
            scheduler.end(number, ending.verdict)
    return found


def _curve(settings: Settings, point: Point, rng: random.Random) -> list[float]:
    level = 0.8 - 0.2 * abs(math.log10(float(point.get("lr0", 0.003)) / 0.003))
    noise = (rng.gauss(0, 0.004) for _ in range(settings.epochs))
    rising = [level * (1 - math.exp(-(epoch + 1) / 6)) + jitter for epoch, jitter in enumerate(noise)]
    return rising if settings.direction == "max" else [2.0 - value for value in rising]


def _row(settings: Settings, epoch: int, value: float, train_metrics: bool) -> dict[str, Any]:
    score = value if settings.metric == "seg_metrics/F1" else 0.5
    row = {"epoch": epoch, "seconds": 2.5, "seg_metrics/F1": score, settings.metric: value}
    if train_metrics:
        row |= {"train_seg_metrics/F1": score + 0.01 * epoch, "train/seg": 1.0 / epoch}
    return row
