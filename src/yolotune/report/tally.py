"""Counts what happens in a study, event by event: trials, epochs, the best so far, the time left. No terminal.

The live view feeds a `Tally` with events as they come, `status.summarize` with what is recorded; both show its
`Summary`.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yolotune.config.scheduling import HalvingSettings
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.metrics import best_epoch, better, is_finite, on_training_split
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import FINISHED, Verdict
from yolotune.report.outcome import is_foreseen
from yolotune.schedulers.base import Report
from yolotune.schedulers.forecast import forecast, planned_trials
from yolotune.schedulers.halving import SuccessiveHalving

#: Epochs whose mean length stands for the next ones of a trial; the first is slower than the rest.
RECENT = 5

_UNFINISHED = (None, Verdict.INTERRUPTED)


@dataclass(frozen=True)
class RunningTrial:
    """A trial that trains, or one that is paused.

    Attributes:
        trial: Its number.
        epoch: The last one reported; 0 before the first.
        epochs: Of a trial that nothing stops.
        value: The objective of the last epoch.
        train: The same metric on the training split.
        epoch_seconds: Mean length of its last epochs in seconds.
        seconds_left: Until its last epoch, should nothing stop it.
    """

    trial: int
    epoch: int
    epochs: int
    value: float | None = None
    train: float | None = None
    epoch_seconds: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class OpenRung:
    """A rung at which a batch waits for trials of its own (`scheduler: halving`).

    Attributes:
        batch: From 0.
        epoch: Of the rung.
        there: Trials that have reached it, or have ended before.
        of: Trials that meet there.
    """

    batch: int
    epoch: int
    there: int
    of: int


@dataclass(frozen=True)
class Best:
    """The best epoch of all trials, running ones included."""

    trial: int
    epoch: int
    value: float


@dataclass(frozen=True)
class Summary:
    """Where a study is now.

    Attributes:
        planned: Trials that the study will have.
        verdicts: How many trials ended how, interrupted ones among them.
        unfinished: Trials that do not train and continue when the study is resumed: interrupted, or left by a killed
            process without a verdict. Planned trials are ended, running, paused, unfinished, or not yet started.
        running: Trials that train, by number.
        epochs_trained: Of all trials.
        epochs_saved: That pruned and plateaued trials did not train.
        best: None as long as no epoch has a value.
        defaults: Value of trial 0, Ultralytics' defaults.
        seconds_left: Of the whole study, roughly, by the forecast until a trial has ended; None before the first epoch.
        expected: Epochs of the whole study, by the forecast; None if that does not know its scheduler.
        budget: Epochs that the study may train at most; None for no limit in epochs.
        paused: Trials that wait at a rung, or for a slot after it, by number.
        rungs: What they wait for, by batch.
    """

    planned: int
    verdicts: dict[str, int]
    unfinished: int
    running: tuple[RunningTrial, ...]
    epochs_trained: int
    epochs_saved: int
    best: Best | None
    defaults: float | None
    seconds_left: float | None
    expected: float | None = None
    budget: int | None = None
    paused: tuple[RunningTrial, ...] = ()
    rungs: tuple[OpenRung, ...] = ()

    @property
    def ended(self) -> int:
        """Trials that are over; one that was interrupted is not."""
        return sum(count for verdict, count in self.verdicts.items() if verdict != Verdict.INTERRUPTED)


class Tally:
    """Counts the events of one study; an event costs microseconds."""

    def __init__(self, settings: Settings) -> None:
        """Begins before the first trial.

        Args:
            settings: Of the study, resolved.
        """
        self._settings = settings
        self._planned = planned_trials(settings)
        foreseen = is_foreseen(settings.scheduler)
        self._expected = forecast(settings, self._planned).expected if foreseen else None
        self._halving = _halving(settings, self._planned)
        self._train_metric = on_training_split(settings.metric)
        self._points: dict[int, Point] = {}
        self._running: dict[int, RunningTrial] = {}
        self._paused: dict[int, RunningTrial] = {}
        self._recent: dict[int, deque[float]] = {}
        self._trained: dict[int, int] = {}  # epochs of every trial
        self._verdicts: dict[int, Verdict | None] = {}  # of trials that do not train
        self._lengths: list[int] = []  # epochs of trials whose value stands, sorted
        self._best: Best | None = None
        self._defaults: Best | None = None
        self._seconds = 0.0
        self._timed = 0
        self._slots = 1 if settings.concurrent == "auto" else settings.concurrent

    # --- what happened -----------------------------------------------------------------------------------------------

    def slots_changed(self, slots: int) -> None:
        """So many trials train at the same time from now on."""
        self._slots = slots

    def recorded(self, trial: TrialRecord, *, running: bool) -> None:
        """Takes in a trial of the record.

        Args:
            trial: The trial.
            running: Whether it trains or is paused if it has no verdict; otherwise a killed process left it.
        """
        self.started(trial.number, trial.point)
        for row in trial.epochs:
            self.reported(trial.number, row)
        if trial.paused and running:
            self.paused(trial.number)
        elif trial.ending is not None or not running:
            self.ended(trial.number, trial.verdict)

    def started(self, number: int, point: Point) -> None:
        """A trial trains, perhaps after a pause or an interruption."""
        self._points[number] = point
        self._verdicts.pop(number, None)
        trained = self._trained.setdefault(number, 0)
        new = RunningTrial(number, trained, self._settings.epochs)
        self._running[number] = self._paused.pop(number, new)
        self._recent[number] = deque(maxlen=RECENT)
        if self._halving:
            self._halving.begin(number)

    def resumed(self, number: int) -> None:
        """A paused trial trains again."""
        self.started(number, self._points[number])

    def reported(self, number: int, row: Mapping[str, Any]) -> None:
        """A trial has trained an epoch."""
        self._trained[number] += 1
        epoch, seconds, recent = int(row["epoch"]), row.get("seconds"), self._recent[number]
        if is_finite(seconds):
            recent.append(seconds)
            self._seconds += seconds
            self._timed += 1
        mean = sum(recent) / len(recent) if recent else None
        self._running[number] = RunningTrial(
            trial=number,
            epoch=epoch,
            epochs=self._settings.epochs,
            value=_finite(row.get(self._settings.metric)),
            train=_finite(row.get(self._train_metric or "")),
            epoch_seconds=mean,
            seconds_left=None if mean is None else mean * max(0, self._settings.epochs - epoch),
        )
        if self._halving:
            self._halving.judge(Report(number, self._points[number], epoch, row))
        self._best = self._better_of(self._best, number, row)
        if number == 0:
            self._defaults = self._better_of(self._defaults, number, row)

    def _better_of(self, best: Best | None, number: int, row: Mapping[str, Any]) -> Best | None:
        mode = self._settings.direction
        found = best_epoch([row], self._settings.metric, mode)
        if found is None:
            return best
        epoch, value = found
        again = best is not None and best.trial == number and best.value == value  # the later one is in best.pt
        return Best(number, epoch, value) if again or better(value, best.value if best else None, mode) else best

    def paused(self, number: int) -> None:
        """A trial waits for others, at the epoch it has reached."""
        self._paused[number] = self._running.pop(number)

    def ended(self, number: int, verdict: Verdict | None) -> None:
        """A trial trains no more; without a verdict if its process was killed."""
        self._running.pop(number, None)
        self._paused.pop(number, None)  # interrupted while it was paused
        self._recent.pop(number, None)
        self._verdicts[number] = verdict
        if self._halving and verdict is not None:
            self._halving.end(number, verdict)
        if verdict in FINISHED:
            insort(self._lengths, self._trained[number])

    # --- what follows ------------------------------------------------------------------------------------------------

    def summary(self) -> Summary:
        """Returns where the study is now."""
        verdicts = Counter(self._verdicts.values())
        return Summary(
            planned=self._planned,
            verdicts={str(verdict): verdicts[verdict] for verdict in Verdict if verdicts[verdict]},
            unfinished=sum(verdicts[verdict] for verdict in _UNFINISHED),
            running=tuple(trial for _, trial in sorted(self._running.items())),
            epochs_trained=sum(self._trained.values()),
            epochs_saved=self._saved(),
            best=self._best,
            defaults=self._defaults.value if self._defaults else None,
            seconds_left=self._seconds_left(),
            expected=self._expected,
            budget=self._settings.cost_limit.epochs,
            paused=tuple(trial for _, trial in sorted(self._paused.items())),
            rungs=self._open_rungs(),
        )

    def _saved(self) -> int:
        """Returns the epochs that pruned and plateaued trials did not train."""
        stopped = [n for n, verdict in self._verdicts.items() if verdict in (Verdict.PRUNED, Verdict.PLATEAUED)]
        return sum(max(0, self._settings.epochs - self._trained[number]) for number in stopped)

    def _open_rungs(self) -> tuple[OpenRung, ...]:
        rungs = self._halving.open_rungs() if self._halving else []
        return tuple(
            OpenRung(rung.batch, rung.milestone, len(rung.scores), len(rung.scores) + len(rung.missing))
            for rung in rungs
        )

    def _seconds_left(self) -> float | None:
        """Returns expected epochs times their mean length, shared by as many trials as train at a time."""
        if not self._timed or not (self._lengths or self._expected):
            return None
        epochs = self._settings.epochs
        trained, budget = sum(self._trained.values()), self._settings.cost_limit.epochs
        started = [trial.epoch for trial in (*self._running.values(), *self._paused.values())]
        started += [self._trained[n] for n, verdict in self._verdicts.items() if verdict in _UNFINISHED]
        ended = len(self._trained) - len(started)
        waiting = max(0, self._planned - ended - len(started))
        left = [expected_left(self._lengths, epoch, epochs) for epoch in started]
        total = sum(left) + waiting * expected_left(self._lengths, 0, epochs)
        if not self._lengths and self._expected:
            total, left = max(0.0, self._expected - trained), []
        slowest = max([total / self._slots, *left])
        if budget is not None:
            slowest = min(slowest, max(0, budget - trained) / self._slots)
        return slowest * self._seconds / self._timed


def expected_left(lengths: list[int], epoch: int, epochs: int) -> float:
    """Returns how many epochs a trial has still to train: the mean of trials that got further.

    Args:
        lengths: Epochs of ended trials, sorted.
        epoch: The trial's last one; 0 for one that was not started.
        epochs: Of a trial that nothing stops, taken where none got further.
    """
    further = lengths[bisect_right(lengths, epoch) :]
    return sum(further) / len(further) - epoch if further else max(0, epochs - epoch)


def _halving(settings: Settings, planned: int) -> SuccessiveHalving | None:
    """Returns the scheduler of a study whose trials wait for each other; None of another study."""
    if not isinstance(settings.scheduler, HalvingSettings):
        return None
    scheduler = SuccessiveHalving(settings)
    scheduler.limit(planned)
    return scheduler


def _finite(value: Any) -> float | None:
    return float(value) if is_finite(value) else None
