"""What trainings of the tests are told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from yolotune.training.job import Job


def make_job(data: Path, folder: Path, **settings: object) -> Job:
    """Returns what trainings of a few epochs on shapes are told, from random weights."""
    from yolotune.data.dataset import build_index, load_dataset, write_resolved, write_train_subset

    dataset = load_dataset(data)
    job = Job(
        model="yolo11n-seg.yaml",
        data=write_resolved(dataset, folder),
        epochs=3,
        fixed={"imgsz": 64, "seed": 0, "optimizer": "AdamW", "warmup_bias_lr": 0.0, "nbs": 8, "close_mosaic": 1},
        indexes={split: build_index(dataset, split, folder) for split in ("train", "val")},
        train_subset=write_train_subset(dataset, folder),
    )
    return dataclasses.replace(job, **settings)  # type: ignore[arg-type]
