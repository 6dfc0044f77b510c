"""Which class trains which Ultralytics task. Light: a class is imported when it is first needed.

A task is added with one file, which holds a trainer as `segment.py` does, and one line: `register_task`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from yolotune.config.isolation import isolate
from yolotune.config.space import Point
from yolotune.errors import did_you_mean, fail
from yolotune.training.job import Job

if TYPE_CHECKING:
    from yolotune.training.trainer import OnEpoch, TrialTraining

_TASKS: dict[str, str] = {}


def register_task(name: str, trainer: str) -> None:
    """Adds the training of an Ultralytics task.

    Args:
        name: As Ultralytics says it, such as `detect`.
        trainer: Where its trainer is, as `package.module:Class`; the class is a `TrialTraining`. It is imported where a
            training begins, since it brings torch and Ultralytics with it.
    """
    _TASKS[name] = trainer


def task_named(name: str) -> type[TrialTraining]:
    """Returns the trainer of a task, after preparing the process for importing Ultralytics.

    Raises:
        UserError: No such task is registered.
    """
    if name not in _TASKS:
        what = f"got {name!r}, expected one of {', '.join(_TASKS)}.{did_you_mean(name, _TASKS)}"
        raise fail("task", what, "correct the name, or register the task.")
    isolate()
    module, _, trainer = _TASKS[name].partition(":")
    found: type[TrialTraining] = getattr(importlib.import_module(module), trainer)
    return found


def make_trainer(job: Job, point: Point, folder: Path, on_epoch: OnEpoch, resume: Path | None = None) -> TrialTraining:
    """Returns what trains one point of a study; `train()` begins.

    Args:
        job: What all trainings of the study are told.
        point: Hyperparameters.
        folder: Of the trial.
        on_epoch: Receives each epoch report, and says how to continue.
        resume: A last.pt to continue from.
    """
    return task_named(job.task)(job, point, folder, on_epoch, resume)


register_task("segment", "yolotune.training.segment:SegmentTrialTrainer")
