"""The settings of early stopping, as `study.Study` has them: rungs, and the plateau rule."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from yolotune import metrics


def epochs_of(amount: float, epochs: int) -> int:
    """Returns a number of epochs, at least 1, from a count (1 or more) or a share of `epochs` (below 1)."""
    return max(1, round(amount * epochs)) if amount < 1 else round(amount)


class Strict(BaseModel):
    """Settings that are checked to the letter: no unknown key, no NaN, no change afterwards."""

    # `device: 0` and `name: 5` are numbers to YAML and words to us
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class Asha(Strict):
    """The rungs at which trials are compared: the numbers of Ray's `ASHAScheduler`, and the batch of `halving`.

    Under `scheduler: halving` `grace_period` is 0.1 and `reduction_factor` 3, unless they are given.
    """

    grace_period: float = Field(0.15, gt=0, description="Epochs before the first rung; below 1 a share of all epochs.")
    reduction_factor: float = Field(2, gt=1, description="At each rung the best 1/factor go on.")
    brackets: int = Field(1, ge=1, description="`asha`: brackets; trials are spread over them at random.")
    rank: Literal["best", "current", "signals"] = Field(
        "best", description="What a rung compares: best F1 so far; the last; or the best and the training losses."
    )
    batch: int = Field(9, ge=2, description="`halving`: trials that are compared with each other.")


class Plateau(Strict):
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
