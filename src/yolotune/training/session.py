"""One training of a trial in a thread: a handshake per epoch, its W&B run, and its end in good order.

A training has left when nothing more is to be trained and its slot is free. What remains is to evaluate best.pt, to
draw the curves, to close the W&B run and to write `ended.yaml`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import queue
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from yolotune._yaml import write_yaml
from yolotune.config.space import Point
from yolotune.metrics import best_epoch
from yolotune.record import checkpoint
from yolotune.record.study import PAUSED, SCHEMA, Ending, Verdict, read_ending, read_rows, trial_folder
from yolotune.tracking.wandb import Tracking, open_trial_run
from yolotune.training.job import Job, Order, isolate

if TYPE_CHECKING:
    from yolotune.training.trainer import OnEpoch

#: Seconds that a training waits for the driver to write down why it was stopped.
VERDICT_S = 30.0
#: Seconds between two looks for a verdict while a training waits for its answer; mostly that comes much sooner.
LOOK_S = 0.2


class Trainer(Protocol):
    """What a trial trains with: `trainer.TrialTrainer`, or a stand-in where the engine alone is tried out."""

    ending: Ending | None
    final: dict[str, float]

    def train(self) -> Any: ...
    def finish(self, trained: int) -> None: ...
    def close(self) -> None: ...
    def effective(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Epoch:
    """What a training says after an epoch.

    Attributes:
        row: The epoch report.
        last: Whether the training ends here anyway; that it has left comes next.
        effective: Arguments that became something else than was asked.
    """

    row: dict[str, Any]
    last: bool
    effective: dict[str, Any]


@dataclass(frozen=True)
class Left:
    """What a training says when it has left.

    Attributes:
        ending: Why; None where somebody else decided it.
        effective: As in `Epoch`; None where it never got so far.
    """

    ending: Ending | None
    effective: dict[str, Any] | None


@dataclass(frozen=True)
class Task:
    """What a training of a trial is told.

    Attributes:
        number: The trial.
        point: Its hyperparameters.
        cut: Why it was cut while it was paused; it then trains nothing and only ends in good order.
        job: What all trainings of the study are told.
        tracking: W&B.
        folder: Of the study.
    """

    number: int
    point: Point
    cut: str | None
    job: Job
    tracking: Tracking
    folder: Path


class Training:
    """A training under way; begins at once."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._job = task.job
        self._point = task.point
        self._folder = trial_folder(task.folder, task.number)
        self._said: queue.Queue[Epoch | Left] = queue.Queue()
        self._orders: queue.Queue[Order] = queue.Queue()
        self._row: dict[str, Any] = {}
        self._effective: dict[str, Any] | None = None
        self._pausing = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"trial-{task.number}", daemon=True)
        self._thread.start()

    # --- what the trial asks -------------------------------------------------------------------------------------

    def next(self) -> Epoch | Left:
        """Waits for the next epoch, or for the end."""
        return self._said.get()

    def answer(self, order: Order) -> None:
        """Tells the training what to do after the epoch that it has reported."""
        self._orders.put(order)

    def leave(self) -> None:
        """Has the training leave after its epoch, as the driver's verdict says, and waits until it has."""
        if not self._left.is_set():
            order = _order_of(self._await_verdict())
            while not self._left.wait(0.2):
                self._orders.put(order)

    def pause(self) -> None:
        """Has the training leave to go on another time; on return nothing of it runs any more."""
        self._pausing = True
        while self._thread.is_alive():
            self._orders.put(Order.LEAVE)
            self._thread.join(timeout=0.2)

    def join(self) -> None:
        """Waits until the training has ended in good order."""
        self._thread.join()

    # --- in the thread -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Trains from the beginning or from the last recorded epoch, says how it ended, and ends in good order."""
        self._run = open_trial_run(
            self._task.tracking, self._task.number, self._point, self._job.fixed, self._job.model
        )
        trainer: Trainer | None = None
        final: dict[str, float] = {}
        try:
            isolate()
            with self.log():
                ending, trainer = self._train()
        except Exception as error:  # whatever it is, the study goes on and the record says what it was
            ending = _failure(error)
            self._note()
        self._left.set()
        self._said.put(Left(ending, self._effective))
        try:
            if trainer is not None:
                trainer.close()
                final = trainer.final
        except Exception:  # the verdict stands; what could not be evaluated or drawn is not there
            self._note()
        self._finish_run(ending)
        verdict = PAUSED if self._pausing else str(ending.verdict) if ending else None
        ended = {"schema": SCHEMA, "verdict": verdict, "best": final}
        with contextlib.suppress(OSError):
            write_yaml(self._folder / "ended.yaml", ended, "Written by the trial when it had left in good order.")

    def log(self) -> contextlib.AbstractContextManager[None]:
        """Keeps what the training says, from its first line to its last."""
        return _log_file(self._folder / "train.log")

    def make_trainer(self, on_epoch: OnEpoch, resume: Path | None) -> Trainer:
        """Returns what trains this trial's point, from the beginning or from a last.pt."""
        from yolotune.training.trainer import TrialTrainer

        return TrialTrainer(self._job, self._point, self._folder, on_epoch, resume)

    def _train(self) -> tuple[Ending | None, Trainer | None]:
        rows = read_rows(self._folder / "epochs.jsonl")
        recorded = int(rows[-1]["epoch"]) if rows else 0
        for row in rows:
            self._run.log_epoch(row)  # what W&B had not written when the process died; what it has, it passes over
        resume = checkpoint.settle(self._folder / "weights", recorded)
        cut = Ending(Verdict.PRUNED, self._task.cut) if self._task.cut else None
        if recorded >= self._job.epochs:  # killed in its final evaluation: nothing is left to train
            return Ending(Verdict.COMPLETED, f"all {recorded} epochs"), None
        if cut and resume is None:  # killed when it had done so
            return cut, None
        trainer = self.make_trainer(lambda *epoch: self._report(trainer, *epoch), resume)
        if cut:
            self._effective = trainer.effective()
            trainer.finish(recorded)
            return cut, trainer
        trainer.train()
        return trainer.ending, trainer

    def _report(self, trainer: Trainer, row: dict[str, Any], last: bool) -> Order:
        """Says an epoch and waits for the answer, or for a verdict, after which none comes."""
        self._run.log_epoch(row)
        self._row, self._effective = row, trainer.effective()
        self._said.put(Epoch(row, last, self._effective))
        while True:
            try:
                return self._orders.get(timeout=LOOK_S)
            except queue.Empty:
                if ending := read_ending(self._folder):
                    return _order_of(ending)

    def _finish_run(self, ending: Ending | None) -> None:
        """Closes the W&B run with the verdict; one that the driver decided on stands in the record."""
        if self._pausing:
            self._run.pause()
            return
        ending = ending or self._await_verdict() or Ending(Verdict.INTERRUPTED, "stopped without a word")
        rows = read_rows(self._folder / "epochs.jsonl")
        if self._row and (not rows or rows[-1]["epoch"] < self._row["epoch"]):
            rows.append(self._row)  # the last report is recorded only after its trial has ended
        best = best_epoch(rows, self._job.metric, self._job.mode)
        epoch, value = best or (None, None)
        weights = self._folder / "weights" / "best.pt"
        self._run.finish(ending, epoch, value, self._effective or {}, weights, self._folder / "curves")

    def _await_verdict(self) -> Ending | None:
        """Returns why the driver stopped this trial: it writes that down right after it asks Ray to stop it."""
        deadline = time.monotonic() + VERDICT_S
        while (ending := read_ending(self._folder)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return ending

    def _note(self) -> None:
        """Keeps the traceback of the error that is handled."""
        with contextlib.suppress(OSError):  # the disk may be what failed
            (self._folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")


def _order_of(ending: Ending | None) -> Order:
    """Returns what a stopped training is told; without a word from the driver nothing is decided, so it can go on."""
    return Order.LEAVE if ending is None or ending.verdict is Verdict.INTERRUPTED else Order.STOP


def _failure(error: Exception) -> Ending:
    """Returns the verdict on an error.

    One that says it ran out of memory would do so again with the same point. A full disk is no fault of the point: the
    trial goes on once there is space.
    """
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "out of memory" in str(error).lower():
        return Ending(Verdict.OOM, first)
    if _disk_full(error):
        return Ending(Verdict.INTERRUPTED, f"no space left on the disk: {first}")
    return Ending(Verdict.FAILED, f"{type(error).__name__}: {first}")


def _disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a full disk; torch hides the cause in words of its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "PytorchStreamWriter failed" in str(error) or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


class _log_file:
    """Keeps what Ultralytics says about one training in a file of the trial."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        from ultralytics.utils import LOGGER

        self._handler = logging.FileHandler(self._path, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOGGER.addHandler(self._handler)
        LOGGER.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        from ultralytics.utils import LOGGER

        LOGGER.removeHandler(self._handler)
        self._handler.close()
