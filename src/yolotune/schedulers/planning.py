"""What the settings of a study come to before it starts: the scheduler's numbers, and the number of trials."""

from __future__ import annotations

from yolotune.config.effort import default_trials, with_numbers
from yolotune.config.settings import Settings
from yolotune.config.space import countable
from yolotune.schedulers.forecast import trials_for


def resolve(settings: Settings) -> Settings:
    """Returns settings with all numbers that were left open; those that were resolved are returned equal.

    The effort chooses the scheduler's numbers. The number of trials is what a budget in epochs is expected to carry;
    without one, the effort chooses it too.
    """
    scheduler = with_numbers(settings.scheduler, settings.effort, settings.epochs)
    resolved = settings.model_copy(update={"scheduler": scheduler})
    if settings.num_samples is not None:
        return resolved
    budget = settings.cost_limit.epochs
    trials = default_trials(settings.effort) if budget is None else trials_for(resolved, budget)
    return resolved.model_copy(update={"num_samples": trials})


def planned_trials(settings: Settings) -> int:
    """Returns how many trials a study will have: no point is tried twice, and a space may have fewer than wanted."""
    size = countable(settings.domains)
    return settings.trials if size is None else min(settings.trials, size)
