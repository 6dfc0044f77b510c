"""What Ray Tune calls while a study runs: the keeper of the record, and the stopper of the whole study."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from yolotune.config.settings import Settings
from yolotune.record.retention import drop_weights
from yolotune.record.study import Ending, TrialRecord, Verdict, trial_folder
from yolotune.record.writer import Record
from yolotune.schedulers.plateau import Endings, PlateauStopper
from yolotune.schedulers.stop import Stop
from yolotune.search.optimizer import ending_of
from yolotune.tracking.wandb_study import NullStudyRun
from yolotune.tuner.plan import Listener, Plan
from yolotune.tuner.restarts import Restarts

#: The study ends when its first trials, this many, fail with the same words.
SAME_FAILURES = 3
#: Seconds given to trials that end together with the study, for their final evaluation and uploads.
LAST_TRIALS_S = 900.0


class StudyStopper(Stopper):
    """The plateau rule, if there is one, and the end of the whole study: Ctrl-C, its budget, failure upon failure."""

    def __init__(self, study: Settings, endings: Endings, stop: Stop) -> None:
        self._plateau = PlateauStopper(study, endings) if study.plateau else None
        self._endings = endings
        self._stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        number = int(result["config"]["number"])
        if "report" in result:
            self._stop.reported(number, int(result["report"]["epoch"]))
        if self._stop.is_set() and not result.get("done"):
            self._endings[number] = Ending(Verdict.INTERRUPTED, self._stop.reason)
            return True
        self._stop.begins(number)
        return self._plateau is not None and self._plateau(trial_id, result)

    def stop_all(self) -> bool:
        return False  # trials are stopped one by one at their next report, so that each ends in good order

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that never happens


class RecordKeeper(Callback):
    """Writes every report and verdict into the record as it arrives, and tells the listener."""

    def __init__(
        self,
        record: Record,
        plan: Plan,
        endings: Endings,
        listener: Listener,
        study_run: NullStudyRun,
        stop: Stop,
        recorded: Sequence[TrialRecord] = (),
        restarts: Restarts | None = None,
        no_more: Callable[[], bool] = lambda: True,
    ) -> None:
        """Takes what it writes to and whom it tells.

        Args:
            record: The study's folder.
            plan: What is run.
            endings: Why schedulers and stoppers stopped a trial.
            listener: Who is told.
            study_run: The study's own W&B run.
            stop: Set when the first trials all fail alike.
            recorded: Trials of before.
            restarts: Counts dead processes, for the searcher; None if no trial is started again.
            no_more: Whether no trial is to come any more.
        """
        self._restarts = restarts or Restarts(0)
        self._no_more = no_more
        self._record = record
        self._plan = plan
        self._endings = endings
        self._listener = listener
        self._study_run = study_run
        self._stop = stop
        self._started: set[int] = set()
        self._paused: set[int] = set()
        self._ending: set[int] = set()  # have a verdict, and say in `ended.yaml` when they have ended in good order
        self._effective: dict[int, dict[str, Any]] = {}
        self._processes: dict[int, tuple[str, int]] = {}
        self._failures: list[str] | None = []
        self._values: dict[int, float | None] = {
            trial.number: trial.value for trial in recorded if not trial.unfinished
        }

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Notes that a trial has a process: its first one, or another after a pause or the death of the first."""
        number = int(trial.config["number"])
        if "cut" not in trial.config:  # such a one only ends
            self._stop.begins(number)
        with self._kept_or_ended():
            self._record.start(number, trial.config["point"])
        if number not in self._started:
            self._started.add(number)
            self._listener.trial_started(number, trial.config["point"])
        elif number in self._paused and "cut" not in trial.config:
            self._paused.discard(number)
            self._listener.trial_resumed(number)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        number, row = int(trial.config["number"]), result.get("report")
        self._processes[number] = (result["hostname"], result["pid"])
        self._effective |= {number: result["effective"]} if "effective" in result else {}
        if row is None:
            return
        with self._kept_or_ended():
            new = self._record.append(number, row)
        if new:
            self._listener.epoch_reported(number, row)

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Notes that a trial is paused: Ray saves it for nothing else."""
        number = int(trial.config["number"])
        self._paused.add(number)
        self._stop.leaves(number)
        self._listener.trial_paused(number)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        number = int(trial.config["number"])
        self._stop.leaves(number)
        self._ending.add(number)
        ending = ending_of(self._endings.get(number), trial.last_result, error=False)
        self._end(number, ending, self._restarts.of(number))
        if ending.verdict is Verdict.INTERRUPTED and not self._stop.is_set():  # by itself: its disk is full
            self._stop.fail(f"trial {number}: {ending.reason}. Free some space, then resume the study.")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Errors of a training come as verdicts; this one is a process that died once too often, or never began."""
        number = int(trial.config["number"])
        self._stop.leaves(number)
        self._endings.pop(number, None)  # of before it died
        if self._restarts.again(number):
            return
        deaths = self._restarts.of(number)
        what = f"the trial's process died {deaths} times"
        if number not in self._started:
            self.on_trial_start(iteration, trials, trial)
            what = f"the trial's process could not be started: {_last_line(trial)}"
        self._end(number, Ending(Verdict.FAILED, what), deaths - 1)

    @contextmanager
    def _kept_or_ended(self) -> Iterator[None]:
        """Ends the study at once if the record cannot be written.

        Ray is not asked for another epoch, so no trial counts a checkpoint whose epoch is not in the record.
        """
        try:
            yield
        except OSError as error:
            free = shutil.disk_usage(self._record.folder).free
            what = f"{error.filename or self._record.folder}: {error.strerror} ({free / 2**20:.1f} MB free)."
            self._stop.fail(f"{what} Every epoch before is kept: mend it, then resume the study.")
            raise

    def _end(self, number: int, ending: Ending, restarts: int) -> None:
        if number not in self._started or self._record.ended(number):
            return
        self._count_failure(number, ending)
        effective = self._effective.get(number, {})
        with self._kept_or_ended():
            value = self._record.end(number, ending, effective, restarts)
        best = False
        if value is not None:
            hyperparameters = self._plan.hyperparameters(self._record.point(number), effective)
            with self._kept_or_ended():
                best = self._record.offer_best(number, value, hyperparameters)
        if ending.verdict is not Verdict.INTERRUPTED:
            self._values[number] = value
        self._drop_weights()
        self._listener.trial_ended(number, ending, value, best)
        epoch = self._record.best_of(number)
        point, total = self._record.point(number), self._record.epochs_trained
        self._study_run.trial_ended(number, point, ending, epoch[0] if epoch else None, value, total)

    def _drop_weights(self) -> None:
        study = self._plan.study
        drop_weights(self._record.folder, self._values, study.direction, study.weights_kept)

    def _count_failure(self, number: int, ending: Ending) -> None:
        """Ends the study when its first trials all fail for the same reason: the next ones would too."""
        if self._failures is None or ending.verdict is not Verdict.FAILED:
            self._failures = None  # one has worked, so the study as such does
            return
        self._failures.append(ending.reason)
        if self._failures == [ending.reason] * SAME_FAILURES:
            log = trial_folder(self._record.folder, number) / "error.txt"
            trace = log.read_text(encoding="utf-8") if log.exists() else ""
            self._stop.fail(f"the first {SAME_FAILURES} trials failed alike: {ending.reason}\n{trace}".rstrip())

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Waits for the last trials: Ray gives those that end together with the study only ten seconds."""
        if self._no_more() and all(trial.is_finished() for trial in reversed(trials)):  # the running ones are the last
            self._wait_for_the_last()

    def _wait_for_the_last(self) -> None:
        """Waits until every trial has ended in good order and says so, or has died in doing so."""
        deadline = time.monotonic() + LAST_TRIALS_S
        for number in self._ending:
            marker = trial_folder(self._record.folder, number) / "ended.yaml"
            while not marker.exists() and not self._is_dead(number) and time.monotonic() < deadline:
                time.sleep(0.05)

    def _is_dead(self, number: int) -> bool:
        """Whether a trial's last process is known to be dead: it was on this machine, and is there no more."""
        host, process = self._processes.get(number, ("", 0))
        return host == socket.gethostname() and not psutil.pid_exists(process)

    def close(self) -> None:
        """Gives a verdict to what Ray left without one; where that cannot be written, none means the same."""
        with suppress(OSError):
            for number in self._started:
                self._end(number, Ending(Verdict.INTERRUPTED, self._stop.reason), 0)
            self._drop_weights()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that never happens


def _last_line(trial: Trial) -> str:
    """Returns the last line of what Ray says about an error."""
    path = Path(trial.error_file) if trial.error_file else None
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if path and path.exists() else []
    return lines[-1].strip() if lines else "Ray gives no reason"
