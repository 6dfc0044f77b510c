"""Optuna behind Ray's `Searcher`.

Ray's own `OptunaSearch` tells Optuna the *last* value of every trial, calls a pruned trial COMPLETE, leaves a trial
whose last value is NaN running for ever, and takes points out of range with a warning nobody sees. This searcher tells
what the record says: the best epoch of completed and plateaued trials, PRUNED with intermediate values by epoch for
pruned ones, FAIL for the rest.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from ray.tune.search import Searcher

from yolotune.distributions import distribution
from yolotune.metrics import better, is_finite
from yolotune.record import FINISHED, Ending, TrialRecord, Verdict
from yolotune.schedule import Endings
from yolotune.space import Point, options
from yolotune.stop import Stop
from yolotune.study import Study

log = logging.getLogger(__name__)

Direction = Literal["maximize", "minimize"]

#: Trials before TPE starts to model, initial points among them (Optuna's default).
STARTUP_TRIALS = 10


def make_sampler(study: Study, number: int) -> BaseSampler:
    """Returns the sampler for one trial.

    It is seeded by the study's seed and the trial's number, not by how often it was asked, so that a resumed study
    suggests what an uninterrupted one would have.
    """
    seed = int(np.random.SeedSequence((study.seed, number)).generate_state(1)[0])
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS) if study.search == "tpe" else RandomSampler(seed=seed)


def grid(study: Study) -> list[Point]:
    """Returns all combinations of a grid in an order drawn from the seed, so that a part of it covers all of it."""
    names = list(study.domains)
    combinations = itertools.product(*(options(domain) for domain in study.domains.values()))
    points = [dict(zip(names, values, strict=True)) for values in combinations]
    random.Random(study.seed).shuffle(points)
    return points


class OptunaSearcher(Searcher):
    """Suggests points and learns from verdicts.

    A suggestion is the config of a Ray trial: `{"number": 7, "point": {...}}`. Numbers are Optuna's own, from 0.
    """

    def __init__(
        self,
        study: Study,
        points: Sequence[Point],
        endings: Endings,
        stop: Stop | None = None,
        database: Path | None = None,
        recorded: Sequence[TrialRecord] = (),
    ) -> None:
        """Creates the Optuna study from the record, and queues what is to be tried first.

        Args:
            study: The study.
            points: Initial points, checked; the first is trial 0.
            endings: Why schedulers and stoppers stopped a trial.
            stop: When set, nothing more is suggested.
            database: SQLite file that mirrors ended trials for optuna-dashboard; None for none.
            recorded: Trials of before, by number; unfinished ones are suggested again, first.
        """
        super().__init__(metric=study.metric, mode=study.direction)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = study
        self._space = {name: distribution(domain) for name, domain in study.domains.items()}
        self._endings = endings
        self._stop = stop
        direction: Direction = "maximize" if study.direction == "max" else "minimize"
        self.optuna_study = optuna.create_study(direction=direction, study_name=study.name)
        self._mirror = _Mirror(database, study.name, direction) if database else None
        self._trials: dict[str, Trial] = {}
        self._unfinished: deque[Trial] = deque()
        for trial in recorded:
            self._remember(trial)
        known = [trial.point for trial in recorded]
        wanted = [*points, *(point for point in grid(study) if point not in points)] if self._is_grid else points
        self._queue = deque(point for point in wanted if point not in known)

    @property
    def _is_grid(self) -> bool:
        return self._study.search == "grid"

    def _remember(self, trial: TrialRecord) -> None:
        """Adds a recorded trial to the Optuna study: as it ended, or as one that is running."""
        values = {int(row["epoch"]): row.get(self.metric) for row in trial.epochs}
        finite = {step: float(value) for step, value in values.items() if is_finite(value)}
        known = create_trial(
            state=TrialState.RUNNING,
            params=trial.point,
            distributions=self._space,
            intermediate_values=finite,
        )
        self.optuna_study.add_trial(known)
        running = Trial(self.optuna_study, self.optuna_study.get_trials(deepcopy=False)[-1]._trial_id)
        if trial.unfinished:
            self._unfinished.append(running)
        elif trial.ending is not None:
            self.tell(running, trial.ending)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns the next config, or `FINISHED` when a grid is used up or the study is being stopped."""
        if self._stop is not None and self._stop.is_set():
            return str(Searcher.FINISHED)
        if self._unfinished:
            trial = self._unfinished.popleft()
        elif self._queue or not self._is_grid:
            if self._queue:
                self.optuna_study.enqueue_trial(self._queue.popleft())
            self.optuna_study.sampler = make_sampler(self._study, len(self.optuna_study.get_trials(deepcopy=False)))
            trial = self.optuna_study.ask(self._space)
        else:
            return str(Searcher.FINISHED)
        self._trials[trial_id] = trial
        return {"number": trial.number, "point": dict(trial.params)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells an epoch's objective; NaN and missing values are passed over."""
        trial, value = self._trials.get(trial_id), result.get(self.metric)
        if trial is not None and is_finite(value):
            step = int(result["epoch"])
            if step not in self._frozen(trial).intermediate_values:
                trial.report(float(value), step)  # type: ignore[arg-type]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the verdict and drops the trial."""
        trial = self._trials.get(trial_id)
        if trial is None:
            return
        if result and not error:
            self.on_trial_result(trial_id, result)  # the report that stopped a trial comes only here
        del self._trials[trial_id]
        ending = ending_of(self._endings.get(trial.number), result, error=error)
        self.tell(trial, ending)

    def tell(self, trial: Trial, ending: Ending) -> None:
        """Ends an Optuna trial with what its verdict means to the sampler."""
        value = self.best_of(self._frozen(trial))
        if ending.verdict is Verdict.PRUNED and value is not None:
            told = self.optuna_study.tell(trial, state=TrialState.PRUNED)
        elif ending.verdict in FINISHED and value is not None:
            told = self.optuna_study.tell(trial, value)
        else:
            told = self.optuna_study.tell(trial, state=TrialState.FAIL)
        if self._mirror:
            self._mirror.add(told)

    def best_of(self, trial: FrozenTrial) -> float | None:
        """Returns the best epoch's objective."""
        best: float | None = None
        for value in trial.intermediate_values.values():
            best = value if better(value, best, self.mode) else best
        return best

    def close(self) -> None:
        """Ends what is still open as FAIL: nothing stays running."""
        for trial_id in list(self._trials):
            self.on_trial_complete(trial_id, error=True)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.optuna_study._storage.get_trial(trial._trial_id)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stop": None}  # Ray pickles it for a restore that never happens

    def save(self, checkpoint_path: str) -> None:
        """Writes an empty file where Ray expects one: the record, not Ray's snapshot, is what a study resumes from."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a study resumes from its record")


def ending_of(stopped: Ending | None, result: dict[str, Any] | None, *, error: bool) -> Ending:
    """Returns why a trial ended: stopped by a rule, by itself with a verdict, or by an error."""
    if error:
        return Ending(Verdict.FAILED, "the trial raised an error")
    if stopped is not None:
        return stopped
    if result and "verdict" in result:
        return Ending(Verdict(result["verdict"]), str(result["reason"]))
    return Ending(Verdict.INTERRUPTED, "the study was stopped")


class _Mirror:
    """`study.db`: ended trials, for optuna-dashboard. A cache; whatever goes wrong with it stops no study."""

    def __init__(self, path: Path, name: str, direction: Direction) -> None:
        self._path = path
        self._name = name
        self._direction = direction
        self._study: optuna.Study | None = None
        path.unlink(missing_ok=True)  # rebuilt from the record whenever a study starts or goes on

    def add(self, trial: FrozenTrial) -> None:
        try:
            if self._study is None:
                self._study = optuna.create_study(
                    storage=f"sqlite:///{self._path}",
                    study_name=self._name,
                    direction=self._direction,
                    load_if_exists=True,
                )
            self._study.add_trial(trial)
        except Exception as error:  # SQLAlchemy and SQLite raise what they like, and the record is complete without it
            log.warning("study.db: not written (%s). It can be rebuilt from the record.", error)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_study": None}  # Ray pickles the searcher; connections cannot be
