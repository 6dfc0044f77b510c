"""What a study works with while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from yolotune.record.writer import RecordWriter
from yolotune.schedulers.base import Scheduler
from yolotune.schedulers.plateau import PlateauRule
from yolotune.search.optimizer import Optimizer
from yolotune.tracking import StudyRun
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Plan
from yolotune.tuner.slots import Slots
from yolotune.tuner.stop import StudyStop


@dataclass(frozen=True)
class Parts:
    """What a study works with.

    Attributes:
        plan: What is run.
        record: The writing side of the study's folder.
        search: What to try next.
        scheduler: Compares trials with each other.
        plateau: Ends trials that have converged; None for none.
        tracking: The study's own run in the tracker.
        listener: Who is told.
        slots: How many trials train at the same time.
        stop: The end of the study before its last trial.
    """

    plan: Plan
    record: RecordWriter
    search: Optimizer
    scheduler: Scheduler
    plateau: PlateauRule | None
    tracking: StudyRun
    listener: Listener
    slots: Slots
    stop: StudyStop
