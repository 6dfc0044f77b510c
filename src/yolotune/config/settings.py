"""The study file: everything a study is told, in one model, from a preset, a YAML file, flags or Python.

Later wins: preset, then study file, then flags (`layers.merge`); what they leave open, effort and budget choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from yolotune import metrics
from yolotune._yaml import read_yaml
from yolotune.config import space
from yolotune.config.budget import Budget
from yolotune.config.early_stopping import Asha, Plateau, Strict, epochs_of
from yolotune.config.effort import CHOICES, Effort, Scheduler, rung_numbers, scheduler_of
from yolotune.config.layers import PRESETS, merge, read_preset
from yolotune.config.space import Point, Space
from yolotune.errors import Problem, UserError, did_you_mean, fail
from yolotune.schedulers.forecast import Forecast, Rules, forecast, trials_for

#: What the record adds to study.yaml, and what it said before there was `budget`.
RECORD_KEYS = frozenset(
    {"schema", "uid", "metric", "direction", "warm_points", "warm_from", "origin", "time_budget", "history"}
)
#: Ultralytics' own words for settings of a study; as trailing `key=value` they mean the same as the flag.
FLAG_FIELDS = frozenset({"data", "model", "epochs", "imgsz", "project", "name", "exist_ok", "device", "seed"})


class Study(Strict):
    """One search over one dataset, in one folder.

    Example:
        >>> study = Study(data="data.yaml", model="yolo11n-seg.yaml", epochs=30, num_samples=12)
        >>> study.grace_period, study.max_t
        (3, 31)
    """

    data: str = Field(description="Path of data.yaml.")
    model: str = Field("yolo11n-seg.pt", description="Weights (.pt) or architecture (.yaml) of a segmentation model.")
    project: str | None = Field(None, description="Folder below runs/tune, and the W&B project.")
    name: str = Field("study", description="Name of the study and of its folder.")
    exist_ok: bool = Field(False, description="Write into an existing folder instead of taking the next free name.")
    preset: Literal["yolo11-seg", "guide", "none"] = Field("yolo11-seg", description="Where the rest comes from.")
    epochs: int = Field(250, ge=1, description="Epochs of a trial that nothing stops.")
    imgsz: int = Field(640, ge=32, description="Image size in pixels.")
    effort: Effort | None = Field(None, description="Chooses scheduler, grace, factor and number of trials.")
    budget: str | None = Field(None, description="Ends the study in good order: 2000 (epochs), 8h, 90m or 30s.")
    num_samples: int = Field(50, ge=1, description="Number of trials, initial points included.")
    concurrent: int = Field(1, ge=1, description="Trials at a time.")
    gpus: float | None = Field(None, ge=0, description="GPUs for the study; all that are seen if not given.")
    cpus: int | None = Field(None, ge=1, description="CPU cores for the study; all that are seen if not given.")
    device: str | None = Field(None, description="'cpu', or the GPUs the study may use: '0' or '0,1'.")
    address: str | None = Field(None, description="Ray cluster to join: auto, or host:port. None: a Ray of its own.")
    storage: str | None = Field(None, description="Folder that takes the place of runs/tune; a cluster must share it.")
    keep_weights: str = Field(
        "all", description="Whose best.pt is kept: all, best, or the top-5. Trial 0 keeps its own."
    )
    allow_bad_labels: bool = Field(False, description="Leave images with bad labels out instead of refusing them.")
    objective: str = Field(metrics.DEFAULT_OBJECTIVE, description="The metric that is searched.")
    mode: Literal["max", "min"] | None = Field(None, description="Direction of the objective; known from its name.")
    wandb: Literal["auto", "online", "offline", "disabled"] = Field(
        "auto", description="W&B: auto is online where a key is there and the server answers, else offline."
    )
    max_failures: int = Field(2, ge=0, description="Restarts of a trial whose process or node died.")
    search: Literal["auto", "tpe", "tpe-multivariate", "gp", "random", "grid"] = Field(
        "auto", description="Optuna's sampler; auto: gp where a warm start gave points, otherwise tpe."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the search and of every training.")
    space: dict[str, Any] = Field(description="What may vary, or is fixed, by Ultralytics argument.")
    points: list[str | dict[str, Any]] = Field(default_factory=list, description="Initial points: files or maps.")
    warm_start: list[str] = Field(
        default_factory=list, description="Folders of earlier studies; their best points are tried early."
    )
    top: int = Field(3, ge=1, description="How many points of each study of warm_start, at most.")
    train: dict[str, Any] = Field(default_factory=dict, description="Fixed Ultralytics arguments.")
    scheduler: Scheduler = Field(
        "asha", description="Early stopping against other trials: asha, halving (in batches, with pauses), none."
    )
    asha: Asha | None = Field(None, description="The rungs of either; null for none.")
    plateau: Plateau | None = Field(None, description="Early stopping of a converged trial; null for none.")

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise UserError(_problems(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: dict[str, Any]) -> dict[str, Any]:
        name = given.get("preset", PRESETS[0])
        preset = {} if name == "none" else read_preset(name if name in PRESETS else PRESETS[0])
        return merge(preset, given)  # of a wrong name the first preset: it is one mistake, not many

    @model_validator(mode="after")
    def _choose(self) -> Study:
        """Fills in what effort and budget choose, and what is not said."""
        problems = []
        said, chosen = self.model_fields_set, self.__dict__  # its own way in: a study is frozen
        if self.effort is not None and self.preset == "guide":
            what = f"is {self.effort}, and preset guide means the guide's own numbers."
            problems.append(Problem("effort", what, "leave one of them out."))
        if self.effort is not None and "asha" not in said:
            chosen["asha"] = Asha.model_validate({})
        if "scheduler" not in said:
            chosen["scheduler"] = scheduler_of(self.effort) if self.asha else "none"
        if self.scheduler != "none" and self.asha is None:
            what = f"is {self.scheduler}, and asha is null, which means none."
            problems.append(Problem("scheduler", what, "leave one of them out, or --no-asha."))
        if problems:
            raise UserError(problems)
        if self.asha is not None:
            numbers = rung_numbers(self.effort, self.scheduler, self.epochs)
            open_ = {name: value for name, value in numbers.items() if name not in self.asha.model_fields_set}
            chosen["asha"] = self.asha.model_copy(update=open_)
        if "num_samples" not in said:
            epochs = self.ceiling.epochs
            if epochs is not None:
                chosen["num_samples"] = trials_for(epochs, lambda trials: self.forecast(trials).expected)
            elif self.effort is not None:
                chosen["num_samples"] = CHOICES[self.effort].trials
        return self

    @field_validator("name")
    @classmethod
    def _folder_name(cls, name: str) -> str:
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ValueError("A plain folder name is expected; `project` takes a path")
        if len(name.encode()) > 200:  # file systems take 255 bytes, and `-2` may be added
            raise ValueError(f"At most 200 bytes are expected, got {len(name.encode())}")
        return name

    @field_validator("warm_start", mode="before")
    @classmethod
    def _absolute(cls, given: Any) -> Any:
        named = [] if given is None else given if isinstance(given, list) else [given]
        return [str(Path(name).resolve()) if isinstance(name, (str, Path)) else name for name in named]

    @field_validator("keep_weights")
    @classmethod
    def _policy(cls, given: str) -> str:
        if not re.fullmatch(r"all|best|top-[1-9]\d{0,5}", given):
            raise ValueError("all, best or a number such as top-5 is expected")
        return given

    @field_validator("budget")
    @classmethod
    def _budget(cls, given: str | None) -> str | None:
        if given is not None:
            Budget.parse(given)
        return given

    @field_validator("space", mode="before")
    @classmethod
    def _written(cls, given: Any) -> Any:
        """Puts distributions given from Python into words, as study.yaml keeps them."""
        if not isinstance(given, Mapping):
            return given
        return {name: str(value) if isinstance(value, space.Domain) else value for name, value in given.items()}

    @field_validator("objective")
    @classmethod
    def _reported(cls, name: str) -> str:
        metrics.checked(name, "objective")
        return name

    @property
    def metric(self) -> str:
        """The objective by the record's name."""
        return metrics.canonical(self.objective)

    @property
    def direction(self) -> Literal["max", "min"]:
        return self.mode or ("max" if metrics.best_direction(self.objective) == "max" else "min")

    @property
    def ceiling(self) -> Budget:
        """What the study may cost at most; nothing is said where there is no budget."""
        return Budget() if self.budget is None else Budget.parse(self.budget)

    def forecast(self, trials: int | None = None) -> Forecast:
        """Returns what the study is expected to cost, with so many trials or the number it has."""
        rules = Rules(epochs=self.epochs, learns=self.search not in ("random", "grid"))
        if self.asha:
            factor, brackets = self.asha.reduction_factor, self.asha.brackets
            rules = replace(rules, grace=self.grace_period, factor=factor, brackets=brackets)
            if self.scheduler == "halving":
                rules = replace(rules, batch=self.asha.batch)
        return forecast(rules, self.num_samples if trials is None else trials)

    @property
    def weights_kept(self) -> int | None:
        """How many trials keep their best.pt, None for all."""
        if self.keep_weights == "all":
            return None
        return int(self.keep_weights.removeprefix("top-")) if self.keep_weights != "best" else 1

    @property
    def grace_period(self) -> int:
        """Epochs before the first rung."""
        return epochs_of(self.asha.grace_period if self.asha else 1.0, self.epochs)

    @property
    def max_t(self) -> int:
        """ASHA's upper end: one epoch beyond the last, so that a full trial ends by itself."""
        return self.epochs + 1

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
        """The Ultralytics arguments that are the same in every trial, shares of the epochs worked out."""
        fixed = {"imgsz": self.imgsz, "seed": self.seed, **self.train, **self.parsed[1]}
        share = fixed.get("close_mosaic")
        if isinstance(share, float) and 0 < share < 1:
            fixed["close_mosaic"] = min(epochs_of(share, self.epochs), self.epochs - 1)
        return fixed

    def wanted_folder(self) -> Path:
        """Returns `runs/tune/[project/]name`, taken or not; `storage` takes the place of `runs/tune`."""
        return (Path(self.storage or "runs/tune") / (self.project or "")).resolve() / self.name

    def folder(self) -> Path:
        """Returns where a new study would be kept: the wanted folder, or the next free `name-2`, `name-3`."""
        path = wanted = self.wanted_folder()
        taken = 1
        while path.exists() and not self.exist_ok:
            taken += 1
            path = wanted.with_name(f"{wanted.name}-{taken}")
        return path


def load_study(path: Path | None, flags: Mapping[str, Any]) -> Study:
    """Reads a study file and lays the flags over it.

    Args:
        path: The study file, the folder of a study, or None where flags say everything.
        flags: Values by field of `Study`; `space` may be the path of a file.

    Raises:
        UserError: Everything that is wrong with file and flags.
    """
    written: dict[str, Any] = {}
    if path is not None:
        recorded = path.is_dir()
        if recorded and not (path / "study.yaml").exists():
            raise fail(str(path), "no study here: study.yaml is missing.", "give the folder that was printed.")
        read = read_yaml(path / "study.yaml", whole=True) if recorded else read_yaml(path)
        if not isinstance(read, dict) or not all(isinstance(key, str) for key in read):
            raise fail(str(path), f"a study file is a map of settings. Got {read!r:.80}.", "see `yolotune init`.")
        written = _settings(read) if recorded else read
    written |= {key: None for key in ("asha", "plateau") if written.get(key) is False}
    return Study(**merge(_with_space(written), _with_space(flags)))


def recorded_study(settings: Mapping[str, Any]) -> Study:
    """Returns the settings of a study from what its study.yaml says."""
    return Study(**_settings(settings))


def _settings(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a study.yaml; one of before there was `effort` was chosen by none."""
    return {"effort": None} | {key: value for key, value in recorded.items() if key not in RECORD_KEYS}


def _with_space(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns settings with the map of the space in place of the name of its file."""
    name = given.get("space")
    return {**given, "space": _read_space(Path(name))} if isinstance(name, str) else given


def _read_space(path: Path) -> dict[str, Any]:
    """Reads a space file: the map itself, or a file that has it under `space`."""
    read = read_yaml(path)
    found = read.get("space", read) if isinstance(read, dict) else None
    if not isinstance(found, dict):
        raise fail(str(path), "a space file is a map of Ultralytics arguments.", "see a preset for an example.")
    return found


def _problems(error: ValidationError) -> list[Problem]:
    """Turns pydantic's list of errors into ours, with the nearest known name for a misspelt key."""
    problems: list[Problem] = []
    for item in error.errors():
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            problems += cause.problems
            continue
        where = ".".join(str(part) for part in item["loc"]) or "study"
        if item["type"] == "extra_forbidden":
            models: dict[str, type[BaseModel]] = {"asha": Asha, "plateau": Plateau}
            model = models.get(str(item["loc"][0]), Study)
            hint = did_you_mean(str(item["loc"][-1]), model.model_fields)
            problems.append(Problem(where, f"no such setting.{hint}", "correct or remove it."))
        elif item["type"] == "missing":
            problems.append(Problem(where, "is missing.", _FIX_MISSING.get(where, "add it.")))
        else:
            expected = item["msg"].removeprefix("Value error, ")
            problems.append(Problem(where, f"got {item['input']!r}. {expected}.", "correct the value."))
    return problems


_FIX_MISSING = {"data": "give --data path/to/data.yaml.", "space": "give --space FILE, or take a preset."}
