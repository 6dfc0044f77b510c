"""One training of a trial: it says each epoch and waits to be told how to continue.

All trainings of a process run in one thread, one after another: PyTorch keeps cuDNN's execution plans by thread, so a
new one would pay ten seconds again for plans that are there (`aten/src/ATen/native/cudnn/Conv_v8.cpp`).

The driver decides how a trial ends. Its verdict is pushed into the session as a value (`end`): the training leaves its
loop, evaluates best.pt, draws the curves, and the tracker's run is finished with that verdict. A training has left when
nothing more of it is to be computed, so that the next one can begin; the end of the tracker's run, in a thread of its
own, may take longer.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from yolotune._yaml import write_yaml
from yolotune.config.isolation import isolate
from yolotune.metrics import best_epoch, is_finite
from yolotune.record import checkpoint
from yolotune.record.study import SCHEMA, read_rows, trial_folder
from yolotune.record.verdict import PAUSED, Ending, Verdict
from yolotune.tracking import NullTracker, TrialResult
from yolotune.training.drawing import Curves
from yolotune.training.failures import ending_of, is_card_lost
from yolotune.training.job import Order
from yolotune.training.memory import freeze_libraries, keep_freed_memory
from yolotune.training.messages import Said, TrainingTask
from yolotune.training.tasks import make_trainer, task_named
from yolotune.training.usage import Meter

if TYPE_CHECKING:
    from yolotune.training.trainer import OnEpoch


class Trainer(Protocol):
    """What a trial trains with: `trainer.TrialTraining`, or a stand-in where the engine alone is tried out."""

    final: dict[str, float]
    final_f1: dict[str, float]
    curves: Curves

    def train(self) -> Any: ...
    def finish(self, trained: int) -> None: ...
    def effective(self) -> dict[str, Any]: ...


class TrainingThread:
    """The one thread of a process in which all its trainings run."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="training", daemon=True).start()

    def submit(self, work: Callable[[], None]) -> None:
        """Runs something once all before it is done."""
        self._work.put(work)

    def _run(self) -> None:
        while True:
            self._work.get()()


class TrainingSession:
    """A training under way; begins as soon as its thread is free.

    Each `next()` is answered by one of `go_on`, `end`, `leave` and `pause`. An answer tells that the driver has
    recorded the epoch, so its checkpoint counts from then on.
    """

    def __init__(self, task: TrainingTask, thread: TrainingThread) -> None:
        self.task = task
        self.folder = trial_folder(task.folder, task.number)
        self._run = NullTracker().open_trial(task.number, {})
        self._trainer: Trainer | None = None
        self._effective: dict[str, Any] | None = None
        self._final: dict[str, float] = {}
        self._final_f1: dict[str, float] = {}
        self._curves = Curves()
        self._said: queue.Queue[Said] = queue.Queue()
        self._orders: queue.Queue[Order | None] = queue.Queue()  # None: nobody has answered
        self._lock = threading.Lock()
        self._ending: Ending | None = None  # as it was pushed
        self._decided = threading.Event()  # it is known how this training ends, with an ending or with a pause
        self._left = threading.Event()
        self._ended = threading.Event()
        thread.submit(self._work)

    # --- called by the process of the trial ----------------------------------------------------------------------

    def next(self) -> Said:
        """Waits until the training says something, and returns it."""
        return self._said.get()

    def go_on(self) -> None:
        """Tells the training to train the next epoch."""
        self._orders.put(Order.GO)

    def end(self, ending: Ending) -> None:
        """Tells the training how it ends, and returns at once. The first ending counts.

        An interrupted training keeps last.pt, to be continued when the study is resumed. Any other is evaluated.
        """
        self._decide(ending, Order.LEAVE if ending.verdict is Verdict.INTERRUPTED else Order.STOP)

    def leave(self) -> None:
        """Tells the training to leave, to continue another time, and returns at once."""
        self._decide(None, Order.LEAVE)

    def pause(self) -> None:
        """Makes the training leave, to continue another time. On return nothing of it runs any more."""
        self.leave()
        self._ended.wait()

    def wait_left(self) -> None:
        """Waits until the training has left; one that was not told how it ends is interrupted."""
        self._interrupt()
        self._left.wait()

    def join(self) -> None:
        """Waits until the training has ended in good order; one that was not told how it ends is interrupted."""
        self._interrupt()
        self._ended.wait()

    def _interrupt(self) -> None:
        """Interrupts the training if nobody has told it how it ends. Whether its last epoch is recorded is unknown."""
        self._decide(Ending(Verdict.INTERRUPTED, "the study was stopped"), None)

    def _decide(self, ending: Ending | None, order: Order | None) -> None:
        with self._lock:
            if not self._decided.is_set():
                self._ending = ending
                self._orders.put(order)
                self._decided.set()

    # --- in the training's thread --------------------------------------------------------------------------------

    def log(self) -> contextlib.AbstractContextManager[None]:
        """Keeps what the training prints, from its first line to its last."""
        return _log_file(self.folder / "train.log")

    def make_trainer(self, on_epoch: OnEpoch, resume: Path | None) -> Trainer:
        """Returns what trains this trial's point, from the beginning or from a last.pt."""
        task_named(self.task.job.task)  # loads torch and Ultralytics
        freeze_libraries()
        keep_freed_memory()
        trainer = make_trainer(self.task.job, self.task.point, self.folder, on_epoch, resume)
        trainer.halves_batch = self.task.alone
        return trainer

    def _work(self) -> None:
        """Trains; the rest of the trial's end is left to a thread of its own."""
        failure, card_lost = None, False
        try:
            isolate()
            job = self.task.job
            config = {**job.fixed, **self.task.point, "model": job.model}
            self._run = self.task.tracker.open_trial(self.task.number, config)
            with self.log():
                self._train()
        except _Unanswered:
            pass
        except Exception as error:  # whatever it is, the study continues and the record says what it was
            failure, card_lost = ending_of(error), is_card_lost(error)
            self._keep_traceback()
        self._trainer = None  # its memory is needed by the next trial
        self._left.set()
        if failure is not None:
            self._said.put(Said(None, failure, self._effective, card_lost=card_lost))
        threading.Thread(target=self._close, name=f"close-{self.task.number}", daemon=True).start()

    def _close(self) -> None:
        """Waits to be told how the trial ends, and ends its run in good order."""
        self._decided.wait()
        with self._errors_kept():
            self._curves.wait()
        with self._errors_kept():
            self._finish_run()
        self._write_ended()
        self._ended.set()

    def _train(self) -> None:
        """Trains from the beginning or from the last recorded epoch; or only ends what was trained before."""
        rows = read_rows(self.folder / "epochs.jsonl")
        for row in rows:
            self._run.log_epoch(row)  # what the tracker had not written when the process died; it passes over the rest
        recorded = int(rows[-1]["epoch"]) if rows else 0
        resume = checkpoint.settle(self.folder / "weights", recorded)
        ending = self.task.ending or self._recorded_ending(rows)
        if ending is not None:
            self._only_end(ending, recorded, resume)
            return
        self._trainer = self.make_trainer(self._report, resume)
        self._curves = self._trainer.curves
        self._meter = Meter()
        try:
            self._trainer.train()
        finally:
            self._meter.close()
        self._final, self._final_f1 = self._trainer.final, self._trainer.final_f1

    def _recorded_ending(self, rows: Sequence[Mapping[str, Any]]) -> Ending | None:
        """Returns how the training had ended by itself, if its process was killed before there was a verdict."""
        job = self.task.job
        last = rows[-1] if rows else {"epoch": 0}
        if job.metric in last and not is_finite(last[job.metric]):
            return Ending(Verdict.DIVERGED, f"not finite at epoch {last['epoch']}")
        if last["epoch"] >= job.epochs:
            return Ending(Verdict.COMPLETED, f"all {job.epochs} epochs")
        return None

    def _report(self, row: dict[str, Any], ending: Ending | None) -> Order:
        """Says an epoch and waits for the answer."""
        assert self._trainer is not None
        self._run.log_epoch(row)
        self._effective = self._trainer.effective()
        self._said.put(Said(row, ending, self._effective, self._meter.epoch(row["seconds"])))
        order = self._orders.get()
        if order is None:
            raise _Unanswered
        return order

    def _only_end(self, ending: Ending, recorded: int, resume: Path | None) -> None:
        """Says an ending that is known before anything is trained, then evaluates best.pt and draws the curves.

        Args:
            ending: The verdict.
            recorded: Epochs that were trained.
            resume: The last.pt; None where the process before had evaluated best.pt already, or had diverged.
        """
        with self._errors_kept():
            if resume is not None:
                self._trainer = self.make_trainer(self._report, resume)
                self._curves = self._trainer.curves
                self._effective = self._trainer.effective()
        self._said.put(Said(None, ending, self._effective))
        with self._errors_kept():  # the verdict stands; what could not be evaluated or drawn is not there
            if self._trainer is None:
                checkpoint.close(self.folder / "weights", recorded, keep_last=self.task.job.keep_last)
            else:
                self._trainer.finish(recorded)
                self._final, self._final_f1 = self._trainer.final, self._trainer.final_f1

    def _finish_run(self) -> None:
        """Ends the tracker's run as the trial ends."""
        if self._ending is None:
            self._run.pause()
            return
        job = self.task.job
        best = best_epoch(read_rows(self.folder / "epochs.jsonl"), job.metric, job.mode)
        epoch, value = best or (None, None)
        result = TrialResult(
            ending=self._ending,
            best_epoch=epoch,
            value=value,
            effective=self._effective or {},
            weights=self.folder / "weights" / "best.pt",
            curves=self.folder / "curves",
        )
        self._run.finish(result)

    def _write_ended(self) -> None:
        """Writes down that nothing of the trial runs any more."""
        verdict = PAUSED if self._ending is None else str(self._ending.verdict)
        ended = {"schema": SCHEMA, "verdict": verdict, "best": self._final, "f1_by_class": self._final_f1}
        with contextlib.suppress(OSError):
            write_yaml(self.folder / "ended.yaml", ended, "Written by the trial when it had left in good order.")

    @contextlib.contextmanager
    def _errors_kept(self) -> Iterator[None]:
        """Keeps the traceback of what fails here; the trial ends as it was to end."""
        try:
            yield
        except Exception:
            self._keep_traceback()

    def _keep_traceback(self) -> None:
        """Writes down the error that is being handled."""
        with contextlib.suppress(OSError):  # the disk may be what failed
            (self.folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")


class _Unanswered(Exception):
    """Leaves a training whose last epoch nobody has answered: it is not known to be in the record."""


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Keeps what Ultralytics logs in a file."""
    from ultralytics.utils import LOGGER

    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        handler.close()
