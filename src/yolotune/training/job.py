"""What all trainings of a study are told; light enough to be sent to every trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from yolotune.config.space import Point


class Order(Enum):
    """What a training is told after an epoch."""

    GO = "go"
    STOP = "stop"  # it has ended: evaluate best.pt, draw the curves
    LEAVE = "leave"  # it continues another time: keep last.pt as it is, and leave at once


@dataclass(frozen=True)
class Job:
    """What all trainings of a study have in common.

    Attributes:
        model: Absolute path of weights (.pt), or the name of an architecture (.yaml).
        data: The resolved data.yaml: absolute paths only.
        epochs: Length of a training that nothing stops.
        fixed: Ultralytics arguments beside the point.
        task: Ultralytics task, registered in `tasks.py`.
        metric: The objective by the record's name; `best.pt` follows it.
        mode: `max` or `min`.
        objective: Computes the objective from an epoch report, which then holds it under `metric`; None where `metric`
            is one that every training reports.
        callbacks: Functions by Ultralytics event (`ultralytics_api.EVENTS`), each called with the trainer.
        indexes: Label index by split (`data/index.py`).
        images: Folder of the decoded images that trainings of a machine share; None for each to decode its own.
        train_subset: Text file that lists the training images on which the train metrics are measured; None for none.
        device: `cpu` or a CUDA index as the trial's process sees it.
        threads: CPU threads of one trial.
        workers: Data loader processes of one trial; Ultralytics uses none on a CPU.
        keep_last: Whether last.pt stays beside best.pt when the training has ended.
    """

    model: str
    data: Path
    epochs: int
    fixed: dict[str, Any] = field(default_factory=dict)
    task: str = "segment"
    metric: str = "seg_metrics/F1"
    mode: str = "max"
    objective: Callable[[Mapping[str, Any]], float] | None = None
    callbacks: Mapping[str, Sequence[Callable[[Any], None]]] = field(default_factory=dict)
    indexes: dict[str, Path] = field(default_factory=dict)
    images: Path | None = None
    train_subset: Path | None = None
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    keep_last: bool = False

    def arguments(self, point: Point, folder: Path) -> dict[str, Any]:
        """Returns the Ultralytics arguments of one training, in a folder of its own."""
        return {
            "patience": 0,  # the study's own rules stop a trial; 0 switches Ultralytics' off
            "workers": self.workers,
            **self.fixed,
            **point,
            "task": self.task,
            "mode": "train",
            "model": self.model,
            "data": str(self.data),
            "epochs": self.epochs,
            "device": self.device,
            "save_dir": str(folder / "curves"),
            "save": True,
            "val": True,
            "cache": False,  # of Ultralytics' own: `images` takes its place
        }
