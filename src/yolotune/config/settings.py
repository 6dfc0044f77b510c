"""The settings of a study: plain data, checked value by value.

They are made by laying a preset, a study file and flags over each other (`layers.py`). What can only be said with the
whole study in view, such as the number of trials that a budget carries, is worked out by `schedulers.resolve`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import SerializeAsAny, ValidationInfo, field_validator

from yolotune import metrics
from yolotune.config import space
from yolotune.config.base import Strict, epochs_of, setting
from yolotune.config.budget import Budget
from yolotune.config.effort import Effort
from yolotune.config.scheduling import (
    AshaSettings,
    PlateauSettings,
    SchedulerSettings,
    UnknownScheduler,
    read_scheduler,
)
from yolotune.config.space import Point, Space
from yolotune.errors import Problem

#: Pixels of which `imgsz` is a multiple; Ultralytics rounds it up (`ultralytics/utils/checks.py: check_imgsz`).
STRIDE = 32


class Settings(Strict):
    """What one study is told: a search over one dataset.

    Example:
        >>> settings = Settings(data="data.yaml", epochs=30, space={"lr0": "loguniform(1e-5, 1e-2)"})
        >>> settings.metric, settings.direction
        ('seg_metrics/F1', 'max')
    """

    data: str = setting(description="data.yaml of the dataset.", panel="Study")
    model: str = setting("yolo11n-seg.pt", "Weights (.pt) or architecture (.yaml).", panel="Study")
    project: str | None = setting(None, "Folder below runs/tune, and the project of the tracker.", panel="Study")
    name: str = setting("study", "Name of the study and of its folder.", panel="Study")
    exist_ok: bool = setting(False, "Use the folder even if it exists.", panel="Study")
    preset: Literal["yolo11-seg", "guide", "none"] = setting(
        "yolo11-seg", "Where all that is not given comes from: yolo11-seg, guide or none.", panel="Search"
    )
    epochs: int = setting(250, "Epochs of a trial that nothing stops.", panel="Study", ge=1)
    imgsz: int = setting(640, "Image size in pixels.", panel="Study", ge=32)
    effort: Effort | None = setting(
        "balanced", "quick, balanced or thorough: chooses number of trials, grace period and factor.", panel="Study"
    )
    budget: str | None = setting(
        None, "What the study may cost: 2000 (epochs), 8h, 90m or 30s; then it ends, to be resumed.", panel="Study"
    )
    num_samples: int | None = setting(
        None, "Number of trials, initial points included. By effort or budget if not given.", panel="Study", ge=1
    )
    concurrent: int | Literal["auto"] = setting(
        "auto", "Trials at the same time; auto opens as many slots as fit and pay, once trial 0 runs.", panel="Study"
    )
    gpus: float | None = setting(
        None, "GPUs of the study; a trial gets gpus/concurrent. All if not given.", panel="Resources", ge=0
    )
    cpus: int | None = setting(
        None, "CPU cores of the study; a trial gets cpus/concurrent. All if not given.", panel="Resources", ge=1
    )
    device: str | None = setting(None, "cpu, or the GPUs the study may use: 0 or 0,1.", panel="Resources")
    address: str | None = setting(
        None,
        "Ray cluster to join: auto or host:port. RAY_ADDRESS, or a Ray of its own, if not given.",
        panel="Resources",
    )
    storage: str | None = setting(None, "Folder in place of runs/tune; a cluster must share it.", panel="Study")
    keep_weights: str = setting(
        "all", "Whose best.pt is kept: all, best or top-5. Trial 0 keeps its own.", panel="Study"
    )
    allow_bad_labels: bool = setting(False, "Leave images with bad labels out instead of refusing them.", panel="Study")
    objective: str = setting(metrics.DEFAULT_OBJECTIVE, "Metric that is searched.", panel="Search")
    mode: Literal["max", "min"] | None = setting(
        None, "Direction of the objective: max or min. Known from its name if not given.", panel="Search"
    )
    tracker: str = setting("wandb", "Where trials are tracked: wandb or none.", panel="Study")
    wandb: Literal["auto", "online", "offline", "disabled"] = setting(
        "auto", "W&B: auto, online, offline or disabled. auto is online where a key is there.", panel="Study"
    )
    max_failures: int = setting(2, "Restarts of a trial whose process or node died.", panel="Resources", ge=0)
    search: str = setting(
        "auto", "Sampler: auto, tpe, tpe-multivariate, gp, random or grid. auto: gp after a warm start.", panel="Search"
    )
    seed: int = setting(0, "Seed of the search and of every training.", panel="Study", ge=0, lt=2**32)
    space: dict[str, Any] = setting(description="YAML file of the search space.", panel="Search")
    points: list[str | dict[str, Any]] = setting(
        default_factory=list, description="YAML file of initial points; repeatable.", panel="Search"
    )
    points_strict: bool = setting(
        False, "Refuse initial points that do not give every searched argument.", panel="Search"
    )
    warm_start: list[str] = setting(
        default_factory=list,
        description="Folder of an earlier study: its best points are tried early; repeatable.",
        panel="Search",
    )
    top: int = setting(3, "How many points of each earlier study, at most.", panel="Search", ge=1)
    train: dict[str, Any] = setting(
        default_factory=dict, description="Ultralytics arguments that are the same in all trials."
    )
    scheduler: SerializeAsAny[SchedulerSettings] = setting(
        default_factory=AshaSettings,
        description="Early stopping against other trials: asha, halving (in batches, with pauses) or none.",
        panel="Early stopping",
    )
    plateau: PlateauSettings | None = setting(None, "Early stopping of a trial that has converged; null for none.")

    @field_validator("effort")
    @classmethod
    def _not_beside_the_guide(cls, given: Effort | None, info: ValidationInfo) -> Effort | None:
        if given is not None and info.data.get("preset") == "guide":
            raise ValueError("The preset guide has the guide's own numbers: leave one of the two out")
        return given

    @field_validator("name")
    @classmethod
    def _folder_name(cls, name: str) -> str:
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ValueError("A plain folder name is expected; `project` takes a path")
        if name.startswith("-") or not name.isprintable():
            raise ValueError("A name without control characters is expected, which does not begin with a dash")
        if len(name.encode()) > 200:  # file systems take 255 bytes, and `-2` may be added
            raise ValueError(f"At most 200 bytes are expected, got {len(name.encode())}")
        return name

    @field_validator("project")
    @classmethod
    def _plain_project(cls, project: str | None) -> str | None:
        if project is not None and (project.startswith("-") or not project.isprintable()):
            raise ValueError("A name or path without control characters is expected, which does not begin with a dash")
        return project

    @field_validator("concurrent", mode="before")
    @classmethod
    def _auto_or_number(cls, given: Any) -> Any:
        number = int(given) if isinstance(given, str) and given.isdecimal() else given
        if given != "auto" and (type(number) is not int or number < 1):
            raise ValueError("auto or a number of at least 1 is expected")
        return number

    @field_validator("warm_start", mode="before")
    @classmethod
    def _list_of_folders(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else [] if given is None else given

    @field_validator("keep_weights")
    @classmethod
    def _weights_policy(cls, given: str) -> str:
        if not re.fullmatch(r"all|best|top-[1-9]\d{0,5}", given):
            raise ValueError("all, best or a number such as top-5 is expected")
        return given

    @field_validator("budget")
    @classmethod
    def _readable_budget(cls, given: str | None) -> str | None:
        if given is not None:
            Budget.parse(given)
        return given

    @field_validator("space", mode="before")
    @classmethod
    def _space_in_words(cls, given: Any) -> Any:
        """Puts distributions given as objects into words, as study.yaml keeps them."""
        if not isinstance(given, Mapping):
            return given
        return {name: space.in_words(value) for name, value in given.items()}

    @field_validator("objective")
    @classmethod
    def _reported(cls, name: str) -> str:
        metrics.checked(name, "objective")
        return name

    @field_validator("scheduler", mode="before")
    @classmethod
    def _tagged(cls, given: Any) -> Any:
        return read_scheduler(given)

    # --- what follows from them; nothing of this is stored -------------------------------------------------------

    @property
    def metric(self) -> str:
        """The objective by the record's name."""
        return metrics.canonical(self.objective)

    @property
    def direction(self) -> Literal["max", "min"]:
        """What is better of the objective: `max` or `min`."""
        return self.mode or ("max" if metrics.best_direction(self.objective) == "max" else "min")

    @property
    def trials(self) -> int:
        """Number of trials of settings that were resolved.

        Raises:
            ValueError: They were not: `num_samples` is not known yet.
        """
        if self.num_samples is None:
            raise ValueError("num_samples is None: call yolotune.schedulers.resolve first")
        return self.num_samples

    @property
    def cost_limit(self) -> Budget:
        """What the study may cost at most; an empty budget where there is no limit."""
        return Budget() if self.budget is None else Budget.parse(self.budget)

    @property
    def weights_kept(self) -> int | None:
        """How many trials keep their best.pt, None for all."""
        if self.keep_weights == "all":
            return None
        return int(self.keep_weights.removeprefix("top-")) if self.keep_weights != "best" else 1

    @cached_property
    def parsed(self) -> tuple[Space, Point, list[Problem]]:
        """The space as distributions, its fixed values, and what could not be read."""
        return space.parse_space(self.space, "space")

    @property
    def domains(self) -> Space:
        """What varies, by Ultralytics argument."""
        return self.parsed[0]

    @property
    def fixed(self) -> dict[str, Any]:
        """The Ultralytics arguments that are the same in every trial; shares of the epochs are worked out."""
        imgsz = math.ceil(self.imgsz / STRIDE) * STRIDE
        fixed = {"imgsz": imgsz, "seed": self.seed, **self.train, **self.parsed[1]}
        share = fixed.get("close_mosaic")
        if isinstance(share, float) and 0 < share < 1:
            fixed["close_mosaic"] = min(epochs_of(share, self.epochs), self.epochs - 1)
        return fixed


def recorded_settings(settings: Mapping[str, Any]) -> Settings:
    """Returns the settings in a study.yaml of this version, a scheduler that is not registered included."""
    read = read_scheduler(settings.get("scheduler"), lenient=True)
    return Settings(**{**settings, "scheduler": read})


def is_known(scheduler: SchedulerSettings) -> bool:
    """Whether a scheduler is registered here, so that a recorded study can continue with it."""
    return not isinstance(scheduler, UnknownScheduler)
