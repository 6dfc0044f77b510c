"""What a scheduler is: it sees every epoch report of every trial, and decides which trials continue.

A scheduler is plain code that knows nothing of processes. Another one is a class with the three methods of `Scheduler`,
a subclass of `SchedulerSettings` with its numbers, and one call of `register_scheduler`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from yolotune.config.scheduling import SchedulerSettings, register_scheduler_settings
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.errors import fail
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict


@dataclass(frozen=True)
class Report:
    """One epoch report of one trial.

    Attributes:
        number: Of the trial.
        point: Its hyperparameters.
        epoch: From 1.
        row: The metrics, by the record's names.
    """

    number: int
    point: Point
    epoch: int
    row: Mapping[str, Any]


class Action(Enum):
    """What a trial does after a report."""

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True)
class Decision:
    """What happens to a trial after a report.

    Attributes:
        action: What it does.
        ending: Why it is stopped; None if it is not.
    """

    action: Action
    ending: Ending | None = None


CONTINUE = Decision(Action.CONTINUE)
PAUSE = Decision(Action.PAUSE)


def stop(verdict: Verdict, reason: str) -> Decision:
    """Returns the decision to stop a trial.

    Example:
        >>> stop(Verdict.PRUNED, "worse than the median").action
        <Action.STOP: 'stop'>
    """
    return Decision(Action.STOP, Ending(verdict, reason))


class Scheduler(Protocol):
    """Compares trials with each other.

    It is told of every report, also of a trial's last one and of one after which something else ends the trial. All it
    knows must follow from the reports, so that `rebuild` brings it to where it was.
    """

    def judge(self, report: Report) -> Decision:
        """Takes a report into account and decides about its trial.

        A report may come twice, from a trial that was restarted; it must count once.
        """

    def end(self, number: int, verdict: Verdict) -> None:
        """A trial has ended, for whatever reason."""

    def rebuild(self, trials: Sequence[TrialRecord]) -> None:
        """Takes in the trials of a record, before the first call of `judge`."""


@dataclass(frozen=True)
class Turn:
    """What a free slot does next.

    Attributes:
        number: The trial.
        ending: Why it ends: it was cut while it was paused, and only ends in good order. None: it begins or continues.
    """

    number: int
    ending: Ending | None = None


@runtime_checkable
class PausingScheduler(Scheduler, Protocol):
    """A scheduler whose trials wait for each other, so that it also says which trial a free slot trains."""

    def begin(self, number: int) -> None:
        """A trial is started, perhaps again after its process died."""

    def next_turn(self, busy: Collection[int]) -> Turn | None:
        """Returns what a free slot does next; None if there is nothing for it now.

        Args:
            busy: Trials that have a slot.
        """

    def limit(self, total: int) -> None:
        """The study will have no more than so many trials."""


class Fifo:
    """No early stopping: trials run to their end, in the order in which they were suggested."""

    def __init__(self, settings: Settings) -> None: ...

    def judge(self, report: Report) -> Decision:
        return CONTINUE

    def end(self, number: int, verdict: Verdict) -> None: ...

    def rebuild(self, trials: Sequence[TrialRecord]) -> None: ...


SchedulerFactory = Callable[[Settings], Scheduler]

_FACTORIES: dict[type[SchedulerSettings], SchedulerFactory] = {}


def register_scheduler(kind: type[SchedulerSettings], factory: SchedulerFactory) -> None:
    """Makes a scheduler known, under the name that its settings have.

    Args:
        kind: Its settings; the default of `name` is what `scheduler` takes.
        factory: Makes the scheduler of a study, usually its class.
    """
    register_scheduler_settings(kind)
    _FACTORIES[kind] = factory


def make_scheduler(settings: Settings) -> Scheduler:
    """Returns the scheduler of a study, as if no trial had been.

    Args:
        settings: Resolved, see `planning.resolve`.

    Raises:
        UserError: A record names a scheduler that is not registered here.
    """
    factory = _FACTORIES.get(type(settings.scheduler))
    if factory is None:
        what = f"no scheduler is registered as {settings.scheduler.name!r}."
        raise fail("scheduler", what, "import the module that registers it first.")
    return factory(settings)
