"""Optuna behind Ray's `Searcher`.

Ray's own `OptunaSearch` tells Optuna the *last* value of every trial, calls a pruned trial COMPLETE, leaves a trial
whose last value is NaN running for ever, and takes points out of range with a warning nobody sees. This searcher tells
what the record says: the best epoch of completed and plateaued trials, PRUNED with intermediate values by epoch for
pruned ones, FAIL for the rest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from ray.tune.search import Searcher

from yolotune.metrics import better, is_finite
from yolotune.record import FINISHED, Ending, Verdict
from yolotune.schedule import Endings
from yolotune.space import Domain, Point, RandInt, Uniform, grid_size, options
from yolotune.study import Study

log = logging.getLogger(__name__)

Direction = Literal["maximize", "minimize"]

#: Trials before TPE starts to model, initial points among them (Optuna's default).
STARTUP_TRIALS = 10


def distribution(domain: Domain) -> BaseDistribution:
    """Returns Optuna's form of a distribution."""
    if isinstance(domain, Uniform):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, RandInt):
        return IntDistribution(domain.low, domain.high - 1)
    return CategoricalDistribution(domain.options)


def make_sampler(study: Study) -> BaseSampler:
    """Returns the sampler that `--search` names, seeded."""
    if study.search == "random":
        return RandomSampler(seed=study.seed)
    if study.search == "grid":
        return _Grid({name: list(options(domain)) for name, domain in study.domains.items()}, seed=study.seed)
    return TPESampler(seed=study.seed, n_startup_trials=STARTUP_TRIALS)


class _Grid(GridSampler):
    def after_trial(self, *_: object) -> None:
        """Nothing: Optuna would stop its loop after the last point, and raises because there is no loop."""


class OptunaSearcher(Searcher):
    """Suggests points and learns from verdicts.

    A suggestion is the config of a Ray trial: `{"number": 7, "point": {...}}`. Numbers are Optuna's own, from 0.
    """

    def __init__(
        self,
        study: Study,
        points: Sequence[Point],
        endings: Endings,
        stop: threading.Event | None = None,
        database: Path | None = None,
    ) -> None:
        """Creates the Optuna study and queues the initial points.

        Args:
            study: The study.
            points: Initial points, checked; the first is trial 0.
            endings: Why schedulers and stoppers stopped a trial.
            stop: When set, nothing more is suggested.
            database: SQLite file that mirrors ended trials for optuna-dashboard; None for none.
        """
        super().__init__(metric=study.metric, mode=study.direction)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = {name: distribution(domain) for name, domain in study.domains.items()}
        self._endings = endings
        self._stop = stop
        # initial points, the defaults among them, are tried besides the grid
        self._left = grid_size(study.domains) + len(points) if study.search == "grid" else None
        direction: Direction = "maximize" if study.direction == "max" else "minimize"
        self.optuna_study = optuna.create_study(sampler=make_sampler(study), direction=direction, study_name=study.name)
        for point in points:
            self.optuna_study.enqueue_trial(point)
        self._trials: dict[str, Trial] = {}
        self._mirror = _Mirror(database, study.name, direction) if database else None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns the next config, or `FINISHED` when a grid is used up or the study is being stopped."""
        if self._stop is not None and self._stop.is_set():
            return str(Searcher.FINISHED)
        if self._left is not None:
            if not self._left:
                return str(Searcher.FINISHED)
            self._left -= 1
        trial = self.optuna_study.ask(self._space)
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
