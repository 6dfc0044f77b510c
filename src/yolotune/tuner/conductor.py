"""The one place of the driver where a report is recorded, judged and told, and where every verdict is made.

What a trial says arrives here first, before any part of Ray acts on it (`ray_hooks.py`). It is recorded; then judged,
in this order: what the trial itself says of its end (completed, diverged, an error), the end of the study (a signal,
the budget), convergence, comparison with other trials; then the search, the tracker and the listener are told. A
verdict is a value, an `Ending`, that is written down, returned and sent to the trial as it is.

Plain code: it knows nothing of Ray.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from yolotune.errors import StudyFailed
from yolotune.record.checkpoint import drop_weights
from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Ending, Verdict
from yolotune.schedulers.base import CONTINUE, Action, Decision, PausingScheduler, Report, Turn
from yolotune.tracking import TrialSummary
from yolotune.training.messages import Said
from yolotune.tuner.assignment import Assignment, Cause, Death
from yolotune.tuner.parts import Parts
from yolotune.tuner.slots import Change, Place
from yolotune.tuner.stop import FirstFailures


class Conductor:
    """Conducts a study: which trial comes next, what becomes of each report, and how each trial ends."""

    def __init__(self, parts: Parts, recorded: Sequence[TrialRecord] = ()) -> None:
        """Takes over a study, and rebuilds what its scheduler and plateau rule know.

        Args:
            parts: What it works with; the search has been filled from the record.
            recorded: Trials of the record.
        """
        self._parts = parts
        self._live: set[int] = set()  # given out and not ended
        self._started: set[int] = set()
        self._paused: set[int] = set()
        self._deaths: Counter[int] = Counter()
        self._effective: dict[int, Mapping[str, Any]] = {}
        self._first_failures = FirstFailures(parts.stop, parts.record.folder)
        self._values: dict[int, float | None] = {
            trial.number: trial.value for trial in recorded if not trial.unfinished
        }
        self._owed = self._rebuild(recorded)

    def _rebuild(self, recorded: Sequence[TrialRecord]) -> dict[int, Ending]:
        """Feeds recorded reports to scheduler and plateau rule, and returns the verdicts that the record lacks.

        A driver can be killed when it has written a report and not yet the verdict on it, and an interrupted trial may
        stand at a rung. So the last report of each unfinished trial is judged once more, after all others.
        """
        unfinished = [trial for trial in recorded if trial.unfinished and trial.epochs]
        before = [replace(trial, epochs=trial.epochs[:-1]) if trial in unfinished else trial for trial in recorded]
        self._parts.scheduler.rebuild(before)
        if self._parts.plateau:
            self._parts.plateau.rebuild(before)
        owed = {}
        for trial in unfinished:
            row = trial.epochs[-1]
            compared, converged = self._compared(Report(trial.number, trial.point, int(row["epoch"]), row))
            if row["epoch"] < self._parts.plan.settings.epochs and (ending := converged or compared.ending):
                owed[trial.number] = ending
        return owed

    # --- which trial comes next ----------------------------------------------------------------------------------

    def next_trial(self, busy: Collection[int]) -> Assignment | None:
        """Returns the trial that should be started now, None for none.

        Args:
            busy: Trials that have a slot.
        """
        parts = self._parts
        if parts.stop.is_set() or parts.search.left <= 0 or not parts.slots.is_free(busy):
            return None
        turn = None
        if isinstance(parts.scheduler, PausingScheduler):
            turn = self._turn(busy)
            if turn is None or turn.number in self._live:
                return None
        suggestion = parts.search.ask(turn.number if turn else None)
        if suggestion is None:
            if isinstance(parts.scheduler, PausingScheduler):
                parts.scheduler.limit(parts.search.begun)
            return None
        ending = turn.ending if turn else self._owed.pop(suggestion.number, None)
        self._live.add(suggestion.number)
        if isinstance(parts.scheduler, PausingScheduler):
            parts.scheduler.begin(suggestion.number)
        if ending is None:
            parts.stop.epoch_begins(suggestion.number)
        return Assignment(suggestion.number, suggestion.point, ending, parts.slots.take(suggestion.number))

    def place(self, number: int) -> Place:
        """Gives a paused trial a slot again."""
        return self._parts.slots.take(number)

    def next_paused(self, busy: Collection[int]) -> Turn | None:
        """Returns the paused trial that should train on, or end in good order; None for none."""
        if self._parts.stop.is_set() or not isinstance(self._parts.scheduler, PausingScheduler):
            return None
        turn = self._turn(busy)
        return turn if turn is not None and turn.number in self._paused else None

    def _turn(self, busy: Collection[int]) -> Turn | None:
        scheduler = self._parts.scheduler
        if not isinstance(scheduler, PausingScheduler) or not self._parts.slots.is_free(busy):
            return None
        return scheduler.next_turn(busy)

    @property
    def over(self) -> bool:
        """Whether no trial is to come: none is left, and none that lives could come back after a death."""
        return self._parts.stop.is_set() or (self._parts.search.left <= 0 and not self._live)

    # --- what happens to trials ----------------------------------------------------------------------------------

    def start(self, assignment: Assignment) -> None:
        """A trial has a process: its first one, or another one after a pause or the death of the first."""
        number, point = assignment.number, assignment.point
        if assignment.ending is None:
            self._parts.stop.epoch_begins(number)
        with self._parts.stop.disk_checked(self._parts.record.folder):
            self._parts.record.start(number, point)
        if number not in self._started:
            self._started.add(number)
            self._parts.listener.trial_started(number, point)
        elif number in self._paused and assignment.ending is None:
            self._parts.listener.trial_resumed(number)
        self._paused.discard(number)

    def report(self, number: int, said: Said, busy: Collection[int]) -> Decision:
        """Records what a trial says, judges it, tells everyone, and returns what is to become of the trial.

        Args:
            number: The trial.
            said: What it says.
            busy: Trials that have a slot.

        Returns:
            The decision. A stop without an ending means that the trial continues in another process.
        """
        row, ending = said.row, said.ending
        if said.effective is not None:
            self._effective[number] = said.effective
        if ending is not None and self._again(number, said, ending, busy):
            return Decision(Action.STOP)
        new = row is not None and self._recorded(number, row)
        decision = self._judged(number, row, ending)
        if row is not None and new:
            self._parts.search.report(number, int(row["epoch"]), row.get(self._parts.plan.settings.metric))
            self._parts.listener.epoch_reported(number, row)
        if said.usage is not None:
            self._changed(self._parts.slots.epoch(number, self._parts.record.point(number), said.usage))
        if decision.action is Action.CONTINUE:
            self._parts.stop.epoch_begins(number)
        elif decision.ending is not None:
            self._end(number, decision.ending)
        return decision

    def _again(self, number: int, said: Said, ending: Ending, busy: Collection[int]) -> bool:
        """Takes back a trial that an error has stopped and that may do better in another process."""
        if ending.verdict is Verdict.OOM and (change := self._parts.slots.memory_ran_out(number, busy)):
            self._changed(change)
        elif said.card_lost and self._deaths[number] < self._parts.plan.settings.max_failures:
            self._deaths[number] += 1
        else:
            return False
        self._take_back(number)
        return True

    def _changed(self, change: Change | None) -> None:
        """Writes down how many slots are open from now on, and says so."""
        if change is not None:
            with self._parts.stop.disk_checked(self._parts.record.folder):
                self._parts.record.slots(change.open, change.why)
            self._parts.listener.slots_changed(change)

    def _recorded(self, number: int, row: dict[str, Any]) -> bool:
        """Writes an epoch down, and returns whether it was not known before."""
        with self._parts.stop.disk_checked(self._parts.record.folder):
            new = self._parts.record.append(number, row)
        self._parts.stop.epoch_ends(number, int(row["epoch"]))
        return new

    def _judged(self, number: int, row: dict[str, Any] | None, ending: Ending | None) -> Decision:
        """Makes the verdict, if there is one. Scheduler and plateau rule take in every report, whoever decides."""
        compared, converged = CONTINUE, None
        if row is not None:
            point = self._parts.record.point(number)
            compared, converged = self._compared(Report(number, point, int(row["epoch"]), row))
        stop = self._parts.stop
        ending = ending or (Ending(Verdict.INTERRUPTED, stop.reason) if stop.is_set() else None) or converged
        return compared if ending is None else Decision(Action.STOP, ending)

    def _compared(self, report: Report) -> tuple[Decision, Ending | None]:
        """Returns what the scheduler decides, and how the trial ends if it has converged."""
        converged = None
        try:
            converged = self._parts.plateau.judge(report) if self._parts.plateau else None
        except StudyFailed as error:  # the rule watches a metric that nobody reports
            self._parts.stop.fail(str(error))
        return self._parts.scheduler.judge(report), converged

    def pause(self, number: int) -> None:
        """A trial has left its training to wait for others; nothing of it runs."""
        self._paused.add(number)
        self._parts.slots.release(number)
        self._parts.stop.trial_leaves(number)
        self._parts.listener.trial_paused(number)

    def end_paused(self, number: int) -> None:
        """A paused trial is released because the study ends; it is continued when the study is resumed."""
        self._end(number, Ending(Verdict.INTERRUPTED, self._parts.stop.reason))

    def died(self, assignment: Assignment, death: Death, busy: Collection[int]) -> None:
        """A trial has lost its process, or got none. It is started again, or fails.

        Ray can start a trial again by itself (`FailureConfig(max_failures=...)`), but where processes are reused (Ray
        2.60, `reuse_actors`) it counts one death twice, and one that happens between two trials ends the next of them
        for good. So Ray gives up at once, and the trial is suggested again, as in a resumed study.
        """
        number, parts = assignment.number, self._parts
        parts.stop.trial_leaves(number)
        if number not in self._live:
            return  # it had its verdict, and died on its way out
        change = parts.slots.memory_ran_out(number, busy) if death.cause is Cause.OUT_OF_MEMORY else None
        self._changed(change)
        self._deaths[number] += death.cause is not Cause.SPENT and change is None
        if self._deaths[number] <= parts.plan.settings.max_failures:
            self._take_back(number)
            return
        what = f"the trial's process died {self._deaths[number]} times"
        if number not in self._started:
            self.start(assignment)
            what = f"the trial's process could not be started: {death.why}"
        self._deaths[number] -= 1  # the last one was no restart
        out_of_memory = death.cause is Cause.OUT_OF_MEMORY
        self._end(number, Ending(Verdict.OOM, death.why) if out_of_memory else Ending(Verdict.FAILED, what))

    def _take_back(self, number: int) -> None:
        """Makes a trial the next one to be given out: it continues after its last recorded epoch."""
        self._live.discard(number)
        self._paused.discard(number)
        self._parts.slots.release(number, again=True)
        self._parts.stop.trial_leaves(number)
        self._parts.search.take_back(number)

    def close(self) -> None:
        """Gives a verdict to what was left without one; where that cannot be written, none means the same."""
        with suppress(OSError):
            for number in sorted(self._started & {*self._live, *self._parts.search.unfinished}):
                self._end(number, Ending(Verdict.INTERRUPTED, self._parts.stop.reason))
            self._drop_weights()
        self._parts.search.close()
        self._parts.record.close()

    # --- how a trial ends ----------------------------------------------------------------------------------------

    def _end(self, number: int, ending: Ending) -> None:
        """Writes a verdict down and tells everyone."""
        parts = self._parts
        self._live.discard(number)
        self._paused.discard(number)
        parts.slots.release(number)
        parts.stop.trial_leaves(number)
        self._first_failures.ended(number, ending)
        effective = self._effective.get(number, {})
        with self._parts.stop.disk_checked(self._parts.record.folder):
            value = parts.record.end(number, ending, effective, self._deaths[number])
            hyperparameters = parts.plan.hyperparameters(parts.record.point(number), effective)
            best = value is not None and parts.record.update_best(number, value, hyperparameters)
        if ending.verdict is not Verdict.INTERRUPTED:
            self._values[number] = value
        self._drop_weights()
        parts.search.tell(number, ending)
        parts.scheduler.end(number, ending.verdict)
        parts.listener.trial_ended(number, ending, value, best)
        parts.tracking.trial_ended(self._summary(number, ending, value))
        if ending.verdict is Verdict.INTERRUPTED and not parts.stop.is_set():  # by itself: its disk is full
            parts.stop.fail(f"trial {number}: {ending.reason}. Free some space, then resume the study.")

    def _summary(self, number: int, ending: Ending, value: float | None) -> TrialSummary:
        best = self._parts.record.best_of(number)
        return TrialSummary(
            number=number,
            point=self._parts.record.point(number),
            ending=ending,
            best_epoch=best[0] if best else None,
            value=value,
            epochs_total=self._parts.record.epochs_trained,
        )

    def _drop_weights(self) -> None:
        settings = self._parts.plan.settings
        drop_weights(self._parts.record.folder, self._values, settings.direction, settings.weights_kept)
