"""Trainings without a study: what the benchmarks tell yolotune's own trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolotune.config.isolation import isolate
from yolotune.data.dataset import load_dataset
from yolotune.data.index import build_index, write_resolved, write_train_subset
from yolotune.training.job import Job


def make_job(
    data: str | Path, model: str, folder: Path, *, train_subset: bool = True, seed: int = 0, **job: Any
) -> Job:
    """Checks a dataset and returns the job of training on it.

    Args:
        data: data.yaml.
        model: Weights, whose path is made absolute, or the name of an architecture.
        folder: Where the label indexes go.
        train_subset: Whether the train metrics are measured, as in a study.
        seed: Of the images they are measured on.
        job: Further fields of `Job`; `epochs` is one that must be given.
    """
    isolate()
    dataset = load_dataset(data)
    return Job(
        model=str(Path(model).resolve()) if Path(model).exists() else model,
        data=write_resolved(dataset, folder),
        indexes={split: build_index(dataset, split, folder) for split in ("train", "val")},
        train_subset=write_train_subset(dataset, folder, seed=seed) if train_subset else None,
        **job,
    )
