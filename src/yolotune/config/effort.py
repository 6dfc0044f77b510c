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

Effort = Literal["quick", "balanced", "thorough"]
Scheduler = Literal["asha", "halving", "none"]

#: No trial is judged before so many epochs, however short a training is.
LEAST_GRACE = 3
#: What `scheduler: halving` takes where nothing is given: batches of 9 leave 3, then 1.
HALVING = {"grace_period": 0.1, "reduction_factor": 3.0}


class Choice(NamedTuple):
    """What an effort chooses.

    Attributes:
        scheduler: By name.
        trials: How many, unless a budget in epochs says it.
        grace: Epochs before the first rung, as a share of a training.
        factor: At each rung the best 1/factor go on, unless trials are halved in batches.
    """

    scheduler: Scheduler
    trials: int
    grace: float
    factor: float


CHOICES: dict[Effort, Choice] = {
    "quick": Choice("asha", trials=20, grace=0.1, factor=3.0),
    "balanced": Choice("asha", trials=50, grace=0.15, factor=2.0),
    "thorough": Choice("asha", trials=100, grace=0.15, factor=2.0),
}


def scheduler_of(effort: Effort | None) -> Scheduler:
    """Returns the scheduler that an effort chooses; without one it is the guide's."""
    return CHOICES[effort].scheduler if effort else "asha"


def rung_numbers(effort: Effort | None, scheduler: Scheduler, epochs: int) -> dict[str, float]:
    """Returns the numbers of `asha` that are chosen where they are not given.

    Args:
        effort: None for a study without one, which keeps the defaults of its settings.
        scheduler: The one that is used, chosen or given.
        epochs: Of a trial that nothing stops.
    """
    numbers: dict[str, float] = {}
    if effort is not None:
        choice = CHOICES[effort]
        numbers = {"grace_period": choice.grace, "reduction_factor": choice.factor}
    if scheduler == "halving":
        numbers = dict(HALVING)
    if effort is not None and numbers["grace_period"] * epochs < LEAST_GRACE:
        numbers["grace_period"] = min(LEAST_GRACE, epochs)
    return numbers
