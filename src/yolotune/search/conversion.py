"""Recorded studies and trials as Optuna keeps them.

A trial without a value teaches a sampler nothing, so it is FAIL. The value of a COMPLETE one is that of its best epoch;
Ray's own `OptunaSearch` tells the last one, and calls pruned trials COMPLETE.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from yolotune.config.distributions import distribution
from yolotune.config.space import Space
from yolotune.metrics import best_epoch, is_finite
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.record.verdict import FINISHED, Ending, Verdict


def to_optuna(record: StudyRecord) -> optuna.Study:
    """Returns a recorded study as an Optuna study in memory, for Optuna's own plots and analyses.

    Its trials come in the order of the record; unfinished ones are RUNNING.

    Args:
        record: The study.
    """
    study = new_study(record.settings.name, record.mode)
    study.add_trials(frozen_trials(record))
    return study


def frozen_trials(record: StudyRecord) -> list[FrozenTrial]:
    """Returns all trials of a study as Optuna keeps them."""
    space = record.settings.domains
    return [frozen_trial(trial, space, record.metric, record.mode) for trial in record.trials]


def frozen_trial(trial: TrialRecord, space: Space, metric: str, mode: str) -> FrozenTrial:
    """Returns a recorded trial as Optuna keeps it: as it ended, or as RUNNING if it is unfinished.

    Values that lie outside the space are left out, as after a change of the space; a sampler learns from the others.

    Args:
        trial: The trial.
        space: What varies in its study.
        metric: The objective by the record's name.
        mode: Its direction, `max` or `min`.
    """
    reported = {int(row["epoch"]): row.get(metric) for row in trial.epochs}
    finite = {epoch: float(value) for epoch, value in reported.items() if is_finite(value)}
    best = best_epoch(trial.epochs, metric, mode)
    state, value = TrialState.RUNNING, None
    if trial.ending is not None and not trial.unfinished:
        state = state_of(trial.ending.verdict, best[1] if best else None)
    if state is TrialState.COMPLETE and best is not None:
        value = best[1]
    elif state is TrialState.PRUNED:
        value = finite[max(finite)]  # the last one, as Optuna's own `tell` does
    known = {name: space[name] for name, given in trial.point.items() if name in space and given in space[name]}
    return create_trial(
        state=state,
        value=value,
        params={name: trial.point[name] for name in known},
        distributions={name: distribution(domain) for name, domain in known.items()},
        intermediate_values=finite,
        user_attrs=user_attributes(trial.number, trial.ending) if trial.ending else {},
    )


def state_of(verdict: Verdict, value: float | None) -> TrialState:
    """Returns the state in which Optuna keeps an ended trial.

    Args:
        verdict: Why it ended.
        value: Of its best epoch; None where no epoch had a finite one.
    """
    if value is None or verdict not in FINISHED:
        return TrialState.FAIL
    return TrialState.PRUNED if verdict is Verdict.PRUNED else TrialState.COMPLETE


def user_attributes(number: int, ending: Ending) -> dict[str, Any]:
    """Returns what is shown beside a trial in optuna-dashboard, where Optuna numbers trials in the order they ended."""
    return {"trial": number, "verdict": str(ending.verdict), "reason": ending.reason}


def new_study(name: str, mode: str, *, storage: str | None = None) -> optuna.Study:
    """Returns an Optuna study, without the line that Optuna logs about it.

    Args:
        name: Of the study.
        mode: Direction of the objective, `max` or `min`.
        storage: URL of a database, whose study of this name is opened if there is one; None for memory.
    """
    direction = StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE
    with _quiet():
        return optuna.create_study(study_name=name, direction=direction, storage=storage, load_if_exists=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Optuna's log for a moment; how much it says otherwise is the user's choice."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
