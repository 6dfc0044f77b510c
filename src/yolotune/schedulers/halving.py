"""Synchronous successive halving: trials are compared in batches, and wait for each other at the rungs.

Batches are trials 0 to 8, 9 to 17, and so on. At a rung a batch waits until all its trials are there; then the best
1/factor continue, the last one that is left to the end. A decision depends on nothing but the curves of the batch up to
the rung, so the order in which they came, a killed driver or another machine changes none of them.

Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from yolotune.config.scheduling import HalvingSettings
from yolotune.config.settings import Settings
from yolotune.metrics import is_finite
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers import ranking
from yolotune.schedulers.asha import Rungs, reduction_factor
from yolotune.schedulers.base import CONTINUE, PAUSE, Action, Decision, Report, Turn
from yolotune.schedulers.ranking import Standing

#: Ended by themselves with a value that stands: it counts at every rung, as that of a trial that is there.
_STANDING = (Verdict.COMPLETED, Verdict.PLATEAUED)


@dataclass(frozen=True)
class BatchRung:
    """A rung of one batch.

    Attributes:
        batch: From 0.
        milestone: Epoch of the rung.
        scores: The objective of those that are there, higher is better, -inf of those that died on the way; best first
            by what the rung compares.
        missing: Those that are not there yet; while there are any, nothing is decided.
        places: How many continue.
    """

    batch: int
    milestone: int
    scores: dict[int, float]
    missing: tuple[int, ...]
    places: int

    @property
    def kept(self) -> tuple[int, ...]:
        """Those that continue, best first; nobody before all are there."""
        return () if self.missing else tuple(self.scores)[: self.places]


@dataclass
class _Progress:
    """A trial so far: its last epoch, how it stands there and stood at each rung it reached, and how it ended."""

    epoch: int = 0
    standing: Standing = (-math.inf,)
    at: dict[int, Standing] = field(default_factory=dict)
    verdict: Verdict | None = None


class SuccessiveHalving:
    """The scheduler: the rungs of all batches of a study.

    Attributes:
        milestones: Epochs of the rungs, ascending; none at the last epoch, where a trial ends anyway.
    """

    def __init__(self, settings: Settings) -> None:
        numbers = settings.scheduler
        if not isinstance(numbers, HalvingSettings):
            raise ValueError(f"scheduler is {numbers.name}, not halving")
        self._metric = settings.metric
        self._sign = 1.0 if settings.direction == "max" else -1.0
        self._rank = numbers.rank
        self._factor = reduction_factor(numbers)
        self._size = numbers.batch
        self._total = settings.trials
        rungs = Rungs.of(numbers.grace_epochs(settings.epochs), settings.epochs, self._factor).milestones
        self.milestones = tuple(epoch for epoch in reversed(rungs) if epoch < settings.epochs)
        self._progress: dict[int, _Progress] = {}
        self._over: set[int] = set()  # batches whose trials have all ended

    # --- what happened -------------------------------------------------------------------------------------------

    def begin(self, number: int) -> None:
        """A trial is started, perhaps again after its process died."""
        self._progress.setdefault(number, _Progress()).verdict = None

    def judge(self, report: Report) -> Decision:
        """Takes a report into account; its trial continues, waits at the rung it has reached, or is cut there."""
        self._take(report)
        return self._decision(report.number)

    def end(self, number: int, verdict: Verdict) -> None:
        """A trial has ended, for whatever reason; one that was interrupted has not."""
        if verdict is not Verdict.INTERRUPTED:
            self._progress.setdefault(number, _Progress()).verdict = verdict

    def limit(self, total: int) -> None:
        """The study will have no more than so many trials: the last batch is judged with those it has."""
        self._total = total

    def rebuild(self, trials: Sequence[TrialRecord]) -> None:
        """Takes in the trials of a record; a number that is missing among them counts as a trial that failed."""
        for trial in trials:
            for row in trial.epochs:
                self._take(Report(trial.number, trial.point, int(row["epoch"]), row))
            if trial.verdict is not None:
                self.end(trial.number, trial.verdict)
        begun = max((trial.number + 1 for trial in trials), default=0)
        for number in set(range(begun)) - {trial.number for trial in trials}:
            self.end(number, Verdict.FAILED)
        self._total = begun + max(0, self._total - len(trials))

    def _take(self, report: Report) -> None:
        """Records how a trial stands; a report that comes again is passed over, as the record does."""
        progress = self._progress.setdefault(report.number, _Progress())
        if report.epoch <= progress.epoch:
            return
        progress.epoch = report.epoch
        score, value = progress.standing[0], report.row.get(self._metric)
        if is_finite(value):
            signed = self._sign * float(value)
            score = signed if self._rank == "current" else max(score, signed)
        early = ranking.losses(report.row, report.point) if self._rank == "signals" else ()
        progress.standing = (score, *early)
        for milestone in self.milestones:
            if report.epoch >= milestone:
                progress.at.setdefault(milestone, progress.standing)

    # --- what follows --------------------------------------------------------------------------------------------

    def next_turn(self, busy: Collection[int]) -> Turn | None:
        """Returns what a free slot does next; None if there is nothing for it now.

        Batches that have begun come first, and in them trials that were cut: what the search learns from them is known
        before it is asked again. A slot that no batch has work for begins the next one.

        Args:
            busy: Trials that have a slot.
        """
        for batch in range(math.ceil(self._total / self._size)):
            if batch not in self._over:
                for turn in self._turns(batch):
                    if turn.number not in busy:
                        return turn
        return None

    def reached_rungs(self) -> Iterable[BatchRung]:
        """Returns all rungs that anybody reached, batch by batch."""
        for batch in range(math.ceil(self._total / self._size)):
            yield from (rung for rung in self.rungs_of(batch) if rung.scores)

    def open_rungs(self) -> list[BatchRung]:
        """Returns the rung at which each batch that has begun waits for somebody; none for a trial that is alone."""
        begun = {number // self._size for number in self._progress}
        last = (self.rungs_of(batch)[-1:] for batch in sorted(begun - self._over))
        return [rung for found in last for rung in found if rung.missing and len(rung.scores) + len(rung.missing) > 1]

    def rungs_of(self, batch: int) -> list[BatchRung]:
        """Returns the rungs of a batch up to the first at which somebody is missing."""
        members: Sequence[int] = self._members(batch)
        found: list[BatchRung] = []
        for milestone in self.milestones:
            there = [number for number in members if self._is_at(number, milestone)]
            scores = self._ranked(there, milestone)
            missing = tuple(number for number in members if number not in scores)
            found.append(BatchRung(batch, milestone, scores, missing, max(1, int(len(members) / self._factor))))
            if missing:
                break
            members = found[-1].kept
        return found

    def _decision(self, number: int) -> Decision:
        for rung in self.rungs_of(number // self._size):
            if rung.missing:
                return PAUSE if number in rung.scores else CONTINUE
            if number not in rung.kept:
                return Decision(Action.STOP, self._ending(number, rung))
        return CONTINUE

    def _turns(self, batch: int) -> Iterator[Turn]:
        """Yields what a batch has to do, in order: trials that were cut end first, then the best train first."""
        members = self._members(batch)
        open_to = list(members)  # who may train, the best first
        for rung in self.rungs_of(batch):
            gone = [number for number in open_to if number not in rung.kept] if not rung.missing else []
            for number in gone:
                if not self._has_ended(number):
                    yield Turn(number, self._ending(number, rung))
            open_to = list(rung.missing or rung.kept)
        yield from (Turn(number) for number in open_to if not self._has_ended(number))
        if all(self._has_ended(number) for number in members):
            self._over.add(batch)

    def _ending(self, number: int, rung: BatchRung) -> Ending:
        """Returns how a trial ends that is cut at a rung."""
        own, needed = rung.scores[number], rung.scores[rung.kept[-1]]
        shown = "none" if own == -math.inf else f"{self._sign * own:.4f}"
        best = f"among the best {rung.places}" if rung.places > 1 else "the best"
        reason = f"rung at epoch {rung.milestone}: {self._metric} {shown} was not {best} of {len(rung.scores)}"
        if ranking.all_have_signals(self._standings(rung.scores, rung.milestone)):
            reason += " by that and the training losses"
        elif needed > -math.inf:
            reason += f" (needed {self._sign * needed:.4f})"
        return Ending(Verdict.PRUNED, reason)

    def _members(self, batch: int) -> range:
        return range(batch * self._size, min(self._total, (batch + 1) * self._size))

    def _is_at(self, number: int, milestone: int) -> bool:
        progress = self._progress.get(number)
        return progress is not None and (milestone in progress.at or progress.verdict is not None)

    def _has_ended(self, number: int) -> bool:
        progress = self._progress.get(number)
        return progress is not None and progress.verdict is not None

    def _standings(self, numbers: Iterable[int], milestone: int) -> dict[int, Standing]:
        """Returns how trials stand at a rung, those that died on the way to it left out."""
        found = {}
        for number in numbers:
            progress = self._progress[number]
            if milestone in progress.at or progress.verdict in _STANDING:
                found[number] = progress.at.get(milestone, progress.standing)
        return found

    def _ranked(self, there: Sequence[int], milestone: int) -> dict[int, float]:
        """Returns the objective of trials at a rung, best first; those that died come last, ties by number."""
        standings = self._standings(there, milestone)
        scores = ranking.scores(standings)
        order = sorted(there, key=lambda number: (-scores.get(number, -math.inf), number not in standings, number))
        return {number: standings.get(number, (-math.inf,))[0] for number in order}
