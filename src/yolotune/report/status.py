"""How a study stands: one account for the live view, `yolotune status` and scripts. Pure, without a terminal.

The live view feeds a `Tally` with events as they come, `yolotune status` with what is recorded; both show the same
`Summary`.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings, recorded_settings
from yolotune.config.space import Point, Space, countable
from yolotune.metrics import best_epoch, better, is_finite, on_training_split
from yolotune.record.lock import Holder
from yolotune.record.study import FINISHED, StudyRecord, TrialRecord, Verdict
from yolotune.schedulers.halving import SuccessiveHalving
from yolotune.schedulers.ranking import losses
from yolotune.search.provenance import recorded_provenance

#: Version of the shape of `document`; it grows when a key is removed or changes its meaning.
SCHEMA = 1
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
        there: Trials that have come so far, or have ended before.
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
    """How a study stands.

    Attributes:
        planned: Trials that the study will have.
        verdicts: How many trials ended how, interrupted ones among them.
        unfinished: Trials that do not train and go on when the study is resumed: interrupted, or left by a killed
            process without a verdict. Planned trials are ended, running, paused, unfinished, or not yet begun.
        running: Trials that train, by number.
        epochs_trained: Of all trials.
        epochs_saved: That pruned and plateaued trials did not train.
        best: None as long as no epoch has a value.
        defaults: Value of trial 0, Ultralytics' defaults.
        seconds_left: Of the whole study, roughly, by the forecast until a trial has ended; None before the first epoch.
        expected: Epochs of the whole study, by its forecast; None where there is none.
        ceiling: Its budget in epochs.
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
    ceiling: int | None = None
    paused: tuple[RunningTrial, ...] = ()
    rungs: tuple[OpenRung, ...] = ()

    @property
    def ended(self) -> int:
        """Trials that are over: one that was interrupted goes on."""
        return sum(count for verdict, count in self.verdicts.items() if verdict != Verdict.INTERRUPTED)


class Tally:
    """Keeps account of a study, event by event; each costs microseconds."""

    def __init__(
        self,
        *,
        metric: str,
        mode: str,
        planned: int,
        epochs: int,
        concurrent: int,
        expected: float | None = None,
        ceiling: int | None = None,
        halving: SuccessiveHalving | None = None,
    ) -> None:
        """Begins with an empty study.

        Args:
            metric: The objective by the record's name.
            mode: `max` or `min`.
            planned: Trials that the study will have.
            epochs: Of a trial that nothing stops.
            concurrent: Trials at the same time.
            expected: Epochs of the whole study, by its forecast; None where there is none.
            ceiling: Its budget in epochs.
            halving: The study's rungs, empty, where trials wait for each other.
        """
        self._expected = expected
        self._ceiling = ceiling
        self._halving = halving
        self._metric = metric
        self._mode = mode
        self._planned = planned
        self._epochs = epochs
        self._concurrent = concurrent
        self._train_metric = on_training_split(metric)
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

    def recorded(self, trial: TrialRecord, *, running: bool) -> None:
        """Takes in a trial as it stands in the record.

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

    def started(self, number: int, point: Point | None = None) -> None:
        """A trial trains, or, where no point is given again, goes on."""
        if point is not None:
            self._points[number] = point
        self._verdicts.pop(number, None)
        new = RunningTrial(number, self._trained.setdefault(number, 0), self._epochs)
        self._running[number] = self._paused.pop(number, new)
        if self._halving:
            self._halving.begin(number)
        self._recent[number] = deque(maxlen=RECENT)

    def reported(self, number: int, row: Mapping[str, Any]) -> None:
        """An epoch of a trial was trained."""
        self._trained[number] += 1
        epoch, seconds = int(row["epoch"]), row.get("seconds")
        recent = self._recent[number]
        if is_finite(seconds):
            recent.append(seconds)
            self._seconds += seconds
            self._timed += 1
        mean = sum(recent) / len(recent) if recent else None
        self._running[number] = RunningTrial(
            trial=number,
            epoch=epoch,
            epochs=self._epochs,
            value=_finite(row.get(self._metric)),
            train=_finite(row.get(self._train_metric or "")),
            epoch_seconds=mean,
            seconds_left=None if mean is None else mean * max(0, self._epochs - epoch),
        )
        if self._halving:
            self._halving.report(number, epoch, row.get(self._metric), losses(row, self._points.get(number, {})))
        self._best = self._better_of(self._best, number, row)
        if number == 0:
            self._defaults = self._better_of(self._defaults, number, row)

    def _better_of(self, best: Best | None, number: int, row: Mapping[str, Any]) -> Best | None:
        found = best_epoch([row], self._metric, self._mode)
        if found is None:
            return best
        epoch, value = found
        again = best is not None and best.trial == number and best.value == value  # the later one is in best.pt
        return Best(number, epoch, value) if again or better(value, best.value if best else None, self._mode) else best

    def paused(self, number: int) -> None:
        """A trial waits for others, at the epoch it has reached."""
        self._paused[number] = self._running.pop(number)

    def ended(self, number: int, verdict: Verdict | None) -> None:
        """A trial trains no more; without a verdict because its process was killed."""
        self._running.pop(number, None)
        self._paused.pop(number, None)  # it was let go of because the study ends
        del self._recent[number]
        self._verdicts[number] = verdict
        if self._halving and verdict is not None:
            self._halving.end(number, verdict)
        if verdict in FINISHED:
            insort(self._lengths, self._trained[number])

    def summary(self) -> Summary:
        """Returns how the study stands now."""
        verdicts = Counter(self._verdicts.values())
        saved = (number for number, verdict in self._verdicts.items() if verdict in (Verdict.PRUNED, Verdict.PLATEAUED))
        return Summary(
            planned=self._planned,
            verdicts={str(verdict): verdicts[verdict] for verdict in Verdict if verdicts[verdict]},
            unfinished=sum(verdicts[verdict] for verdict in _UNFINISHED),
            running=tuple(trial for _, trial in sorted(self._running.items())),
            epochs_trained=sum(self._trained.values()),
            epochs_saved=sum(max(0, self._epochs - self._trained[number]) for number in saved),
            best=self._best,
            defaults=self._defaults.value if self._defaults else None,
            seconds_left=self._seconds_left(),
            expected=self._expected,
            ceiling=self._ceiling,
            paused=tuple(trial for _, trial in sorted(self._paused.items())),
            rungs=tuple(
                OpenRung(rung.batch, rung.milestone, len(rung.scores), len(rung.scores) + len(rung.missing))
                for rung in (self._halving.open_rungs() if self._halving else ())
            ),
        )

    def _seconds_left(self) -> float | None:
        """Returns the epochs that are to be expected, times their mean length, shared by the trials of a time."""
        if not self._timed or not (self._lengths or self._expected):
            return None
        trained = sum(self._trained.values())
        begun = [trial.epoch for trial in (*self._running.values(), *self._paused.values())]
        begun += [self._trained[n] for n, verdict in self._verdicts.items() if verdict in _UNFINISHED]
        ended = len(self._trained) - len(begun)
        waiting = max(0, self._planned - ended - len(begun))
        left = [expected_left(self._lengths, epoch, self._epochs) for epoch in begun]
        total = sum(left) + waiting * expected_left(self._lengths, 0, self._epochs)
        if not self._lengths and self._expected:
            total, left = max(0.0, self._expected - trained), []
        slowest = max([total / self._concurrent, *left])
        if self._ceiling is not None:
            slowest = min(slowest, max(0, self._ceiling - trained) / self._concurrent)
        return slowest * self._seconds / self._timed


def expected_left(lengths: list[int], epoch: int, epochs: int) -> float:
    """Returns how many epochs a trial still has before it, on the average of those that got further.

    Args:
        lengths: Epochs of ended trials, sorted.
        epoch: The trial's last one; 0 for one that has not begun.
        epochs: Of a trial that nothing stops, taken where none got further.
    """
    further = lengths[bisect_right(lengths, epoch) :]
    return sum(further) / len(further) - epoch if further else max(0, epochs - epoch)


def planned_trials(num_samples: int, space: Space) -> int:
    """Returns how many trials a study will have: no point is tried twice, and a space may have fewer than wanted."""
    size = countable(space)
    return num_samples if size is None else min(num_samples, size)


def tally_of(study: Settings, *, halving: bool = True) -> Tally:
    """Returns the empty account of a study.

    Args:
        study: Its settings.
        halving: Whether it is told of rungs at which trials wait for each other.
    """
    planned = planned_trials(study.num_samples, study.domains)
    return Tally(
        metric=study.metric,
        mode=study.direction,
        planned=planned,
        epochs=study.epochs,
        concurrent=study.concurrent,
        expected=study.forecast(planned).expected,
        ceiling=study.ceiling.epochs,
        halving=empty_rungs(study) if halving else None,
    )


def summarize(record: StudyRecord, *, running: bool) -> Summary:
    """Returns how a recorded study stands.

    Args:
        record: The study.
        running: Whether a process works on it.
    """
    tally = tally_of(recorded_settings(record.settings), halving=running)
    for trial in record.trials:
        tally.recorded(trial, running=running)
    summary = tally.summary()
    return summary if running else replace(summary, seconds_left=None)


def empty_rungs(study: Settings) -> SuccessiveHalving | None:
    """Returns the rungs of a study, empty, for a `Tally`; None where its trials do not wait for each other."""
    if study.scheduler != "halving":
        return None
    rungs = SuccessiveHalving(study)
    rungs.no_more(planned_trials(study.num_samples, study.domains))
    return rungs


def document(record: StudyRecord, summary: Summary, holder: Holder | None) -> dict[str, Any]:
    """Returns the shape that `yolotune status --json` prints; docs/watching.md describes it key by key."""
    return {
        "schema": SCHEMA,
        "folder": str(Path(record.folder).resolve()),
        "objective": record.settings["objective"],
        "mode": record.mode,
        "process": asdict(holder) if holder else None,
        "trials": {
            "planned": summary.planned,
            "ended": summary.ended,
            "running": len(summary.running),
            "paused": len(summary.paused),
            "unfinished": summary.unfinished,
            "verdicts": {str(verdict): summary.verdicts.get(verdict, 0) for verdict in Verdict},
        },
        "epochs": {
            "full": record.settings["epochs"],
            "trained": summary.epochs_trained,
            "saved": summary.epochs_saved,
            "expected": summary.expected,
            "budget": summary.ceiling,
        },
        "warm_from": [asdict(one) for one in recorded_provenance(record.settings)],
        "best": asdict(summary.best) if summary.best else None,
        "defaults": summary.defaults,
        "running": [asdict(trial) for trial in summary.running],
        "paused": [asdict(trial) for trial in summary.paused],
        "rungs": [asdict(rung) for rung in summary.rungs],
        "seconds_left": summary.seconds_left,
    }


def _finite(value: Any) -> float | None:
    return float(value) if is_finite(value) else None
