"""What to try next: Optuna's ask and tell, filled from the record of a study.

The record is the truth, and the Optuna study lives in memory: it is made anew from the record when a study continues.
The best epoch of completed and plateaued trials is told, PRUNED with intermediate values by epoch for pruned ones, and
FAIL for the rest, from which no sampler learns.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from yolotune.config.distributions import distribution
from yolotune.config.settings import Settings
from yolotune.config.space import MAX_GRID, Point, countable, options
from yolotune.metrics import is_finite
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.search.conversion import frozen_trial, new_study, state_of, user_attributes
from yolotune.search.database import StudyDatabase
from yolotune.search.samplers import checked_sampler, make_sampler

#: How often a sampler may suggest a point that was tried already, before the rest of a finite space is listed.
DUPLICATES = 20


@dataclass(frozen=True)
class Suggestion:
    """A trial to run: its number in the record, and its hyperparameters."""

    number: int
    point: Point


@dataclass
class _Open:
    """A trial that has not ended.

    Attributes:
        number: Of the record. Optuna's own numbers also count the suggestions that were refused.
        point: Its hyperparameters.
        trial: Optuna's side of it.
        values: Its finite objectives by epoch.
    """

    number: int
    point: Point
    trial: Trial
    values: dict[int, float] = field(default_factory=dict)


class Optimizer:
    """Suggests points and learns from how their trials ended.

    No point is suggested twice: where the sampler comes back to one, its outcome is known, and the sampler is asked
    again.

    Attributes:
        left: Trials that are still to be asked for, unfinished ones of the record included.
        optuna_study: The Optuna study.

    Example:
        >>> optimizer = Optimizer(settings, [{"lr0": 0.001}])
        >>> while (suggestion := optimizer.ask()) is not None:
        ...     optimizer.report(suggestion.number, epoch=1, value=train(suggestion.point))
        ...     optimizer.tell(suggestion.number, Ending(Verdict.COMPLETED, "all epochs"))
    """

    def __init__(
        self,
        settings: Settings,
        points: Sequence[Point],
        *,
        recorded: Sequence[TrialRecord] = (),
        database: Path | None = None,
        sampler: BaseSampler | None = None,
    ) -> None:
        """Makes the Optuna study from the record, and queues what is to be tried first.

        Args:
            settings: Of the study, resolved.
            points: Initial points, checked; the first is trial 0.
            recorded: Trials of the record, by number; unfinished ones are asked for first.
            database: `study.db`, to which ended trials are written for optuna-dashboard; None for none.
            sampler: Used as it is for every suggestion, in place of the one that `search` names.

        Raises:
            UserError: The sampler is no sampler, or works in Optuna's own loop only.
        """
        self._settings = settings
        self._space = {name: distribution(domain) for name, domain in settings.domains.items()}
        self._sampler = None if sampler is None else checked_sampler(sampler)
        self.optuna_study = new_study(settings.name, settings.direction)
        self._running: dict[int, _Open] = {}
        self._unfinished: list[_Open] = []
        self._tried: set[frozenset[tuple[str, Any]]] = set()
        self._begun = 0
        for trial in recorded:
            self._add_recorded(trial)
        self.optuna_study.sampler = self._sampler or self.optuna_study.sampler
        ended = len(recorded) - len(self._unfinished)
        self.left = max(settings.trials - ended, len(self._unfinished))
        self._database = self._open_database(database) if database else None
        grid_points = grid(settings) if self._is_grid else []
        initial = [*points, *(point for point in grid_points if point not in points)]
        self._queue = [point for point in initial if _key(point) not in self._tried]

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Trials that began and wait to be asked for again, in the order in which they come."""
        return tuple(trial.number for trial in self._unfinished)

    @property
    def begun(self) -> int:
        """The number of the next new trial."""
        return self._begun

    def ask(self, number: int | None = None) -> Suggestion | None:
        """Returns a trial to run next, None if there is none.

        Args:
            number: The unfinished trial that is wanted; a number that is not unfinished stands for a new trial.
                None: the first unfinished trial, or else a new one.

        Returns:
            None as well where a new trial is wanted and every point has been tried; `left` then counts the unfinished
            trials alone.
        """
        if self.left <= 0:
            return None
        asked = self._take_unfinished(number) or self._new()
        if asked is None:
            self.left = len(self._unfinished)
            return None
        self.left -= 1
        self._running[asked.number] = asked
        return Suggestion(asked.number, dict(asked.point))

    def report(self, number: int, epoch: int, value: Any) -> None:
        """Takes in the objective of an epoch. One that is not finite or that comes again is passed over.

        Args:
            number: The trial.
            epoch: From 1.
            value: The objective.
        """
        asked = self._running.get(number)
        if asked is not None and is_finite(value) and epoch not in asked.values:
            asked.values[epoch] = float(value)
            asked.trial.report(float(value), epoch)

    def tell(self, number: int, ending: Ending) -> None:
        """Ends a trial. One that was interrupted is unfinished in the record, so it is not written to `study.db`.

        Args:
            number: The trial; one that is not running is ignored.
            ending: Why it ended.
        """
        asked = self._running.pop(number, None)
        if asked is None:
            return
        choose = max if self._settings.direction == "max" else min
        best = choose(asked.values.values(), default=None)
        state = state_of(ending.verdict, best)
        for name, said in user_attributes(number, ending).items():
            asked.trial.set_user_attr(name, said)
        told = self.optuna_study.tell(asked.trial, best if state is TrialState.COMPLETE else None, state)
        if self._database and ending.verdict is not Verdict.INTERRUPTED:
            self._database.add(told)

    def take_back(self, number: int) -> None:
        """Makes a running trial the next one to be asked for: its process died, and it is to continue."""
        asked = self._running.pop(number, None)
        if asked is not None:
            self._unfinished.insert(0, asked)
            self.left += 1

    def close(self) -> None:
        """Ends whatever is still running as FAIL."""
        for number in list(self._running):
            self.tell(number, Ending(Verdict.INTERRUPTED, "the study was stopped"))

    # --- from the record -----------------------------------------------------------------------------------------

    def _add_recorded(self, trial: TrialRecord) -> None:
        """Adds a recorded trial to the Optuna study: as it ended, or as one that is running."""
        frozen = frozen_trial(trial, self._settings.domains, self._settings.metric, self._settings.direction)
        self.optuna_study.add_trial(frozen)
        self._tried.add(_key(trial.point))
        self._begun = max(self._begun, trial.number + 1)
        if trial.unfinished:
            added = self.optuna_study.get_trials(deepcopy=False)[-1]
            running = Trial(self.optuna_study, added._trial_id)  # Optuna has no public way to continue a trial
            self._unfinished.append(_Open(trial.number, trial.point, running, dict(frozen.intermediate_values)))

    def _open_database(self, path: Path) -> StudyDatabase:
        ended = [trial for trial in self.optuna_study.get_trials(deepcopy=False) if trial.state.is_finished()]
        return StudyDatabase(path, self._settings.name, self._settings.direction, ended)

    # --- what to try next ----------------------------------------------------------------------------------------

    @property
    def _is_grid(self) -> bool:
        return self._sampler is None and self._settings.search == "grid"

    def _take_unfinished(self, number: int | None) -> _Open | None:
        """Returns the unfinished trial of this number, or the first if no number is given; None if there is none."""
        asked = next((asked for asked in self._unfinished if number in (None, asked.number)), None)
        if asked is not None:
            self._unfinished.remove(asked)
        return asked

    def _new(self) -> _Open | None:
        """Returns a new trial with a point that was not tried; None if all were, or only unfinished trials are left."""
        if self.left <= len(self._unfinished):
            return None
        trial = self._ask_queue() or self._ask_sampler() or self._ask_rest()
        if trial is None:
            return None
        asked = _Open(self._begun, trial.params, trial)
        self._tried.add(_key(trial.params))
        self._begun += 1
        return asked

    def _ask_queue(self) -> Trial | None:
        """Returns a trial with the next initial point, or the next of the grid."""
        return self._ask(point=self._queue.pop(0)) if self._queue else None

    def _ask_sampler(self) -> Trial | None:
        """Returns a trial with the sampler's point; None if it came back to known points too often."""
        for attempt in range(0 if self._is_grid else DUPLICATES):
            trial = self._ask(attempt=attempt)
            if _key(trial.params) not in self._tried:
                return trial
            self.optuna_study.tell(trial, state=TrialState.FAIL)
        return None

    def _ask_rest(self) -> Trial | None:
        """Returns a trial with a point that the sampler has not come to, where the points of the space are few."""
        if (countable(self._settings.domains) or math.inf) > MAX_GRID:
            return None
        rest = (point for point in grid(self._settings) if _key(point) not in self._tried)
        return next((self._ask(point=point) for point in rest), None)

    def _ask(self, *, attempt: int = 0, point: Point | None = None) -> Trial:
        """Asks Optuna for a trial, with a given point or with the sampler's."""
        if self._sampler is None:
            seed = _seed(self._settings.seed, self._begun, attempt)
            self.optuna_study.sampler = make_sampler(self._settings.search, seed)
        if point is not None:
            self.optuna_study.enqueue_trial(point)
        return self.optuna_study.ask(self._space)


def grid(settings: Settings) -> list[Point]:
    """Returns all combinations of a grid in an order drawn from the seed, so that a part of it covers all of it."""
    names = list(settings.domains)
    combinations = itertools.product(*(options(domain) for domain in settings.domains.values()))
    points = [dict(zip(names, values, strict=True)) for values in combinations]
    random.Random(settings.seed).shuffle(points)
    return points


def _seed(study: int, number: int, attempt: int) -> int:
    """Returns the seed of a sampler, by trial number.

    It does not depend on how often a sampler was asked, so a resumed study suggests what an uninterrupted one would.
    """
    entropy = (study, number, attempt) if attempt else (study, number)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _key(point: Point) -> frozenset[tuple[str, Any]]:
    return frozenset(point.items())
