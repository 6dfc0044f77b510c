"""How much a search is worth to its user: `quick`, `balanced` or `thorough`, and what that chooses.

The choices rest on recorded YOLO11n-seg trainings (benchmarks/RESULTS.md, "What an effort buys" and "What to rank by,
how early to cut") and on simulated studies:

- A first rung at 15 % of the epochs with factor 2 loses 0.002 F1 on recorded trainings, at 2.4 to 2.7 times fewer
  epochs than training everything. At a tenth, the guide's 25 of 250, up to 0.016 is lost at 2.8 to 3.4 times: what
  `quick` takes.
- An earlier first rung loses more: at 4 % of simulated trainings 0.009 to 0.025, after one epoch of recorded ones up to
  0.022. F1 after one and two epochs says little (rank correlation with the end 0.2 and 0.4): hence `LEAST_GRACE`.
- Beyond that, what is bought with more epochs is more trials.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from yolotune.config.scheduling import AshaSettings, HalvingSettings, SchedulerSettings

Effort = Literal["quick", "balanced", "thorough"]

#: No trial is judged before so many epochs, however short a training is, where the effort chooses.
LEAST_GRACE = 3


class EffortNumbers(NamedTuple):
    """What an effort chooses.

    Attributes:
        trials: How many, unless a budget in epochs decides.
        grace_period: Epochs before the first rung, as a share of a training.
        reduction_factor: At each rung the best 1/factor continue.
    """

    trials: int
    grace_period: float
    reduction_factor: float


EFFORTS: dict[Effort, EffortNumbers] = {
    "quick": EffortNumbers(20, grace_period=0.1, reduction_factor=3.0),
    "balanced": EffortNumbers(50, grace_period=0.15, reduction_factor=2.0),
    "thorough": EffortNumbers(100, grace_period=0.15, reduction_factor=2.0),
}


def default_trials(effort: Effort | None) -> int:
    """Returns the number of trials of a study that says neither their number nor a budget in epochs."""
    return EFFORTS[effort or "balanced"].trials


def with_numbers(scheduler: SchedulerSettings, effort: Effort | None, epochs: int) -> SchedulerSettings:
    """Returns a scheduler's settings with the numbers that are not given chosen by the effort.

    Args:
        scheduler: As given.
        effort: None for a study without one, whose first rung may be at any epoch.
        epochs: Of a trial that nothing stops.
    """
    if isinstance(scheduler, HalvingSettings):  # batches of 9 leave 3, then 1
        numbers = {"grace_period": 0.1, "reduction_factor": 3.0}
    elif isinstance(scheduler, AshaSettings):
        chosen = EFFORTS[effort or "balanced"]
        numbers = {"grace_period": chosen.grace_period, "reduction_factor": chosen.reduction_factor}
    else:
        return scheduler
    if effort is not None and numbers["grace_period"] * epochs < LEAST_GRACE:
        numbers["grace_period"] = min(LEAST_GRACE, epochs)
    missing = {name: value for name, value in numbers.items() if getattr(scheduler, name) is None}
    return scheduler.model_copy(update=missing)
