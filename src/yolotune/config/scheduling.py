"""Settings of early stopping: how trials are compared with each other, and when one has converged.

`scheduler` is a tagged choice: `{name: asha, grace_period: 0.15}`. The classes are registered by name, so that another
scheduler brings its own numbers (`yolotune.schedulers.register_scheduler`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, ValidationError, field_validator

from yolotune import metrics
from yolotune.config.base import Strict, epochs_of, problems_of, setting
from yolotune.errors import Problem, UserError, did_you_mean

PANEL = "Early stopping"
Rank = Literal["best", "current", "signals"]
_RANK = (
    "What a rung compares: the best objective so far; the current one; or signals: the best and the training losses."
)


class SchedulerSettings(Strict):
    """The numbers of a scheduler; a subclass says its name as the default of `name`, and adds its own."""

    name: str

    def summary(self, epochs: int) -> str:
        """Returns in a few words how trials are compared; nothing where they are not.

        Args:
            epochs: Of a trial that nothing stops.
        """
        numbers = self.model_dump(exclude={"name"}).items()
        return ", ".join([self.name, *(f"{name} {value}" for name, value in numbers)])


class NoScheduler(SchedulerSettings):
    """Trials are not compared with each other."""

    name: Literal["none"] = "none"

    def summary(self, epochs: int) -> str:
        return ""


class RungSettings(SchedulerSettings):
    """The numbers of successive halving: where the first rung is, how many pass a rung, and by what."""

    default_grace: ClassVar[float] = 0.1

    grace_period: float | None = setting(
        None, "Epochs before the first rung; below 1 a share of all. By effort if not given.", panel=PANEL, gt=0
    )
    reduction_factor: float | None = setting(
        None, "At each rung the best 1/factor continue. By effort if not given.", panel=PANEL, gt=1
    )
    rank: Rank = setting("signals", _RANK, panel=PANEL)

    def grace_epochs(self, epochs: int) -> int:
        """Returns the epoch of the first rung."""
        return epochs_of(self.grace_period or self.default_grace, epochs)

    def summary(self, epochs: int) -> str:
        factor = "" if self.reduction_factor is None else f", factor {self.reduction_factor:g}"
        by = ", by early signals" if self.rank == "signals" else ""
        return f"from epoch {self.grace_epochs(epochs)}{factor}{by}"


class AshaSettings(RungSettings):
    """Asynchronous successive halving: the numbers of Ray's `ASHAScheduler`."""

    default_grace: ClassVar[float] = 0.15

    name: Literal["asha"] = "asha"
    brackets: int = setting(1, "asha: number of brackets; trials are spread over them at random.", panel=PANEL, ge=1)

    def summary(self, epochs: int) -> str:
        brackets = f", {self.brackets} brackets" if self.brackets > 1 else ""
        return f"ASHA {super().summary(epochs)}{brackets}"


class HalvingSettings(RungSettings):
    """Synchronous successive halving: trials meet in batches, and wait for each other at the rungs."""

    name: Literal["halving"] = "halving"
    batch: int = setting(
        9, "halving: number of trials that are compared with each other.", panel=PANEL, flag="halving_batch", ge=2
    )

    def summary(self, epochs: int) -> str:
        return f"halving in batches of {self.batch} {super().summary(epochs)}"


class UnknownScheduler(SchedulerSettings):
    """The numbers of a scheduler that is not registered here, read from the record of a study that used it."""

    model_config = ConfigDict(extra="allow")


#: By name; `register_scheduler_settings` adds to it.
_KNOWN: dict[str, type[SchedulerSettings]] = {
    "none": NoScheduler,
    "asha": AshaSettings,
    "halving": HalvingSettings,
}


def register_scheduler_settings(kind: type[SchedulerSettings]) -> None:
    """Makes a scheduler's settings known under the default of their `name`."""
    _KNOWN[str(kind.model_fields["name"].default)] = kind


def scheduler_names() -> list[str]:
    """Returns the names that `scheduler` takes."""
    return list(_KNOWN)


def scheduler_kinds() -> list[type[SchedulerSettings]]:
    """Returns the settings classes of the schedulers that are known."""
    return list(_KNOWN.values())


def scheduler_fields(name: str) -> set[str]:
    """Returns the names of the numbers that a scheduler takes; none of one that is not known."""
    return set(_KNOWN[name].model_fields) - {"name"} if name in _KNOWN else set()


def read_scheduler(given: Any, *, lenient: bool = False) -> SchedulerSettings:
    """Returns the settings of a scheduler from what was written: its name, a map with its name, or an object.

    Args:
        given: `asha`, `{name: asha, grace_period: 5}`, a `SchedulerSettings`, or None for no scheduler.
        lenient: Whether a name that is not registered is taken as it is, to read a record.

    Raises:
        UserError: An unknown name, or numbers that it does not take.
    """
    if isinstance(given, SchedulerSettings):
        return given
    if given is None or given is False:
        return NoScheduler()
    written = {"name": given} if isinstance(given, str) else given
    if not isinstance(written, Mapping) or not isinstance(written.get("name"), str):
        what = f"got {given!r}, expected a name, or a map with one."
        raise UserError([Problem("scheduler", what, "write `scheduler: asha` or `scheduler: {name: asha, ...}`.")])
    kind = _KNOWN.get(written["name"])
    if kind is None and lenient:
        return UnknownScheduler(**written)
    if kind is None:
        what = f"no scheduler is called {written['name']!r}.{did_you_mean(written['name'], _KNOWN)}"
        raise UserError([Problem("scheduler", what, f"use one of {', '.join(_KNOWN)}.")])
    foreign = [str(key) for key in written if key not in kind.model_fields]
    problems = [_not_taken(written["name"], key) for key in foreign]
    try:
        read = kind.model_validate({key: value for key, value in written.items() if key not in foreign})
    except ValidationError as error:
        raise UserError([*problems, *problems_of(error, kind.model_fields, "scheduler")]) from None
    if problems:
        raise UserError(problems)
    return read


def _not_taken(name: str, key: str) -> Problem:
    """Returns the problem of a number that a scheduler does not take, and who takes it."""
    others = [other for other in _KNOWN if key in scheduler_fields(other)]
    takes = ", ".join(sorted(scheduler_fields(name))) or "no numbers"
    instead = f"scheduler {' or '.join(others)} takes it" if others else f"{name} takes {takes}"
    what = f"{name} takes no {key}.{did_you_mean(key, scheduler_fields(name))}"
    return Problem(f"scheduler.{key}", what, f"leave it out; {instead}.")


class PlateauSettings(Strict):
    """When a trial has converged. `patience` watches a smoothed running best; `std` is the guide's rule."""

    rule: Literal["patience", "std"] = "patience"
    metric: str = setting(
        "train_seg_metrics/F1",
        "Switches the plateau rule on: a trial ends that has converged in this.",
        panel=PANEL,
        flag="plateau_metric",
    )
    num_results: int = setting(
        5,
        "Window of a plateau rule in epochs: of the smoothing, or of the deviation.",
        panel=PANEL,
        flag="plateau_num_results",
        ge=1,
    )
    grace_period: float = setting(
        0.1,
        "Epochs before a plateau rule may end a trial; below 1 a share.",
        panel=PANEL,
        flag="plateau_grace_period",
        gt=0,
    )
    patience: float = setting(0.3, "`patience`: epochs without a new best; below 1 a share.", gt=0)
    min_delta: float = setting(0.002, "`patience`: smaller gains do not count.", ge=0)
    min_value: float = setting(0.1, "`patience`: a trial below it is not judged.")
    std: float = setting(
        0.01,
        "The guide's plateau rule: a trial ends below this standard deviation.",
        panel=PANEL,
        flag="plateau_std",
        gt=0,
    )

    @field_validator("metric")
    @classmethod
    def _reported(cls, name: str) -> str:
        return metrics.checked(name, "metric")
