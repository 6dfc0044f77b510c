"""What Ray Tune calls, and how each call reaches the conductor. All that Ray forces upon the house stands here.

Of Ray's hooks (2.60, `tune_controller.py`) the study's `Stopper` is called first with every report, the last one
included, before it is flattened; then the scheduler, which never sees a report that ends a trial; the searcher, not
after a stop; the callbacks. So the conductor is given each report in the stopper, and what it decides is what the
scheduler returns. The searcher is only asked for trials; the callbacks only tell of processes that start, pause, die.

- Ray's own limit of trials at a time is fixed and counts paused ones, so the conductor keeps to the slots by itself.
- A searcher that returns None while no trial lives blocks Ray's loop for minutes: `FINISHED` is returned as soon as
  the conductor knows that no trial is to come.
- Ray leaves a stopped trial's process to the cache without a word, so the verdict is sent to the process from here.
- Trials that end together with the experiment get ten seconds to clean up: `on_step_end` waits for them instead.
- All these objects are pickled for a restore that never happens; they leave everything behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback, ProgressReporter, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from yolotune.record.verdict import Ending
from yolotune.schedulers.base import CONTINUE, Action, Decision
from yolotune.training.messages import Said
from yolotune.tuner.assignment import Assignment, Cause, Death
from yolotune.tuner.conductor import Conductor
from yolotune.tuner.trainable import ProcessSpent

#: Seconds given to trials that end together with the study, for their final evaluation and uploads.
LAST_TRIALS_S = 900.0


def config_of(assignment: Assignment) -> dict[str, Any]:
    """Returns the config of a Ray trial."""
    ending = {} if assignment.ending is None else {"ending": assignment.ending}
    return {"number": assignment.number, "point": dict(assignment.point), "place": assignment.place, **ending}


def assignment_of(trial: Trial) -> Assignment:
    """Returns what a Ray trial is to train, from its config."""
    config = trial.config
    return Assignment(int(config["number"]), config["point"], config.get("ending"), config["place"])


class Workers:
    """The processes of the trials that have one."""

    def __init__(self) -> None:
        self._handles: dict[int, Any] = {}

    def assign(self, trial: Trial) -> None:
        """Notes the process of a trial; Ray has no public way to ask for it."""
        self._handles[int(trial.config["number"])] = trial.temporary_state.ray_actor

    def send(self, number: int, ending: Ending | None) -> None:
        """Sends a trial its verdict, None where it is tried again; a process that is dead misses nothing."""
        handle = self._handles.get(number)
        if handle is not None:
            handle.end_training.remote(ending)

    def join(self, seconds: float) -> None:
        """Waits until all trials have ended in good order, or their processes have died."""
        joined = [handle.join_training.remote() for handle in set(self._handles.values()) if handle is not None]
        self._handles.clear()
        if joined:
            ray.wait(joined, num_returns=len(joined), timeout=seconds)


class Hooks:
    """The four parts that Ray Tune takes, around one conductor."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self.workers = Workers()
        self.busy: set[int] = set()  # trials that have a slot, or wait for a process
        self.decisions: dict[int, Decision] = {}
        self.stopper = ReportHook(self)
        self.scheduler = DecisionHook(self)
        self.searcher = SuggestHook(self)
        self.callback = ProcessHook(self)

    def report(self, number: int, said: Said) -> Decision:
        """Gives a report to the conductor, and sends the trial its verdict if there is one."""
        decision = self.conductor.report(number, said, self.busy)
        self.decisions[number] = decision
        if decision.action is Action.STOP:
            self.busy.discard(number)
            self.workers.send(number, decision.ending)
        return decision


class ReportHook(Stopper):
    """Takes in every report; ends a trial whose verdict is made."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        decision = self._hooks.report(int(result["config"]["number"]), result["said"])
        return decision.action is Action.STOP

    def stop_all(self) -> bool:
        return False  # trials are ended one by one at their next report, so that each ends in good order

    def __getstate__(self) -> dict[str, Any]:
        return {}


class DecisionHook(TrialScheduler):
    """Returns what was decided, and which paused trial comes next."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self._hooks = hooks

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        decision = self._hooks.decisions.get(int(trial.config["number"]), CONTINUE)
        return str(TrialScheduler.PAUSE if decision.action is Action.PAUSE else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Returns the paused trial whose turn it is; what is pending Ray starts by itself."""
        hooks, conductor = self._hooks, self._hooks.conductor
        live = tune_controller.get_live_trials()
        paused = {int(trial.config["number"]): trial for trial in live if trial.status == Trial.PAUSED}
        hooks.busy = {int(t.config["number"]) for t in live if t.status in (Trial.PENDING, Trial.RUNNING)}
        if paused and conductor.over:
            for number, trial in sorted(paused.items()):
                conductor.end_paused(number)
                tune_controller.stop_trial(trial)
            return None
        turn = conductor.next_paused(hooks.busy)
        trial = paused.get(turn.number) if turn else None
        if trial is not None and turn is not None:
            ending = {} if turn.ending is None else {"ending": turn.ending}
            trial.set_config({**trial.config, "place": conductor.place(turn.number), **ending})
        return trial

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._hooks.busy.add(int(trial.config["number"]))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None: ...
    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None: ...
    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None: ...

    def debug_string(self) -> str:
        return "what the conductor decided"

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SuggestHook(Searcher):
    """Asks the conductor for the next trial."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self._hooks = hooks
        self.finished = False  # whether Ray was told that no trial is to come

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        assignment = self._hooks.conductor.next_trial(self._hooks.busy)
        if assignment is not None:
            return config_of(assignment)
        if self._hooks.conductor.over:
            self.finished = True
            return str(Searcher.FINISHED)
        return None  # Ray asks again in a moment

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None: ...

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Writes an empty file where Ray expects one: a study resumes from its record, not from Ray's snapshot."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a study resumes from its record")


class ProcessHook(Callback):
    """Tells of processes that start, pause and die, and waits for the last trials."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._hooks.workers.assign(trial)
        self._hooks.conductor.start(assignment_of(trial))

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._hooks.conductor.pause(int(trial.config["number"]))  # Ray saves a trial for nothing else

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Errors of a training come as verdicts; this is a process that died, or could not be started."""
        self._hooks.busy.discard(int(trial.config["number"]))
        self._hooks.conductor.died(assignment_of(trial), _death(trial), self._hooks.busy)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._hooks.searcher.finished and all(trial.is_finished() for trial in reversed(trials)):
            self._hooks.workers.join(LAST_TRIALS_S)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _death(trial: Trial) -> Death:
    """Returns what Ray says about an error."""
    path = Path(trial.error_file) if trial.error_file else None
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path and path.exists() else ""
    cause = Cause.DIED
    if ProcessSpent.__name__ in text:
        cause = Cause.SPENT
    elif ray.exceptions.OutOfMemoryError.__name__ in text:  # Ray's own guard over the memory of a node
        cause = Cause.OUT_OF_MEMORY
    return Death(cause, text.splitlines()[-1].strip() if text else "Ray gives no reason")


class Silence(ProgressReporter):
    """Reports nothing: who shows a study is its listener. Ray's own reporter wipes the output of a notebook's cell."""

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None: ...
