"""How much a search is worth to its user: `quick`, `balanced` or `thorough`, and what that chooses.

The choices rest on recorded YOLO11n-seg trainings (benchmarks/RESULTS.md, "What an effort buys", "Search strategies
over recorded trainings") and on simulated ones (docs/search.md):

- A first rung at a tenth of the epochs with factor 2, the guide's 25 of 250, loses nothing beyond the noise in
  simulated studies and 0.009 on recorded ones, for a third of the epochs. Factor 3 there loses no more on either.
- An earlier first rung does lose: at 4 % of the epochs 0.009 to 0.025, after a single epoch up to 0.02. F1 after one
  and two epochs says little (rank correlation with the end 0.2 and 0.4), so `LEAST_GRACE` holds in short trainings.
- Beyond that, what is bought with more epochs is more trials.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Effort = Literal["quick", "balanced", "thorough"]

#: No trial is judged before so many epochs, however short a training is.
LEAST_GRACE = 3


class Choice(NamedTuple):
    """What an effort chooses.

    Attributes:
        trials: How many, unless a budget in epochs says it.
        grace: Epochs before the first rung, as a share of a training.
        factor: At each rung the best 1/factor go on.
    """

    trials: int
    grace: float
    factor: float


CHOICES: dict[Effort, Choice] = {
    "quick": Choice(trials=20, grace=0.1, factor=3.0),
    "balanced": Choice(trials=50, grace=0.1, factor=2.0),  # the guide's numbers
    "thorough": Choice(trials=100, grace=0.1, factor=2.0),
}


def grace_period(effort: Effort, epochs: int) -> float:
    """Returns the grace period that an effort chooses: a share of the epochs, or a count of them where that is short.

    Args:
        effort: By name.
        epochs: Of a trial that nothing stops.
    """
    share = CHOICES[effort].grace
    return share if share * epochs >= LEAST_GRACE else min(LEAST_GRACE, epochs)
