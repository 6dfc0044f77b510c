"""The study file: everything a study is told, in one model, from a preset, a YAML file, flags or Python.

Later wins: preset, then study file, then flags. `train`, `asha` and `plateau` are merged key by key; `space` and
`points` are taken whole, so that what is written is what is searched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from yolotune import metrics, space
from yolotune.errors import Problem, UserError, did_you_mean, fail
from yolotune.space import Point, Space
from yolotune.yamlio import parse_yaml, read_yaml

PRESETS = ("yolo11-seg", "guide")
MERGED = ("train", "asha", "plateau")
#: The factor of `scheduler: halving` where none is given: batches of 9 leave 3, then 1.
HALVING_FACTOR = 3
#: What the record adds to study.yaml.
RECORD_KEYS = frozenset({"schema", "uid", "metric", "direction", "warm_points", "origin"})
#: Ultralytics' own words for settings of a study; as trailing `key=value` they mean the same as the flag.
FLAG_FIELDS = frozenset({"data", "model", "epochs", "imgsz", "project", "name", "exist_ok", "device", "seed"})


def epochs_of(amount: float, epochs: int) -> int:
    """Returns a number of epochs, at least 1, from a count (1 or more) or a share of `epochs` (below 1)."""
    return max(1, round(amount * epochs)) if amount < 1 else round(amount)


class _Strict(BaseModel):
    # `device: 0` and `name: 5` are numbers to YAML and words to us
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class Asha(_Strict):
    """The rungs at which trials are compared: the numbers of Ray's `ASHAScheduler`, and the batch of `halving`.

    `reduction_factor` is 3 under `scheduler: halving`, unless it is given.
    """

    grace_period: float = Field(0.1, gt=0, description="Epochs before the first rung; below 1 a share of all epochs.")
    reduction_factor: float = Field(2, gt=1, description="At each rung the best 1/factor go on.")
    brackets: int = Field(1, ge=1, description="`asha`: brackets; trials are spread over them at random.")
    rank: Literal["best", "current"] = Field("best", description="What a rung compares: best F1 so far, or the last.")
    batch: int = Field(9, ge=2, description="`halving`: trials that are compared with each other.")


class Plateau(_Strict):
    """When a trial has converged. `patience` watches a smoothed running best; `std` is the guide's rule."""

    rule: Literal["patience", "std"] = "patience"
    metric: str = Field("train_seg_metrics/F1", description="What is watched, any metric that trials report.")
    num_results: int = Field(5, ge=1, description="Window in epochs: of the smoothing, or of the standard deviation.")
    grace_period: float = Field(0.1, gt=0, description="Epochs before a trial may be stopped; below 1 a share.")
    patience: float = Field(0.3, gt=0, description="`patience`: epochs without a new best; below 1 a share.")
    min_delta: float = Field(0.002, ge=0, description="`patience`: smaller gains do not count.")
    min_value: float = Field(0.1, description="`patience`: a trial whose smoothed value never passed it is not judged.")
    std: float = Field(0.01, gt=0, description="`std`: stop below this standard deviation over the window.")

    @field_validator("metric")
    @classmethod
    def _reported(cls, name: str) -> str:
        return metrics.checked(name, "plateau.metric")


class Study(_Strict):
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
    num_samples: int = Field(50, ge=1, description="Number of trials, initial points included.")
    concurrent: int = Field(1, ge=1, description="Trials that train at the same time.")
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
    time_budget: str | float | None = Field(None, description="Ends the study in good order: 8h, 90m, 30s, or hours.")
    search: Literal["tpe", "random", "grid"] = Field("tpe", description="Optuna's sampler.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the search and of every training.")
    space: dict[str, Any] = Field(description="What may vary, or is fixed, by Ultralytics argument.")
    points: list[str | dict[str, Any]] = Field(default_factory=list, description="Initial points: files or maps.")
    warm_start: str | None = Field(None, description="Folder of an earlier study; its best points are tried early.")
    top: int = Field(3, ge=1, description="How many points of warm_start.")
    train: dict[str, Any] = Field(default_factory=dict, description="Fixed Ultralytics arguments.")
    scheduler: Literal["asha", "halving", "none"] = Field(
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
        filled = merge(preset, given)  # of a wrong name the first preset: it is one mistake, not many
        if filled.get("asha") is None:
            filled.setdefault("scheduler", "none")
        if filled.get("scheduler") == "halving" and isinstance(filled.get("asha"), Mapping):
            filled["asha"] = {"reduction_factor": HALVING_FACTOR, **filled["asha"]}
        return filled

    @model_validator(mode="after")
    def _one_word_on_stopping(self) -> Study:
        if self.scheduler != "none" and self.asha is None:
            what = f"is {self.scheduler}, and asha is null, which means none."
            raise fail("scheduler", what, "leave one of them out, or --no-asha.")
        return self

    @field_validator("name")
    @classmethod
    def _folder_name(cls, name: str) -> str:
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ValueError("A plain folder name is expected; `project` takes a path")
        if len(name.encode()) > 200:  # file systems take 255 bytes, and `-2` may be added
            raise ValueError(f"At most 200 bytes are expected, got {len(name.encode())}")
        return name

    @field_validator("warm_start")
    @classmethod
    def _absolute(cls, given: str | None) -> str | None:
        return None if given is None else str(Path(given).resolve())

    @field_validator("keep_weights")
    @classmethod
    def _policy(cls, given: str) -> str:
        if not re.fullmatch(r"all|best|top-[1-9]\d{0,5}", given):
            raise ValueError("all, best or a number such as top-5 is expected")
        return given

    @field_validator("time_budget")
    @classmethod
    def _duration(cls, given: str | float | None) -> str | float | None:
        if given is not None and not re.fullmatch(r"\d+(\.\d+)?\s*[hms]?", str(given)):
            raise ValueError("A time such as 8h, 90m or 30s is expected; a plain number means hours")
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
    def time_budget_s(self) -> float | None:
        """The time of the study in seconds."""
        if self.time_budget is None:
            return None
        number, unit = re.fullmatch(r"([\d.]+)\s*([hms]?)", str(self.time_budget)).groups()  # type: ignore[union-attr]
        return float(number) * {"h": 3600, "": 3600, "m": 60, "s": 1}[unit]

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


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `below` overridden by `above`, as the top of this page says."""
    merged = {**below, **above}
    for key in MERGED:
        if isinstance(below.get(key), Mapping) and isinstance(above.get(key), Mapping):
            merged[key] = {**below[key], **above[key]}
    merged |= _scheduler(merged, above)
    if isinstance(above.get("space"), Mapping):
        if "points" not in above:
            merged["points"] = []  # points of the space that was replaced
        if isinstance(merged.get("train"), Mapping):  # what was fixed below gives way to what is searched now
            replaced = above["space"].keys() - above.get("train", {}).keys()
            merged["train"] = {name: value for name, value in merged["train"].items() if name not in replaced}
    return merged


def _scheduler(merged: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `scheduler` and `asha` after a merge: what is said last of either holds for both."""
    if not {"scheduler", "asha"} & merged.keys():
        return {}
    asha = merged.get("asha")
    scheduler = merged.get("scheduler", "none" if asha is None else "asha")
    if "scheduler" not in above and "asha" in above:
        if asha is None:
            scheduler = "none"
        elif scheduler == "none":
            scheduler = "asha"
    elif scheduler == "none":
        asha = None
    elif "asha" not in above and asha is None:
        asha = {}
    return {"scheduler": scheduler, "asha": asha}


def read_preset(name: str) -> dict[str, Any]:
    """Returns a shipped preset as written."""
    text = (resources.files("yolotune") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(parse_yaml(text, f"preset {name}"))


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
        written = {key: value for key, value in read.items() if not (recorded and key in RECORD_KEYS)}
    written |= {key: None for key in ("asha", "plateau") if written.get(key) is False}
    return Study(**merge(_with_space(written), _with_space(flags)))


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
