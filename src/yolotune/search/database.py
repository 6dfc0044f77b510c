"""`study.db`: ended trials as Optuna keeps them, for optuna-dashboard. A cache that is rebuilt from the record."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from yolotune.config.distributions import distribution
from yolotune.config.space import Space, parse_space
from yolotune.metrics import best_epoch, is_finite
from yolotune.record.study import FINISHED, Ending, StudyRecord, TrialRecord, Verdict

log = logging.getLogger(__name__)

Direction = Literal["maximize", "minimize"]


def direction(mode: str) -> Direction:
    """Returns Optuna's word for `max` or `min`."""
    return "maximize" if mode == "max" else "minimize"


def state_of(verdict: Verdict, value: float | None) -> TrialState:
    """Returns what a verdict means to a sampler; a trial without a value has nothing to teach."""
    if value is None or verdict not in FINISHED:
        return TrialState.FAIL
    return TrialState.PRUNED if verdict is Verdict.PRUNED else TrialState.COMPLETE


def as_optuna(trial: TrialRecord, space: Space, metric: str, mode: str) -> FrozenTrial:
    """Returns a recorded trial as Optuna keeps it: as it ended, or as one that runs if it is unfinished.

    Values that the space of now has no place for are left out; a sampler learns from the others.

    Args:
        trial: The trial.
        space: What varies in its study.
        metric: The objective by the record's name.
        mode: Its direction.
    """
    values = {int(row["epoch"]): row.get(metric) for row in trial.epochs}
    finite = {epoch: float(value) for epoch, value in values.items() if is_finite(value)}
    best = best_epoch(trial.epochs, metric, mode)
    state, value = TrialState.RUNNING, None
    if trial.ending is not None and not trial.unfinished:
        state = state_of(trial.ending.verdict, best[1] if best else None)
    if state is TrialState.COMPLETE and best is not None:
        value = best[1]
    elif state is TrialState.PRUNED:
        value = finite[max(finite)]  # as Optuna's own `tell` does
    known = {name: space[name] for name, had in trial.point.items() if name in space and had in space[name]}
    return create_trial(
        state=state,
        value=value,
        params={name: trial.point[name] for name in known},
        distributions={name: distribution(domain) for name, domain in known.items()},
        intermediate_values=finite,
        user_attrs=attributes(trial.number, trial.ending) if trial.ending else {},
    )


def attributes(number: int, ending: Ending) -> dict[str, Any]:
    """Returns what the dashboard shows beside a trial: Optuna numbers them there in the order in which they ended."""
    return {"trial": number, "verdict": str(ending.verdict), "reason": ending.reason}


class Mirror:
    """Writes `study.db` while a study runs; whatever goes wrong with it stops no study."""

    def __init__(self, path: Path, name: str, mode: str, trials: Sequence[FrozenTrial] = ()) -> None:
        """Adds what the file lacks of earlier trials; one that holds others, or is damaged, is made anew.

        Args:
            path: The file.
            name: Of the study.
            mode: Its direction.
            trials: That ended before.
        """
        self._path = path
        self._name = name
        self._mode = mode
        self._study: optuna.Study | None = None
        ended = {trial.user_attrs["trial"]: trial for trial in trials}
        there = _numbers(path)
        if not there <= ended.keys() or not there:
            path.unlink(missing_ok=True)
        missing = [trial for number, trial in ended.items() if number not in there or not path.exists()]
        if missing:
            self.add(*missing)

    def add(self, *trials: FrozenTrial) -> None:
        """Adds trials that ended."""
        try:
            self._study = self._study or _open(self._path, self._name, self._mode)
            self._study.add_trials(trials)
        except Exception as error:  # SQLAlchemy and SQLite raise what they like, and the record is complete without it
            log.warning("study.db: not written (%s). It can be rebuilt from the record.", error)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_study": None}  # Ray pickles the searcher; connections cannot be


def rebuild(record: StudyRecord, path: Path) -> None:
    """Writes `study.db` anew from the record; the file is replaced only when the new one is complete."""
    space = parse_space(record.settings["space"], "space")[0]
    trials = [as_optuna(trial, space, record.metric, record.mode) for trial in record.trials if not trial.unfinished]
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    _open(new, str(record.settings["name"]), record.mode).add_trials(trials)
    new.replace(path)


def _open(path: Path, name: str, mode: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{path}"
    return optuna.create_study(storage=url, study_name=name, direction=direction(mode), load_if_exists=True)


def _numbers(path: Path) -> set[int]:
    """Returns the numbers of the trials that a `study.db` holds; none where it is missing or damaged."""
    query = "SELECT value_json FROM trial_user_attributes WHERE key = 'trial'"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return {int(number) for (number,) in database.execute(query)}
    except sqlite3.Error:
        return set()


def count(path: Path) -> int | None:
    """Returns how many trials a `study.db` holds; None where it is missing or damaged."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.Error:
        return None
