"""How a study of the replay bench goes: the product's own parts, and rules that it does not have (yet).

A policy says which training a free slot goes on with, and after each epoch whether the slot stays with it. It calls
searcher, plateau stopper and ASHA in the order in which Ray Tune's controller does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from curves import F1, Curve, Row, Source
from yolotune.record import Ending, Verdict
from yolotune.schedule import Asha, Endings, PlateauStopper
from yolotune.signals import losses, scores
from yolotune.space import Point
from yolotune.study import Study


@dataclass
class Training:
    """A trial that trains, is paused or has ended; `epoch` is the last one trained."""

    number: int
    trial_id: str
    curve: Curve
    epoch: int = 0

    @property
    def rows(self) -> Sequence[Row]:
        """The epochs trained so far."""
        return self.curve.rows[: self.epoch]

    @property
    def best(self) -> float:
        """The best F1 so far: what the trial delivers if it ends now."""
        return max(row[F1] for row in self.rows)


class Searches(Protocol):
    """What the policies need of a searcher; `search.OptunaSearcher` has it."""

    def suggest(self, trial_id: str) -> Any: ...
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None: ...
    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None: ...


class Given:
    """A searcher that goes through given points and learns nothing; the points are what random search drew."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._next = 0

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self._next += 1
        return {"number": self._next - 1, "point": self._points[self._next - 1]}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None: ...
    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None: ...


class Policy:
    """What all policies share: beginning trainings and reporting to the searcher."""

    def __init__(self, study: Study, searcher: Searches, endings: Endings, source: Source) -> None:
        self.study = study
        self.trainings: list[Training] = []
        self._searcher = searcher
        self._endings = endings
        self._source = source

    def next(self) -> Training | None:
        """Returns what a free slot trains next; None if there is nothing for it now."""
        return self._begin()

    def goes_on(self, training: Training) -> bool:
        """Takes the report of the epoch just trained; whether the slot stays with this training."""
        raise NotImplementedError

    def _begin(self) -> Training | None:
        number = len(self.trainings)
        if number >= self.study.num_samples:
            return None
        config = self._searcher.suggest(f"t{number}")
        training = Training(number, f"t{number}", self._source(config["point"]))
        self.trainings.append(training)
        return training

    def _result(self, training: Training) -> dict[str, Any]:
        """Returns the report as a trial gives it; the last one comes with a verdict."""
        row = training.rows[-1]
        config = {"number": training.number, "point": training.curve.point}
        result = {"epoch": int(row["epoch"]), F1: row[F1], "report": row, "config": config}
        if training.epoch == len(training.curve.rows):
            result |= {"verdict": "completed", "reason": f"all {training.epoch} epochs", "done": True}
        return result


class OneByOne(Policy):
    """Each trial trains until it is done, or ASHA or the plateau stopper ends it: what Ray Tune and yolotune do."""

    def __init__(self, study: Study, searcher: Searches, endings: Endings, source: Source) -> None:
        super().__init__(study, searcher, endings, source)
        self._asha = Asha(study, endings) if study.asha else None
        self._plateau = PlateauStopper(study, endings) if study.plateau else None

    def goes_on(self, training: Training) -> bool:
        result = self._result(training)
        trial: Any = SimpleNamespace(trial_id=training.trial_id, config=result["config"])
        stop = self._plateau is not None and self._plateau(training.trial_id, result)
        stop = stop or result.get("done", False)
        if not stop and self._asha:
            stop = self._asha.on_trial_result(None, trial, result) == "STOP"
        if not stop:
            self._searcher.on_trial_result(training.trial_id, result)
            return True
        if self._asha:
            self._asha.on_trial_complete(None, trial, result)
        self._searcher.on_trial_complete(training.trial_id, result)
        return False


#: Scores trainings that stand at the same rung; higher is better.
Score = Callable[[Sequence[Training]], np.ndarray]


def best_f1(peers: Sequence[Training]) -> np.ndarray:
    """Scores by the best F1 so far."""
    return np.array([peer.best for peer in peers])


def early(peers: Sequence[Training]) -> np.ndarray:
    """Scores by early signals, as `rank: signals` does: best F1 so far and training losses."""
    standings = {peer.number: (peer.best, *losses(peer.rows[-1], peer.curve.point)) for peer in peers}
    return np.array(list(scores(standings).values()))


@dataclass
class _Batch:
    """Trials that meet at rungs; `waiting` may train on, `arrived` stand at the milestone."""

    wanted: int
    milestone: int
    alive: list[Training] = field(default_factory=list)
    waiting: list[Training] = field(default_factory=list)
    arrived: list[Training] = field(default_factory=list)


class Halving(Policy):
    """Synchronous successive halving: batches, all trained to a rung, the best 1/factor resumed, the others ended.

    A rung keeps at least one. A paused trial goes on where it was; pausing costs nothing here. A slot that a batch has
    no work for begins the next batch.
    """

    def __init__(
        self,
        study: Study,
        searcher: Searches,
        endings: Endings,
        source: Source,
        batch: int,
    ) -> None:
        super().__init__(study, searcher, endings, source)
        assert study.asha is not None
        self._score: Score = early if study.asha.rank == "signals" else best_f1
        self._size, self._factor = batch, study.asha.reduction_factor
        rungs, at = [], float(study.grace_period)
        while at < study.epochs:
            rungs.append(round(at))
            at *= self._factor
        self._milestones = [*rungs, study.epochs]
        self._batches: list[_Batch] = []
        self._batch_of: dict[int, _Batch] = {}

    def next(self) -> Training | None:
        for batch in self._batches:
            if batch.waiting:
                return batch.waiting.pop(0)
            if batch.wanted:
                return self._begin_in(batch)
        left = self.study.num_samples - len(self.trainings)
        if not left:
            return None
        self._batches.append(_Batch(min(left, self._size), self._milestones[0]))
        return self._begin_in(self._batches[-1])

    def _begin_in(self, batch: _Batch) -> Training | None:
        training = self._begin()
        assert training is not None
        batch.wanted -= 1
        batch.alive.append(training)
        self._batch_of[training.number] = batch
        return training

    def goes_on(self, training: Training) -> bool:
        batch, result = self._batch_of[training.number], self._result(training)
        if result.get("done"):
            batch.alive.remove(training)
            self._searcher.on_trial_complete(training.trial_id, result)
        else:
            self._searcher.on_trial_result(training.trial_id, result)
            if training.epoch < batch.milestone:
                return True
            batch.arrived.append(training)
        if not batch.wanted and len(batch.arrived) == len(batch.alive) > 0:
            self._decide(batch)
        return False

    def _decide(self, batch: _Batch) -> None:
        """Ends all but the best 1/factor of those that stand at the rung."""
        ranked = [batch.arrived[place] for place in np.argsort(-self._score(batch.arrived), kind="stable")]
        kept = max(1, int(len(ranked) / self._factor))
        for training in ranked[kept:]:
            reason = f"rung at epoch {batch.milestone}: not among the best {kept} of {len(ranked)}"
            self._endings[training.number] = Ending(Verdict.PRUNED, reason)
            self._searcher.on_trial_complete(training.trial_id, self._result(training))
        batch.alive, batch.arrived = ranked[:kept], []
        batch.waiting = list(batch.alive)
        batch.milestone = next(m for m in self._milestones if m > batch.milestone)
