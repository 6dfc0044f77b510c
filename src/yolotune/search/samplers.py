"""Which of Optuna's samplers proposes a point, and what stopped trials tell it.

`TPESampler` has a place for pruned trials: behind those that ended, ordered by how far they came (Optuna's docs).
`GPSampler` ignores them, and so would never hear of most trials of a study. It is told what a stopped trial would have
come to: the best value it had, carried on by what trials that trained to the end still won from that epoch on, and
never better than the best of those.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from yolotune.config.settings import Settings

#: Trials before a sampler starts to model, initial points among them (Optuna's default).
STARTUP_TRIALS = 10


def make_sampler(study: Settings, number: int, attempt: int = 0) -> BaseSampler:
    """Returns the sampler for one trial.

    It is seeded by the study's seed and the trial's number, not by how often it was asked, so that a resumed study
    suggests what an uninterrupted one would have.

    Args:
        study: The study.
        number: The trial that a point is wanted for.
        attempt: How many points were refused for it already.
    """
    entropy = (study.seed, number, attempt) if attempt else (study.seed, number)
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    if study.search == "gp":
        return GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False)
    if study.search in ("auto", "tpe", "tpe-multivariate"):  # what auto is where nobody has decided (`warmstart.py`)
        several = study.search == "tpe-multivariate"
        return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=several)
    return RandomSampler(seed=seed)


def propose(study: optuna.Study, space: Mapping[str, BaseDistribution], sampler: BaseSampler) -> dict[str, Any]:
    """Returns the point that a sampler proposes that knows of stopped trials what they would have come to."""
    known = study.get_trials(deepcopy=False)
    told = optuna.create_study(direction=study.direction, sampler=sampler)
    told.add_trials([*foretold(known, study.direction), *(one for one in known if one.state is TrialState.RUNNING)])
    return told.ask(dict(space)).params


def foretold(trials: Sequence[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
    """Returns completed trials and, as completed ones, pruned trials with what they would have come to.

    Args:
        trials: Of a study, with their values by epoch.
        direction: What is better.
    """
    sign = 1.0 if direction is StudyDirection.MAXIMIZE else -1.0
    full = [one for one in trials if one.state is TrialState.COMPLETE]
    most = max((sign * one.values[0] for one in full), default=math.inf)
    told = []
    for one in trials:
        if one.state is TrialState.PRUNED and one.intermediate_values:
            came = _best_until(one, math.inf, sign) * _growth(full, max(one.intermediate_values), sign)
            value = sign * min(sign * came, most)
            told.append(create_trial(value=value, params=one.params, distributions=one.distributions))
    return [*full, *told]


def _growth(full: Sequence[FrozenTrial], epoch: int, sign: float) -> float:
    """Returns by what the best value of a trial that trains to the end is multiplied after an epoch; 1 if unknown."""
    came = [(_best_until(one, epoch, sign), one.values[0]) for one in full if min(one.intermediate_values) <= epoch]
    return float(statistics.median([last / then for then, last in came if then] or [1.0]))


def _best_until(trial: FrozenTrial, epoch: float, sign: float) -> float:
    """Returns the best value of a trial's epochs up to one."""
    return float(sign * max(sign * value for at, value in trial.intermediate_values.items() if at <= epoch))
