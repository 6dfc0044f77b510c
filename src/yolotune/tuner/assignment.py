"""What the conductor gives out, and how it is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from yolotune.config.space import Point
from yolotune.record.verdict import Ending
from yolotune.tuner.slots import Place


@dataclass(frozen=True)
class Assignment:
    """A trial for a free slot.

    Attributes:
        number: The trial.
        point: Its hyperparameters.
        ending: It was cut while it was paused, and only ends in good order; None: it trains.
        place: Where it trains.
    """

    number: int
    point: Point
    ending: Ending | None = None
    place: Place = field(default_factory=Place)


class Cause(Enum):
    """Why a trial has lost its process."""

    DIED = "died"
    SPENT = "spent"  # it had trained others and takes on no more: no fault of the trial
    OUT_OF_MEMORY = "out of memory"  # Ray ended it, for the machine's memory was nearly full


@dataclass(frozen=True)
class Death:
    """The loss of a process, and what Ray says about it."""

    cause: Cause
    why: str
