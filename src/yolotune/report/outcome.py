"""What a study was planned to cost and what it has cost so far, in numbers and in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolotune.config.budget import Budget
from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler, SchedulerSettings
from yolotune.record.study import StudyRecord
from yolotune.record.verdict import Verdict
from yolotune.report.formatting import duration, plural
from yolotune.schedulers.asha import Asha
from yolotune.schedulers.forecast import Forecast, forecast, planned_trials


@dataclass(frozen=True)
class Outcome:
    """Planned and actual cost of a study.

    Attributes:
        plan: The forecast for all its trials.
        begun: The forecast for as many trials as were started.
        foreseen: Whether the forecast knows the scheduler. If not, it is the cost of full trainings.
        trials: Number of trials that were started.
        ended: How many of them ended.
        epochs: Trained.
        cut_first: Trials that were cut at their first rung; None for a scheduler without rungs.
        seconds: That processes worked on the study.
        budget: What it may cost at most.
        spent: Whether the budget is spent.
    """

    plan: Forecast
    begun: Forecast
    foreseen: bool
    trials: int
    ended: int
    epochs: int
    cut_first: int | None
    seconds: float
    budget: Budget
    spent: bool

    @property
    def over(self) -> bool:
        """Whether all planned trials have ended."""
        return self.ended >= self.plan.trials


def outcome(record: StudyRecord) -> Outcome:
    """Returns planned and actual cost of a study, running or ended."""
    settings = record.settings
    budget, epochs, seconds = settings.cost_limit, record.epochs_trained, record.seconds_worked
    begun = forecast(settings, len(record.trials))
    return Outcome(
        plan=forecast(settings, planned_trials(settings)),
        begun=begun,
        foreseen=is_foreseen(settings.scheduler),
        trials=len(record.trials),
        ended=sum(not trial.unfinished for trial in record.trials),
        epochs=epochs,
        cut_first=_cut_first(record, begun.rungs) if begun.rungs else None,
        seconds=seconds,
        budget=budget,
        spent=budget.spent(epochs, seconds),
    )


def is_foreseen(scheduler: SchedulerSettings) -> bool:
    """Whether the forecast knows what a scheduler will cut."""
    return isinstance(scheduler, (NoScheduler, AshaSettings, HalvingSettings))


def _cut_first(record: StudyRecord, rungs: tuple[int, ...]) -> int:
    """Returns how many trials were pruned before the second rung of their bracket."""
    asha = Asha(record.settings) if isinstance(record.settings.scheduler, AshaSettings) else None
    count = 0
    for trial in record.trials:
        own = sorted(asha.bracket_of(trial.number).milestones) if asha and len(asha.brackets) > 1 else rungs
        second = own[1] if len(own) > 1 else math.inf
        count += trial.verdict is Verdict.PRUNED and len(trial.epochs) < second
    return count


def sentence(found: Outcome) -> str:
    """Returns plan and outcome in words; empty before the first epoch."""
    if not found.epochs:
        return ""
    exact = found.plan.exact and found.foreseen
    about = "" if exact else "about " if found.foreseen else "at most "
    text = f"Planned: {found.plan.trials:,} trials, {about}{found.plan.expected:,.0f} epochs"
    text += f", a budget of {found.budget}. " if found.budget.given else ". "
    text += f"Came out: {found.epochs:,} epochs"
    text += f" in {duration(found.seconds)}" if found.seconds >= 1 else ""
    if not found.over:
        text += f", {plural(found.ended, 'trial')} ended and {found.trials - found.ended:,} unfinished"
        text += "" if exact else f" (of so many trials {about}{found.begun.expected:,.0f} epochs are expected)"
    if found.cut_first is not None:
        text += f"; {found.cut_first:,} cut at the first rung, {found.begun.cut_first:.0f} expected"
    return f"{text}. The budget is spent." if found.spent and not found.over else f"{text}."


def nothing_learned(record: StudyRecord) -> str:
    """Returns in words that no trial has found anything, and why that may be.

    Args:
        record: A study that has `learned_nothing`.
    """
    zero, begun = sum(trial.value is not None for trial in record.trials), len(record.trials)
    rest = ", the others have no value" if zero < begun else ""
    return (
        f"{zero} of {plural(begun, 'trial')} have a {record.settings.objective} of 0{rest}. Trainings of "
        f"{record.settings.epochs} epochs may be too short, labels may be wrong, or the model may start from nothing."
    )


#: What to do then, and what to type; `data` stands for the data.yaml, quoted.
AFTER_NOTHING = (
    ("Look at the data", "yolotune check --data {data}"),
    ("Train longer, from COCO weights", "yolotune run --data {data} --model yolo11n-seg.pt --epochs {epochs}"),
)
