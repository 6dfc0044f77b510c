"""Synchronous successive halving as plain arithmetic: who trains on, who waits, who is cut, from recorded epochs alone.

Trials meet in batches (trials 0 to 8, 9 to 17, …). At a rung a batch waits until all its trials are there, then the
best 1/factor go on to the next rung, the last of them to the end. A decision looks at nothing but the curves of the
batch up to the rung, so the order in which they came, a killed driver or another machine changes none of them.

Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.
`pausing.Halving` carries it into Ray Tune; status, report and the replay bench rebuild it to show or foretell.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from yolotune.config.settings import Settings
from yolotune.metrics import is_finite
from yolotune.record.study import TrialRecord, Verdict
from yolotune.schedulers import ranking as signals
from yolotune.schedulers.asha import Rungs
from yolotune.schedulers.ranking import Standing

#: Ended by themselves with a value that stands: it counts at every rung, as that of a trial that is there.
_STANDING = (Verdict.COMPLETED, Verdict.PLATEAUED)


class Word(Enum):
    """What the rungs say to a trial."""

    TRAIN = "train"
    WAIT = "wait"  # it stands at a rung and others of its batch do not yet
    CUT = "cut"


class Turn(NamedTuple):
    """What a free slot does next.

    Attributes:
        number: The trial.
        cut: Why it is cut: it was paused at the rung, and is to end in good order. None: it begins or trains on.
    """

    number: int
    cut: str | None


@dataclass(frozen=True)
class Meeting:
    """A batch at a rung.

    Attributes:
        batch: From 0.
        milestone: Epoch of the rung.
        scores: The objective of those that are there, higher is better, -inf of those that died on the way; best first
            by what the rung compares.
        missing: Those that are not there yet; while there are any, nothing is decided.
        places: How many go on.
    """

    batch: int
    milestone: int
    scores: dict[int, float]
    missing: tuple[int, ...]
    places: int

    @property
    def kept(self) -> tuple[int, ...]:
        """Those that go on, best first; nobody before all are there."""
        return () if self.missing else tuple(self.scores)[: self.places]


@dataclass
class _Course:
    """A trial so far: its last epoch, how it stands there and stood at each rung it reached, and how it ended."""

    epoch: int = 0
    standing: Standing = (-math.inf,)
    at: dict[int, Standing] = field(default_factory=dict)
    verdict: Verdict | None = None


class SuccessiveHalving:
    """The rungs of all batches of a study."""

    def __init__(self, study: Settings) -> None:
        if study.asha is None:
            raise ValueError("study.asha is None: there are no rungs")
        self._metric = study.metric
        self._sign = 1.0 if study.direction == "max" else -1.0
        self._rank = study.asha.rank
        self._factor = study.asha.reduction_factor
        self._size = study.asha.batch
        self._total = study.num_samples
        rungs = Rungs.of(study.grace_period, study.epochs, study.asha.reduction_factor).milestones
        self.milestones = tuple(epoch for epoch in reversed(rungs) if epoch < study.epochs)
        self._courses: dict[int, _Course] = {}
        self._over: set[int] = set()  # batches whose trials have all ended

    # --- what happened -------------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, value: Any, early: Standing = ()) -> None:
        """Takes one epoch report into account; one that comes again is passed over, as the record does.

        Args:
            number: Of the trial.
            epoch: From 1.
            value: The objective.
            early: The report's other signals, `signals.losses`; they count with `rank: signals`.
        """
        course = self._courses.setdefault(number, _Course())
        if epoch <= course.epoch:
            return
        course.epoch = epoch
        score = course.standing[0]
        if is_finite(value):
            score = self._sign * float(value) if self._rank == "current" else max(score, self._sign * float(value))
        course.standing = (score, *early) if self._rank == "signals" else (score,)
        for milestone in self.milestones:
            if epoch >= milestone:
                course.at.setdefault(milestone, course.standing)

    def end(self, number: int, verdict: Verdict) -> None:
        """A trial has ended, for whatever reason; one that was interrupted has not."""
        if verdict is not Verdict.INTERRUPTED:
            self._courses.setdefault(number, _Course()).verdict = verdict

    def begin(self, number: int) -> None:
        """A trial is started, perhaps again after its process died."""
        self._courses.setdefault(number, _Course()).verdict = None

    def no_more(self, total: int) -> None:
        """The study will have no more than so many trials: the last batch is judged with those it has."""
        self._total = total

    def rebuild(self, trials: Sequence[TrialRecord]) -> None:
        """Takes in the trials of a record; a number that is missing among them counts as a trial that failed."""
        for trial in trials:
            for row in trial.epochs:
                self.report(trial.number, int(row["epoch"]), row.get(self._metric), signals.losses(row, trial.point))
            if trial.verdict is not None:
                self.end(trial.number, trial.verdict)
        begun = max((trial.number + 1 for trial in trials), default=0)
        for number in set(range(begun)) - {trial.number for trial in trials}:
            self.end(number, Verdict.FAILED)
        self._total = begun + max(0, self._total - len(trials))

    # --- what follows --------------------------------------------------------------------------------------------

    def word(self, number: int) -> Word:
        """Returns whether a trial trains on, waits for its batch, or is cut."""
        for meeting in self.meetings(number // self._size):
            if meeting.missing:
                return Word.WAIT if number in meeting.scores else Word.TRAIN
            if number not in meeting.kept:
                return Word.CUT
        return Word.TRAIN

    def reason(self, number: int) -> str:
        """Returns in words why a trial is cut."""
        meeting = next(m for m in self.meetings(number // self._size) if not m.missing and number not in m.kept)
        own, needed = meeting.scores[number], meeting.scores[meeting.kept[-1]]
        standings = self._standings(meeting.scores, meeting.milestone)
        shown = "none" if own == -math.inf else f"{self._sign * own:.4f}"
        best = f"among the best {meeting.places}" if meeting.places > 1 else "the best"
        text = f"rung at epoch {meeting.milestone}: {self._metric} {shown} was not {best} of {len(meeting.scores)}"
        if signals.all_have(standings):
            return f"{text} by that and the training losses"
        return text if needed == -math.inf else f"{text} (needed {self._sign * needed:.4f})"

    def turn(self, busy: Collection[int]) -> Turn | None:
        """Returns what a free slot does next; None if there is nothing for it now.

        Batches that have begun come first, and in them trials that were cut: what the searcher learns from them is
        known before it is asked again. A slot that no batch has work for begins the next one.

        Args:
            busy: Trials that have a slot.
        """
        for batch in range(math.ceil(self._total / self._size)):
            if batch not in self._over:
                for turn in self._turns(batch):
                    if turn.number not in busy:
                        return turn
        return None

    def _turns(self, batch: int) -> Iterator[Turn]:
        members = self._members(batch)
        open_to = list(members)  # who may train, the best first
        for meeting in self.meetings(batch):
            gone = [number for number in open_to if number not in meeting.kept] if not meeting.missing else []
            for number in gone:
                if not self._ended(number):
                    yield Turn(number, self.reason(number))
            open_to = list(meeting.missing or meeting.kept)
        yield from (Turn(number, None) for number in open_to if not self._ended(number))
        if all(self._ended(number) for number in members):
            self._over.add(batch)

    def all_meetings(self) -> Iterable[Meeting]:
        """Returns all rungs that anybody reached, batch by batch."""
        for batch in range(math.ceil(self._total / self._size)):
            yield from (meeting for meeting in self.meetings(batch) if meeting.scores)

    def open_rungs(self) -> list[Meeting]:
        """Returns the rung at which each batch that has begun waits for somebody; none for a trial that is alone."""
        begun = {number // self._size for number in self._courses}
        last = (self.meetings(batch)[-1:] for batch in sorted(begun - self._over))
        return [m for found in last for m in found if m.missing and len(m.scores) + len(m.missing) > 1]

    def meetings(self, batch: int) -> list[Meeting]:
        """Returns the rungs of a batch up to the first at which somebody is missing."""
        members: Sequence[int] = self._members(batch)
        found: list[Meeting] = []
        for milestone in self.milestones:
            there = [number for number in members if self._is_at(number, milestone)]
            scores = self._ranked(there, milestone)
            missing = tuple(number for number in members if number not in scores)
            found.append(Meeting(batch, milestone, scores, missing, max(1, int(len(members) / self._factor))))
            if missing:
                break
            members = found[-1].kept
        return found

    def _members(self, batch: int) -> range:
        return range(batch * self._size, min(self._total, (batch + 1) * self._size))

    def _is_at(self, number: int, milestone: int) -> bool:
        course = self._courses.get(number)
        return course is not None and (milestone in course.at or course.verdict is not None)

    def _ended(self, number: int) -> bool:
        course = self._courses.get(number)
        return course is not None and course.verdict is not None

    def _standings(self, numbers: Iterable[int], milestone: int) -> dict[int, Standing]:
        """Returns how trials stand at a rung, those that died on the way to it left out."""
        found = {}
        for number in numbers:
            course = self._courses[number]
            if milestone in course.at or course.verdict in _STANDING:
                found[number] = course.at.get(milestone, course.standing)
        return found

    def _ranked(self, there: Sequence[int], milestone: int) -> dict[int, float]:
        """Returns the objective of trials at a rung, best first; those that died come last, ties by number."""
        standings = self._standings(there, milestone)
        scores = signals.scores(standings)
        order = sorted(there, key=lambda number: (-scores.get(number, -math.inf), number not in standings, number))
        return {number: standings.get(number, (-math.inf,))[0] for number in order}
