"""How a study of the replay bench goes: the product's own parts, and rules that it does not have (yet).

A policy says which training a free slot goes on with, and after each epoch whether the slot stays with it. It calls
searcher, plateau stopper and ASHA in the order in which Ray Tune's controller does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from ray.tune.utils.util import flatten_dict

from curves import F1, Curve, Row, Source
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.record.study import Ending, Verdict
from yolotune.schedulers.halving import SuccessiveHalving, Word
from yolotune.schedulers.plateau import Asha, Endings, PlateauStopper
from yolotune.schedulers.ranking import losses


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
        return max((row[F1] for row in self.rows), default=0.0)


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

    def __init__(self, study: Settings, searcher: Searches, endings: Endings, source: Source) -> None:
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
        result = {"epoch": int(row["epoch"]), F1: row[F1], "best": training.best, "report": row, "config": config}
        if training.epoch == len(training.curve.rows):
            result |= {"verdict": "completed", "reason": f"all {training.epoch} epochs", "done": True}
        return result


class OneByOne(Policy):
    """Each trial trains until it is done, or ASHA or the plateau stopper ends it: what Ray Tune and yolotune do."""

    def __init__(self, study: Settings, searcher: Searches, endings: Endings, source: Source) -> None:
        super().__init__(study, searcher, endings, source)
        self._asha = Asha(study, endings) if study.asha else None
        self._plateau = PlateauStopper(study, endings) if study.plateau else None

    def goes_on(self, training: Training) -> bool:
        result = self._result(training)
        trial: Any = SimpleNamespace(trial_id=training.trial_id, config=result["config"])
        stop = self._plateau is not None and self._plateau(training.trial_id, result)
        stop = stop or result.get("done", False)
        if not stop and self._asha:
            stop = self._asha.on_trial_result(None, trial, flatten_dict(result)) == "STOP"
        if not stop:
            self._searcher.on_trial_result(training.trial_id, result)
            return True
        if self._asha:
            self._asha.on_trial_complete(None, trial, flatten_dict(result))
        self._searcher.on_trial_complete(training.trial_id, result)
        return False


class Halving(Policy):
    """Synchronous successive halving, by the product's arithmetic.

    A paused trial goes on where it was, and one that is cut while it is paused ends at once; here both cost nothing.
    """

    def __init__(self, study: Settings, searcher: Searches, endings: Endings, source: Source) -> None:
        super().__init__(study, searcher, endings, source)
        self._rules = SuccessiveHalving(study)
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
        self._rules.report(number, training.epoch, result[F1], losses(training.rows[-1], training.curve.point))
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
