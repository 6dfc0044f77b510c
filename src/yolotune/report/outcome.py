"""What a study was to cost and what it came to, in numbers and in a sentence: for the terminal and the report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolotune.config.budget import Budget
from yolotune.config.settings import Settings
from yolotune.record.study import StudyRecord, Verdict
from yolotune.report.status import planned_trials
from yolotune.schedulers.asha import Halving
from yolotune.schedulers.forecast import Forecast


@dataclass(frozen=True)
class Outcome:
    """A study beside its plan.

    Attributes:
        plan: What was expected of all its trials.
        begun: The same for as many trials as were begun.
        trials: That were begun.
        ended: Of them.
        epochs: Trained.
        cut_first: Trials cut at their first rung; None where no rung cuts.
        seconds: That processes worked on it.
        budget: What it may cost at most.
        spent: Whether that is spent.
    """

    plan: Forecast
    begun: Forecast
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


def outcome(record: StudyRecord, study: Settings) -> Outcome:
    """Returns how a recorded study, running or ended, stands beside its plan.

    Args:
        record: The study.
        study: Its settings.
    """
    budget, trained, worked = study.ceiling, record.epochs_trained, record.seconds_worked
    return Outcome(
        plan=study.forecast(planned_trials(study.num_samples, study.domains)),
        begun=study.forecast(len(record.trials)),
        trials=len(record.trials),
        ended=sum(not trial.unfinished for trial in record.trials),
        epochs=trained,
        cut_first=_cut_first(record, study),
        seconds=worked,
        budget=budget,
        spent=budget.spent(trained, worked),
    )


def _cut_first(record: StudyRecord, study: Settings) -> int | None:
    if not study.forecast(1).rungs:
        return None
    rules = Halving(study)
    rungs = study.forecast(1).rungs
    count = 0
    for trial in record.trials:
        in_brackets = study.scheduler == "asha" and len(rules.brackets) > 1
        second = (sorted(rules.bracket_of(trial.number).milestones) if in_brackets else rungs)[1:2]
        count += trial.verdict is Verdict.PRUNED and len(trial.epochs) < (second[0] if second else math.inf)
    return count


def sentence(found: Outcome) -> str:
    """Returns what was planned and what came out; nothing before the first epoch."""
    if not found.epochs:
        return ""
    plan, about = found.plan, "" if found.plan.exact else "about "
    text = f"Planned: {plan.trials:,} trials, {about}{plan.expected:,.0f} epochs"
    text += f", a budget of {found.budget}. " if found.budget.given else ". "
    text += f"Came out: {found.epochs:,} epochs"
    text += f" in {duration(found.seconds)}" if found.seconds >= 1 else ""
    if not found.over:
        text += f", {found.ended:,} trials ended and {found.trials - found.ended:,} unfinished"
        text += "" if plan.exact else f" (so many: about {found.begun.expected:,.0f} epochs expected)"
    if found.cut_first is not None:
        text += f"; {found.cut_first:,} cut at the first rung, {found.begun.cut_first:.0f} expected"
    return f"{text}. The budget is spent." if found.spent and not found.over else f"{text}."


def duration(seconds: float) -> str:
    """Returns `45 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
