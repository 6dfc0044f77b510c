"""What a study is about to do, found to be right by `check`, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.data.dataset import Dataset
from yolotune.record.study import Ending, TrialRecord
from yolotune.search.warm_start import Warm


@dataclass(frozen=True)
class Resources:
    """What the study has, and what one trial gets of it.

    Attributes:
        gpus: GPUs of the study.
        cpus: CPU cores of the study.
        gpu_share: GPUs per trial, gpus / concurrent as in the guide.
        cpu_share: Cores per trial, cpus / concurrent.
        visible: Value for CUDA_VISIBLE_DEVICES where `device` names GPUs; None to leave it.
        one_thread: Whether a training has too little to do for a second thread.
    """

    gpus: float
    cpus: int
    gpu_share: float
    cpu_share: float
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
class Plan:
    """A checked study: everything `run` needs, found to be right.

    Attributes:
        study: The settings.
        dataset: The data.
        model: Absolute path of weights, or the name of an architecture.
        points: Initial points, the defaults first.
        resources: Shares of CPU and GPU.
        wandb: How W&B is used: online, offline or disabled.
        disk: Bytes that the study fills at most.
        warm: Those of the points that earlier studies gave.
        notes: What the user should know but need not mend, in words.
        folder: Where it is kept; None leaves that to the settings.
        origin: The search whose points it trains again; None for a search.
        keep_last: Whether last.pt is kept too.
    """

    study: Settings
    dataset: Dataset
    model: str
    points: list[Point]
    warm: Warm
    resources: Resources
    wandb: str
    disk: int
    notes: list[str]
    folder: Path | None = None
    origin: Origin | None = None
    keep_last: bool = False

    def hyperparameters(self, point: Point, effective: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all that `yolo segment train` needs beside `data=` to train a point as a trial did."""
        return hyperparameters(self.study, self.model, point, effective)


def hyperparameters(study: Settings, model: str, point: Point, effective: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all that `yolo segment train` needs beside `data=` to train a point as a trial of a study did.

    Args:
        study: The settings.
        model: As trials load it.
        point: What varies.
        effective: Arguments that became something else than was asked.
    """
    return {"model": model, "epochs": study.epochs, **study.fixed, **point, **effective}


class Listener:
    """Who is told what happens, as it happens; this one says nothing."""

    def study_started(self, folder: Path, plan: Plan) -> None: ...
    def trials_recorded(self, trials: Sequence[TrialRecord]) -> None: ...  # of a study that goes on, before its first
    def trial_started(self, number: int, point: Point) -> None: ...
    def epoch_reported(self, number: int, row: dict[str, Any]) -> None: ...
    def trial_paused(self, number: int) -> None: ...
    def trial_resumed(self, number: int) -> None: ...  # after a pause
    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None: ...
    def interrupted(self) -> None: ...
    def report_written(self, path: Path) -> None: ...
    def note(self, text: str) -> None: ...
