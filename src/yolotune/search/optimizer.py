"""Optuna behind Ray's `Searcher`.

Ray's own `OptunaSearch` tells Optuna the *last* value of every trial, calls a pruned trial COMPLETE, leaves a trial
whose last value is NaN running for ever, and takes points out of range with a warning nobody sees. This searcher tells
what the record says: the best epoch of completed and plateaued trials, PRUNED with intermediate values by epoch for
pruned ones, FAIL for the rest.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from ray.tune.search import Searcher

from yolotune.config.distributions import distribution
from yolotune.config.settings import Settings
from yolotune.config.space import MAX_GRID, Point, countable, options
from yolotune.metrics import better, is_finite
from yolotune.record.study import Ending, TrialRecord, Verdict
from yolotune.schedulers.halving import Turn
from yolotune.schedulers.plateau import Endings
from yolotune.schedulers.stop import Stop
from yolotune.search.database import Mirror, as_optuna, attributes, direction, state_of
from yolotune.search.samplers import make_sampler, propose
from yolotune.tuner.restarts import Restarts

#: Suggestions of points that were tried already, before the rest of a finite space is gone through one by one.
DUPLICATES = 20


def grid(study: Settings) -> list[Point]:
    """Returns all combinations of a grid in an order drawn from the seed, so that a part of it covers all of it."""
    names = list(study.domains)
    combinations = itertools.product(*(options(domain) for domain in study.domains.values()))
    points = [dict(zip(names, values, strict=True)) for values in combinations]
    random.Random(study.seed).shuffle(points)
    return points


class _Asked(NamedTuple):
    """A trial by the number of the record; Optuna's own numbers also count the points that were refused."""

    number: int
    point: Point
    trial: Trial


class Turns(Protocol):
    """Who decides when a trial may start, where that is not whenever Ray has room for one (`pausing.Halving`)."""

    def turn(self) -> Turn | None:
        """Returns the trial that starts now: an unfinished one of the record, or the next one; None for none."""

    def no_more(self, total: int) -> None:
        """There are no more than so many trials: every point was tried."""

    def again(self, number: int) -> None:
        """A trial whose process has just died is to be started again."""


def _key(point: Point) -> frozenset[tuple[str, Any]]:
    return frozenset(point.items())


class OptunaSearcher(Searcher):
    """Suggests points and learns from verdicts.

    A suggestion is the config of a Ray trial: `{"number": 7, "point": {...}}`. No point is suggested twice: where the
    sampler comes back to one, its outcome is known already, and it is asked again.
    """

    def __init__(
        self,
        study: Settings,
        points: Sequence[Point],
        endings: Endings,
        stop: Stop | None = None,
        database: Path | None = None,
        recorded: Sequence[TrialRecord] = (),
        turns: Turns | None = None,
        restarts: Restarts | None = None,
    ) -> None:
        """Creates the Optuna study from the record, and queues what is to be tried first.

        Args:
            study: The study.
            points: Initial points, checked; the first is trial 0.
            endings: Why schedulers and stoppers stopped a trial.
            stop: When set, nothing more is suggested.
            database: SQLite file that mirrors ended trials for optuna-dashboard; None for none.
            recorded: Trials of before, by number; unfinished ones are suggested again, first.
            turns: Who decides when a trial may start; None for whenever Ray asks.
            restarts: Counts dead processes; None to start no trial again.
        """
        super().__init__(metric=study.metric, mode=study.direction)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = study
        self._space = {name: distribution(domain) for name, domain in study.domains.items()}
        self._endings = endings
        self._stop = stop
        self._turns = turns
        self._restarts = restarts or Restarts(0)
        self.optuna_study = optuna.create_study(direction=direction(study.direction), study_name=study.name)
        self._trials: dict[str, _Asked] = {}
        self._unfinished: deque[_Asked] = deque()
        self._tried: set[frozenset[tuple[str, Any]]] = set()
        self._next = 0
        self.finished = False  # whether Ray was told that no trial is to come
        for trial in recorded:
            self._remember(trial)
        self._left = study.num_samples - sum(not trial.unfinished for trial in recorded)
        if turns:
            self._left = max(self._left, len(self._unfinished))  # a batch waits for each of them
        ended = [trial for trial in self.optuna_study.get_trials(deepcopy=False) if trial.state.is_finished()]
        self._mirror = Mirror(database, study.name, study.direction, ended) if database else None
        wanted = [*points, *(point for point in grid(study) if point not in points)] if self._is_grid else points
        self._queue = deque(point for point in wanted if _key(point) not in self._tried)

    @property
    def _is_grid(self) -> bool:
        return self._study.search == "grid"

    def _remember(self, trial: TrialRecord) -> None:
        """Adds a recorded trial to the Optuna study: as it ended, or as one that is running."""
        self.optuna_study.add_trial(as_optuna(trial, self._study.domains, self._study.metric, self._study.direction))
        self._tried.add(_key(trial.point))
        self._next = max(self._next, trial.number + 1)
        if trial.unfinished:
            added = self.optuna_study.get_trials(deepcopy=False)[-1]
            self._unfinished.append(_Asked(trial.number, trial.point, Trial(self.optuna_study, added._trial_id)))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns the next config, None for none now, or `FINISHED` when there is none to come."""
        if self._stop is not None and self._stop.is_set():
            return self._finish()
        turn = self._turns.turn() if self._turns and self._left > 0 else None
        if self._left <= 0 or (self._turns and turn is None):
            return self._none_now()
        asked = self._take_unfinished(turn.number if turn else None) or self._ask_new()
        if asked is None:
            return self._no_more()
        self._left -= 1
        self._trials[trial_id] = asked
        cut = {"cut": turn.cut} if turn and turn.cut else {}
        if self._stop is not None and not cut:
            self._stop.begins(asked.number)
        return {"number": asked.number, "point": dict(asked.point), **cut}

    def _take_unfinished(self, number: int | None) -> _Asked | None:
        """Returns the unfinished trial of the record that has this number, or the first; None if there is none."""
        asked = next((asked for asked in self._unfinished if number in (None, asked.number)), None)
        if asked is not None:
            self._unfinished.remove(asked)
        return asked

    def _no_more(self) -> str | None:
        """Ends the search after the trials that there are: every point was tried."""
        if self._turns:
            self._turns.no_more(self._next)
        self._left = len(self._unfinished)
        return self._none_now()

    def _none_now(self) -> str | None:
        """Returns None, and Ray asks again in a moment, while a trial waits for its turn or may come back."""
        return None if self._left > 0 or self._trials else self._finish()

    def _finish(self) -> str:
        self.finished = True
        return str(Searcher.FINISHED)

    def _ask_new(self) -> _Asked | None:
        """Returns a trial with a point that was not tried yet: a queued one, else the sampler's; None if all were."""
        if self._queue:
            return self._asked(self._ask(0, self._queue.popleft()))
        if self._is_grid:
            return None
        for attempt in range(DUPLICATES):
            trial = self._ask(attempt)
            if _key(trial.params) not in self._tried:
                return self._asked(trial)
            self.optuna_study.tell(trial, state=TrialState.FAIL)  # which no sampler learns from
        if (countable(self._study.domains) or math.inf) <= MAX_GRID:
            for point in grid(self._study):
                if _key(point) not in self._tried:
                    return self._asked(self._ask(0, point))
        return None

    def _ask(self, attempt: int, point: Point | None = None) -> Trial:
        """Asks Optuna for a trial, with a point of ours or of the sampler's."""
        sampler = make_sampler(self._study, self._next, attempt)
        if point is None and self._study.search == "gp":
            point = propose(self.optuna_study, self._space, sampler)
        if point is not None:
            self.optuna_study.enqueue_trial(point)
        self.optuna_study.sampler = sampler
        return self.optuna_study.ask(self._space)

    def _asked(self, trial: Trial) -> _Asked:
        """Gives a trial the next number."""
        asked = _Asked(self._next, trial.params, trial)
        self._tried.add(_key(trial.params))
        self._next += 1
        return asked

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells an epoch's objective; NaN and missing values are passed over."""
        asked, value = self._trials.get(trial_id), result.get(self.metric)
        if asked is not None and is_finite(value):
            step = int(result["epoch"])
            if step not in self._frozen(asked.trial).intermediate_values:
                asked.trial.report(float(value), step)  # type: ignore[arg-type]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the verdict and drops the trial; one whose process died is suggested again, if it may be."""
        asked = self._trials.get(trial_id)
        if asked is None:
            return
        if result and not error:
            self.on_trial_result(trial_id, result)  # the report that stopped a trial comes only here
        del self._trials[trial_id]
        if error and self._restarts.count(asked.number):
            self._take_back(asked)
            return
        self.tell(asked, ending_of(self._endings.get(asked.number), result, error=error))

    def _take_back(self, asked: _Asked) -> None:
        """Makes a trial the next one to be suggested, as one that goes on."""
        self._unfinished.appendleft(asked)
        self._left += 1
        if self._turns:
            self._turns.again(asked.number)

    def tell(self, asked: _Asked, ending: Ending) -> None:
        """Ends an Optuna trial with what its verdict means to the sampler."""
        trial = asked.trial
        value = self.best_of(self._frozen(trial))
        state = state_of(ending.verdict, value)
        for name, said in attributes(asked.number, ending).items():
            trial.set_user_attr(name, said)
        told = self.optuna_study.tell(trial, value if state is TrialState.COMPLETE else None, state)
        if self._mirror and ending.verdict is not Verdict.INTERRUPTED:
            self._mirror.add(told)

    def best_of(self, trial: FrozenTrial) -> float | None:
        """Returns the best epoch's objective."""
        best: float | None = None
        for value in trial.intermediate_values.values():
            best = value if better(value, best, self.mode) else best
        return best

    def close(self) -> None:
        """Ends what is still open as FAIL: nothing stays running."""
        for asked in self._trials.values():
            self.tell(asked, ending_of(self._endings.get(asked.number), None, error=True))
        self._trials.clear()

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.optuna_study._storage.get_trial(trial._trial_id)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stop": None, "_turns": None}  # Ray pickles it for a restore that never happens

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
