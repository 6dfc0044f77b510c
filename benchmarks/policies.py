"""How a study of the replay bench goes: the product's own parts, and rules that it does not have (yet).

A policy says which training a free slot goes on with, and after each epoch whether the slot stays with it. It calls
searcher, plateau stopper and ASHA in the order in which Ray Tune's controller does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from curves import F1, GAINS, Curve, Row, Source
from yolotune.halving import SuccessiveHalving, Word
from yolotune.record import Ending, Verdict
from yolotune.schedule import Asha, Endings, PlateauStopper
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

    def __init__(
        self, study: Study, searcher: Searches, endings: Endings, source: Source, asha: type[Asha] = Asha
    ) -> None:
        super().__init__(study, searcher, endings, source)
        self._asha = asha(study, endings) if study.asha else None
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


def signals(rows: Sequence[Row], point: Point) -> list[float]:
    """Returns what foretells a training's end early, higher is better: best F1, training losses by their own gains."""
    losses = (rows[-1][loss] / (float(point[gain]) if gain else 1.0) for loss, gain in GAINS.items())
    return [max(row[F1] for row in rows), *(-loss for loss in losses)]


def mean_rank(values: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns each row's mean rank over the columns, from 0 for the lowest; ties share their mean rank."""
    table = np.array(values)
    below = (table[:, None, :] > table[None, :, :]).sum(axis=1)
    ties = (table[:, None, :] == table[None, :, :]).sum(axis=1) - 1
    return np.asarray((below + ties / 2).mean(axis=1))


def early(peers: Sequence[Training]) -> np.ndarray:
    """Scores by early signals: the mean rank of best F1 so far and of the four training losses, each by its gain.

    Ru et al., "Speedy Performance Estimation for Neural Architecture Search", NeurIPS 2021: early training losses rank
    better than early validation scores.
    """
    return mean_rank([signals(peer.rows, peer.curve.point) for peer in peers])


class EarlyAsha(Asha):
    """ASHA whose rungs compare early signals: at each decision all who stood at the rung are ranked anew."""

    def __init__(self, study: Study, endings: Endings) -> None:
        super().__init__(study, endings)
        self._rows: dict[int, list[Row]] = {}
        self._signals: dict[int, dict[int, list[float]]] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, epoch = int(trial.config["number"]), int(result["epoch"])
        rows = self._rows.setdefault(number, [])
        rows.append(result["report"])
        rungs = self.bracket_of(number)
        reached = (m for m in rungs.milestones if epoch >= m and number not in rungs.recorded[m])
        milestone = next(reached, None)
        if milestone is None:
            return "CONTINUE"
        seen = self._signals.setdefault(milestone, {})
        seen[number] = signals(rows, trial.config["point"])
        scores = dict(zip(seen, mean_rank(list(seen.values())).tolist(), strict=True))
        own = scores.pop(number)
        rungs.recorded[milestone] = scores
        cut = rungs.judge(number, epoch, own)
        if cut is None:
            return "CONTINUE"
        reason = f"rung at epoch {milestone}: mean rank {cut.score:.1f} was below {cut.cutoff:.1f}"
        self._endings[number] = Ending(Verdict.PRUNED, reason)
        return "STOP"

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Leaves the rungs alone: all that a full trial reached are filled already."""


class _Ranked(SuccessiveHalving):
    """The product's rungs, at which another score than the best F1 may rank."""

    def __init__(self, study: Study, trainings: Sequence[Training], score: Score) -> None:
        super().__init__(study)
        self._trainings = trainings
        self._by = score

    def _ranked(self, there: Sequence[int], milestone: int) -> list[int]:
        if self._by is best_f1:
            return super()._ranked(there, milestone)
        by_number = sorted(there)
        peers = [Training(n, "", self._trainings[n].curve, milestone) for n in by_number]
        return [by_number[place] for place in np.argsort(-self._by(peers), kind="stable")] if peers else []


class Halving(Policy):
    """Synchronous successive halving, by the product's arithmetic.

    A paused trial goes on where it was, and one that is cut while it is paused ends at once; here both cost nothing.
    """

    def __init__(
        self, study: Study, searcher: Searches, endings: Endings, source: Source, score: Score = best_f1
    ) -> None:
        super().__init__(study, searcher, endings, source)
        self._rules = _Ranked(study, self.trainings, score)
        self._busy: set[int] = set()

    def next(self) -> Training | None:
        while (turn := self._rules.turn(self._busy)) is not None:
            if turn.cut is None:
                training = self.trainings[turn.number] if turn.number < len(self.trainings) else self._begin()
                assert training is not None and training.number == turn.number
                self._busy.add(turn.number)
                return training
            self._prune(self.trainings[turn.number])
        return None

    def goes_on(self, training: Training) -> bool:
        number, result = training.number, self._result(training)
        self._rules.report(number, training.epoch, result[F1])
        if result.get("done"):
            self._rules.end(number, Verdict.COMPLETED)
            self._searcher.on_trial_complete(training.trial_id, result)
        else:
            self._searcher.on_trial_result(training.trial_id, result)
            word = self._rules.word(number)
            if word is Word.TRAIN:
                return True
            if word is Word.CUT:
                self._prune(training)
        self._busy.discard(number)
        return False

    def _prune(self, training: Training) -> None:
        self._endings[training.number] = Ending(Verdict.PRUNED, self._rules.reason(training.number))
        self._rules.end(training.number, Verdict.PRUNED)
        self._searcher.on_trial_complete(training.trial_id, self._result(training))
