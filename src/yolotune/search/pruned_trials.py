"""Pruned trials for samplers that ignore them.

`GPSampler` learns from COMPLETE trials alone, and most trials of a study with early stopping are PRUNED. It is shown
each of them as completed, with an estimate of the value it would have reached: the best value it had, multiplied by
what completed trials still gained from that epoch on, and never better than the best of those.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from yolotune.search.conversion import new_study


class WithPrunedTrials(BaseSampler):
    """Shows another sampler a copy of the study in which pruned trials are completed ones with estimated values.

    Optuna's protocol of a sampler gives each method the study, so that the other one can be given the copy.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        """Wraps a sampler.

        Args:
            sampler: One that ignores pruned trials.
        """
        self._sampler = sampler
        self._shown: tuple[optuna.Study, FrozenTrial]  # `before_trial` makes them, ahead of every other method

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Makes the copy. The trial has a counterpart in it, because samplers keep notes on the trial itself."""
        known = study.get_trials(deepcopy=False)
        copy = new_study("shown", "max" if study.direction is StudyDirection.MAXIMIZE else "min")
        copy.add_trials(completed_and_estimated(known, study.direction))
        copy.add_trials(one for one in known if one.state is TrialState.RUNNING and one.number != trial.number)
        copy.ask()
        self._shown = copy, copy.get_trials(deepcopy=False)[-1]
        self._sampler.before_trial(*self._shown)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(*self._shown)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(*self._shown, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(*self._shown, param_name, param_distribution)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()


def completed_and_estimated(trials: Sequence[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
    """Returns completed trials and, as completed ones, pruned trials with the value they would have reached.

    Args:
        trials: Of a study, with their values by epoch.
        direction: What is better.
    """
    sign = 1.0 if direction is StudyDirection.MAXIMIZE else -1.0
    completed = [one for one in trials if one.state is TrialState.COMPLETE]
    highest = max((sign * one.values[0] for one in completed), default=math.inf)
    estimated = []
    for one in trials:
        if one.state is TrialState.PRUNED and one.intermediate_values:
            reached = _best_until(one, math.inf, sign) * _gain(completed, max(one.intermediate_values), sign)
            value = sign * min(sign * reached, highest)
            estimated.append(create_trial(value=value, params=one.params, distributions=one.distributions))
    return [*completed, *estimated]


def _gain(completed: Sequence[FrozenTrial], epoch: int, sign: float) -> float:
    """Returns by what the best value of a completed trial was multiplied after an epoch (median); 1 if unknown."""
    ends = [
        (_best_until(one, epoch, sign), one.values[0]) for one in completed if min(one.intermediate_values) <= epoch
    ]
    return float(statistics.median([last / then for then, last in ends if then] or [1.0]))


def _best_until(trial: FrozenTrial, epoch: float, sign: float) -> float:
    """Returns the best value of a trial's epochs up to one."""
    return float(sign * max(sign * value for at, value in trial.intermediate_values.items() if at <= epoch))
