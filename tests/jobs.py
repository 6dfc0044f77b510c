"""What trainings of the tests are told, and trainings without a study around them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.config.space import Point
from yolotune.record.verdict import Ending
from yolotune.training.job import Job, Order

if TYPE_CHECKING:
    from yolotune.training.trainer import TrialTraining

POINT: Point = {"lr0": 0.01, "box": 7.0, "batch": 4}
FIXED: dict[str, Any] = {
    "imgsz": 64,
    "seed": 0,
    "optimizer": "AdamW",
    "warmup_bias_lr": 0.0,
    "nbs": 8,
    "close_mosaic": 1,
    "plots": False,  # which takes longer than the training
}


def make_job(data: Path, folder: Path, **settings: Any) -> Job:
    """Returns what trainings of a few epochs on shapes are told, from random weights."""
    from yolotune.data.dataset import load_dataset
    from yolotune.data.index import build_index, write_resolved, write_train_subset

    dataset = load_dataset(data)
    job = Job(
        model="yolo11n-seg.yaml",
        data=write_resolved(dataset, folder),
        epochs=3,
        fixed=FIXED,
        indexes={split: build_index(dataset, split, folder) for split in ("train", "val")},
        train_subset=write_train_subset(dataset, folder),
    )
    return dataclasses.replace(job, **settings)


def changed(job: Job, *, fixed: dict[str, Any] | None = None, **settings: Any) -> Job:
    """Returns a job with other settings, and other fixed arguments among those it has."""
    return dataclasses.replace(job, fixed={**job.fixed, **(fixed or {})}, **settings)


def train(
    job: Job,
    folder: Path,
    *,
    point: Point = POINT,
    after: int | None = None,
    order: Order = Order.STOP,
    resume: Path | None = None,
) -> tuple[TrialTraining, list[dict[str, Any]]]:
    """Trains in this process, without a session, and returns the trainer and its reports.

    Args:
        job: What is trained.
        folder: Of the trial.
        point: Hyperparameters.
        after: Epoch after which an order is given; None trains all epochs.
        order: The order.
        resume: A last.pt to continue from.
    """
    from yolotune.training.tasks import make_trainer

    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], ending: Ending | None) -> Order:
        rows.append(row)
        return order if row["epoch"] == after else Order.GO

    trainer = make_trainer(job, point, folder, on_epoch, resume)
    trainer.train()
    trainer.curves.wait()
    return trainer, rows


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns epoch reports without what the clock says."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
