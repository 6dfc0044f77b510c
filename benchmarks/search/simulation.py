"""A study on a simulated clock: the product's own search, scheduler and plateau rule over curves as if they trained.

A report is judged and told in the order of the study's driver (`yolotune.tuner.conductor`). An epoch takes its recorded
seconds; starting, ending, pausing and resuming a trial cost nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.search.curves import F1, Curve, Row, Source
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers import make_scheduler
from yolotune.schedulers.base import Action, Decision, PausingScheduler, Report
from yolotune.schedulers.plateau import PlateauRule
from yolotune.search.optimizer import Suggestion


class Search(Protocol):
    """What proposes points: `yolotune.search.optimizer.Optimizer`, and what it is compared with."""

    def ask(self) -> Suggestion | None: ...
    def report(self, number: int, epoch: int, value: Any) -> None: ...
    def tell(self, number: int, ending: Ending) -> None: ...


class GivenPoints:
    """Proposes given points and learns nothing. Points of a table in random order are random search."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._next = 0

    def ask(self) -> Suggestion | None:
        if self._next == len(self._points):
            return None
        self._next += 1
        return Suggestion(self._next - 1, self._points[self._next - 1])

    def report(self, number: int, epoch: int, value: Any) -> None: ...
    def tell(self, number: int, ending: Ending) -> None: ...


@dataclass
class Training:
    """A trial that trains, is paused or has ended; `epoch` is the last one trained."""

    number: int
    curve: Curve
    epoch: int = 0

    @property
    def rows(self) -> Sequence[Row]:
        """The epochs trained so far."""
        return self.curve.rows[: self.epoch]

    @property
    def best(self) -> float:
        """The best F1 so far: what the trial delivers if it ends now."""
        return max((row[F1] for row in self.rows), default=0.0)


class SimulatedStudy:
    """Says which training a free slot continues with, and after each epoch whether the slot stays with it."""

    def __init__(self, settings: Settings, search: Search, source: Source) -> None:
        """Begins a study.

        Args:
            settings: Resolved.
            search: Proposes points.
            source: Trains them.
        """
        self.settings = settings
        self.trainings: list[Training] = []
        self._search = search
        self._source = source
        self._scheduler = make_scheduler(settings)
        self._plateau = PlateauRule(settings) if settings.plateau else None
        self._busy: set[int] = set()

    def next_training(self) -> Training | None:
        """Returns what a free slot trains next; None if there is nothing for it now."""
        if not isinstance(self._scheduler, PausingScheduler):
            return self._begin()
        while (turn := self._scheduler.next_turn(self._busy)) is not None:
            training = self.trainings[turn.number] if turn.number < len(self.trainings) else self._begin()
            if training is None:
                self._scheduler.limit(len(self.trainings))
            elif turn.ending is not None:  # cut while it was paused; here it ends at once
                self._end(training, turn.ending)
            else:
                self._scheduler.begin(training.number)
                self._busy.add(training.number)
                return training
        return None

    def _begin(self) -> Training | None:
        suggestion = self._search.ask()
        if suggestion is None:
            return None
        assert suggestion.number == len(self.trainings)
        training = Training(suggestion.number, self._source(suggestion.point))
        self.trainings.append(training)
        return training

    def goes_on(self, training: Training) -> bool:
        """Takes the report of the epoch just trained; whether the slot stays with this training."""
        training.epoch += 1
        row = training.rows[-1]
        report = Report(training.number, training.curve.point, training.epoch, row)
        decision = self._judged(report, last=training.epoch == len(training.curve.rows))
        self._search.report(training.number, training.epoch, row[F1])
        if decision.action is Action.CONTINUE:
            return True
        self._busy.discard(training.number)
        if decision.ending is not None:
            self._end(training, decision.ending)
        return False

    def _judged(self, report: Report, *, last: bool) -> Decision:
        """Makes the decision; scheduler and plateau rule take in every report, whoever decides."""
        compared = self._scheduler.judge(report)
        converged = self._plateau.judge(report) if self._plateau else None
        ending = Ending(Verdict.COMPLETED, f"all {report.epoch} epochs") if last else converged
        return compared if ending is None else Decision(Action.STOP, ending)

    def _end(self, training: Training, ending: Ending) -> None:
        self._search.tell(training.number, ending)
        self._scheduler.end(training.number, ending.verdict)


@dataclass(frozen=True)
class Outcome:
    """What one study came to: epochs trained, its time in seconds, the F1 it delivers, and the point that has it."""

    epochs: int
    seconds: float
    delivered: float
    best: Curve


#: Told of each epoch: epochs of the study so far, the curve and its epoch. Whether the study goes on.
Watch = Callable[[int, Curve, int], bool]


def simulate(study: SimulatedStudy, slots: int, watch: Watch | None = None) -> Outcome:
    """Runs a study on a simulated clock.

    Args:
        study: What trains when.
        slots: Trainings at the same time.
        watch: Sees every epoch; None for nobody.
    """
    now, asked, spent, free = 0.0, 0, 0, slots
    running: list[tuple[float, int, Training]] = []  # when an epoch ends, in which order it began, the trial

    def train_an_epoch(training: Training) -> None:
        nonlocal asked
        heapq.heappush(running, (now + training.curve.rows[training.epoch]["seconds"], asked, training))
        asked += 1

    while True:
        while free and (begun := study.next_training()) is not None:
            free -= 1
            train_an_epoch(begun)
        if not running:
            break
        now, _, training = heapq.heappop(running)
        spent += 1
        continues = study.goes_on(training)
        if watch is not None and not watch(spent, training.curve, training.epoch):
            break
        if continues:
            train_an_epoch(training)
        else:
            free += 1
    best = max(study.trainings, key=lambda training: training.best)
    return Outcome(sum(training.epoch for training in study.trainings), now, best.best, best.curve)
