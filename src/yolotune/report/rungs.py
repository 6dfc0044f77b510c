"""The rungs of ASHA and of successive halving, rebuilt from the record: which trials reached them, which were cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolotune.config.scheduling import AshaSettings, HalvingSettings
from yolotune.record.study import StudyRecord
from yolotune.record.verdict import Verdict
from yolotune.schedulers.asha import Asha
from yolotune.schedulers.forecast import planned_trials
from yolotune.schedulers.halving import SuccessiveHalving


@dataclass(frozen=True)
class Rung:
    """The trials that reached a rung.

    Attributes:
        bracket: From 0; of halving the batch.
        epoch: Its milestone.
        scores: The objective there by trial number, best first in the order of the scheduler.
        cut: Trials that were cut there.
        group: What users call a bracket: `bracket` or `batch`.
        waits: Whether trials are still to come, so that none was cut yet (halving).
    """

    bracket: int
    epoch: int
    scores: dict[int, float]
    cut: frozenset[int]
    group: str = "bracket"
    waits: bool = False


def rungs_of(record: StudyRecord) -> list[Rung]:
    """Returns all rungs that a trial has reached, by bracket and epoch; empty for a scheduler without rungs."""
    if isinstance(record.settings.scheduler, AshaSettings):
        return _asha_rungs(record)
    return _halving_rungs(record) if isinstance(record.settings.scheduler, HalvingSettings) else []


def first_rung(record: StudyRecord) -> int | None:
    """Returns the epoch of the first rung; None for a scheduler without rungs."""
    numbers = record.settings.scheduler
    if isinstance(numbers, (AshaSettings, HalvingSettings)):
        return numbers.grace_epochs(record.settings.epochs)
    return None


def _asha_rungs(record: StudyRecord) -> list[Rung]:
    scheduler = Asha(record.settings)
    scheduler.rebuild(record.trials)
    pruned, sign = _pruned(record), _sign(record)
    found = []
    for place, bracket in enumerate(scheduler.brackets):
        higher: set[int] = set()
        for milestone in bracket.milestones:  # descending: a pruned trial was cut at the highest that it reached
            scores, standings = bracket.scores(milestone), bracket.recorded[milestone]
            best_first = sorted(scores, key=lambda number: -scores[number])
            cut = frozenset(scores.keys() & pruned - higher)
            higher |= scores.keys()
            if scores:
                values = {number: sign * standings[number][0] for number in best_first}
                found.append(Rung(place, milestone, values, cut))
    return sorted(found, key=lambda rung: (rung.bracket, rung.epoch))


def _halving_rungs(record: StudyRecord) -> list[Rung]:
    """Returns the rungs of every batch; trials that died before a rung have no score there and are left out."""
    scheduler = SuccessiveHalving(record.settings)
    scheduler.rebuild(record.trials)
    planned = planned_trials(record.settings)
    if planned < record.settings.trials:
        scheduler.limit(max(len(record.trials), planned))
    pruned, sign = _pruned(record), _sign(record)
    found = []
    for rung in scheduler.reached_rungs():
        scores = {number: sign * score for number, score in rung.scores.items() if score > -math.inf}
        waits = bool(rung.missing)
        cut = frozenset() if waits else frozenset(scores.keys() & pruned - set(rung.kept))
        if scores:
            found.append(Rung(rung.batch, rung.milestone, scores, cut, "batch", waits))
    return found


def _pruned(record: StudyRecord) -> set[int]:
    return {trial.number for trial in record.trials if trial.verdict is Verdict.PRUNED}


def _sign(record: StudyRecord) -> float:
    """Returns what turns a score, of which more is better, into the objective."""
    return 1.0 if record.mode == "max" else -1.0
