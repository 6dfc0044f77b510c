"""What a study is about to do, found to be right by `check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.data.dataset import Dataset
from yolotune.data.doctor import Examination
from yolotune.record.provenance import Origin
from yolotune.search import Sampler
from yolotune.search.warm_start import Warm


@dataclass(frozen=True)
class Resources:
    """What the study has, and what one trial gets of it.

    Attributes:
        gpus: GPUs of the study.
        cpus: CPU cores of the study.
        slots: Trials at a time, at most.
        auto: Whether the study begins with one slot, and opens the others as they fit.
        gpu_share: GPUs per trial, gpus / slots as in the guide.
        cpu_share: Cores per trial, cpus / slots.
        cards: Cards of this machine over which the slots are spread; 0 where there are none, or where Ray places the
            trials on the nodes of a cluster.
        visible: Value for CUDA_VISIBLE_DEVICES where `device` names GPUs; None to leave it.
        one_thread: Whether a training has too little to do for a second thread.
    """

    gpus: float
    cpus: int
    slots: int
    auto: bool
    gpu_share: float
    cpu_share: float
    cards: int = 0
    visible: str | None = None
    one_thread: bool = False

    @property
    def threads(self) -> int:
        """OpenMP threads of one training."""
        return 1 if self.one_thread else max(1, int(self.cpu_share))

    @property
    def workers(self) -> int:
        """Data loader processes of one trial: its cores less the one that trains; Ultralytics' 8 at most."""
        return min(8, max(0, self.threads - 1)) if self.gpu_share else 0


@dataclass(frozen=True)
class Objects:
    """What only Python can give to a study; the record keeps their names, and `yolotune resume` cannot bring them back.

    Attributes:
        sampler: An Optuna sampler in place of `search`.
        objective: Computes the objective from an epoch report; higher is better unless `mode` says otherwise.
        callbacks: Ultralytics callbacks by event, such as `{"on_train_start": [print]}`; called in the trial's process.
    """

    sampler: Sampler | None = None
    objective: Callable[[Mapping[str, Any]], float] | None = None
    callbacks: Mapping[str, Sequence[Callable[[Any], None]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A checked study: everything `run` needs, found to be right.

    Attributes:
        settings: What the study is told, resolved.
        dataset: The data.
        model: Absolute path of weights, or the name of an architecture.
        points: Initial points, the defaults first.
        resources: Shares of CPU and GPU.
        tracking: Mode of the tracker, such as `online`, `offline` or `disabled`.
        disk: Bytes that the study fills at most.
        warm: Those of the points that earlier studies gave.
        notes: What the user should know but need not mend, in words.
        examined: What the dataset is, and what is likely wrong with it.
        folder: Where it is kept; None leaves that to the settings.
        origin: The search whose points it trains again; None for a search.
        keep_last: Whether last.pt is kept too.
        images: Bytes of the decoded images that the trainings of a machine share; 0 if each decodes its own.
        objects: What only Python can give.
    """

    settings: Settings
    dataset: Dataset
    model: str
    points: list[Point]
    warm: Warm
    resources: Resources
    tracking: str
    disk: int
    notes: list[str]
    examined: Examination = field(default_factory=lambda: Examination(None, ()))
    folder: Path | None = None
    origin: Origin | None = None
    keep_last: bool = False
    images: int = 0
    objects: Objects = field(default_factory=Objects)

    def hyperparameters(self, point: Point, effective: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all that `yolo segment train` needs beside `data=` to train a point as a trial did."""
        return hyperparameters(self.settings, self.model, point, effective)


def hyperparameters(settings: Settings, model: str, point: Point, effective: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all that `yolo segment train` needs beside `data=` to train a point as a trial of a study did.

    Args:
        settings: Of the study.
        model: As trials load it.
        point: What varies.
        effective: Arguments that became something else than was asked.
    """
    return {"model": model, "epochs": settings.epochs, **settings.fixed, **point, **effective}
