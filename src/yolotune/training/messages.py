"""What a training is told, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.config.space import Point
from yolotune.record.verdict import Ending
from yolotune.tracking import Tracker
from yolotune.training.job import Job
from yolotune.training.usage import Usage


@dataclass(frozen=True)
class TrainingTask:
    """What a training of a trial is told.

    Attributes:
        number: The trial.
        point: Its hyperparameters.
        ending: Its verdict, if it was ended while it was paused. It then trains nothing and only ends in good order.
        job: What all trainings of the study are told.
        tracker: Opens the trial's run.
        folder: Of the study.
        alone: Whether no other trial trains beside it, so that a lack of memory is its own.
    """

    number: int
    point: Point
    ending: Ending | None
    job: Job
    tracker: Tracker
    folder: Path
    alone: bool = True


@dataclass(frozen=True)
class Said:
    """What a training says.

    Attributes:
        row: An epoch report; None where it ends without one.
        ending: Why it ends by itself; None where it could train on.
        effective: Arguments that became something else than was asked; None where it never got so far.
        usage: What the epoch took of the machine; None without an epoch.
        card_lost: Whether an error has left the process without its card.
    """

    row: dict[str, Any] | None
    ending: Ending | None
    effective: dict[str, Any] | None
    usage: Usage | None = None
    card_lost: bool = False
