"""One trial as a Ray Trainable: the Ultralytics trainer in a thread, one handshake per epoch.

Ray stops a function trainable by raising `SystemExit` inside its callback and kills the process a moment later. This
trial is asked to stop and leaves Ultralytics' loop by itself: final evaluation, curves and uploads happen, and only
then does `cleanup` return and the slot become free.

A process trains one trial after another (`reuse_actors`), so that Python, torch and Ultralytics start once and not for
every trial. Ray then tells a stopped trial nothing until another one needs its process. So a training that waits for an
answer also looks for its verdict in the record, and leaves by itself.

Ray's checkpoints are not used. A trial that starts looks into its own folder of the record, and where epochs are
recorded it goes on from the last of them: after a pause or a killed process, on another node, or in a resumed study
alike. Ray asks for a checkpoint only to pause a trial; it gets an empty one, once the training has been left.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import queue
import socket
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ray import tune

from yolotune import checkpoint
from yolotune.job import Job, Order, isolate
from yolotune.metrics import best_epoch
from yolotune.record import PAUSED, SCHEMA, Ending, Verdict, read_ending, read_rows, trial_folder
from yolotune.space import Point
from yolotune.tracking import Tracking, open_trial_run
from yolotune.yamlio import write_yaml

if TYPE_CHECKING:
    from yolotune.trainer import OnEpoch

#: Seconds that a trial waits for the driver to write down why it was stopped.
VERDICT_S = 30.0
#: Seconds between two looks for a verdict while a training waits for its answer; mostly that comes much sooner.
LOOK_S = 0.2


class Trainer(Protocol):
    """What a trial trains with: `trainer.TrialTrainer`, or a stand-in where the engine alone is tried out."""

    ending: Ending | None
    final: dict[str, float]

    def train(self) -> Any: ...
    def finish(self, trained: int) -> None: ...
    def effective(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class _Epoch:
    row: dict[str, Any]
    last: bool
    effective: dict[str, Any]


class Trial(tune.Trainable):
    """Trains `config["point"]` as trial `config["number"]`.

    A step is an epoch. Its result carries the epoch report under `report`, and at the top level the epoch and the
    objective, which Ray's parts look for. `config["cut"]`, if there, says why the trial was cut while it was paused: it
    then trains nothing and only ends in good order.
    """

    def setup(self, config: dict[str, Any], job: Job, tracking: Tracking, study_folder: Path) -> None:
        if not (study_folder / "study.yaml").exists():
            raise FileNotFoundError(
                f"{socket.gethostname()} does not see {study_folder}: give a --storage all nodes share"
            )
        self._job = job
        self._tracking = tracking
        self._study_folder = study_folder
        self._take_on(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes on another trial in the same process, once the one before has left in good order."""
        self.cleanup()
        gc.collect()  # a training leaves cycles, with its images and its model in them
        self._take_on(new_config)
        return True

    def _take_on(self, config: dict[str, Any]) -> None:
        self._number = int(config["number"])
        self._point: Point = config["point"]
        self._folder = trial_folder(self._study_folder, self._number)
        self._thread: threading.Thread | None = None
        self._from_thread: queue.Queue[_Epoch | Ending | None] = queue.Queue()
        self._orders: queue.Queue[Order] = queue.Queue()
        self._last: dict[str, Any] = {}
        self._cut = Ending(Verdict.PRUNED, config["cut"]) if "cut" in config else None
        self._pausing = False

    def step(self) -> dict[str, Any]:
        """Trains one epoch and returns its report; the last one comes with `done` and a verdict."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._train, name=f"trial-{self._number}", daemon=True)
            self._thread.start()
        else:
            self._orders.put(Order.GO)
        said = self._from_thread.get()
        if isinstance(said, _Epoch):
            self._last = {"epoch": said.row["epoch"], self._job.metric: said.row[self._job.metric]}
            self._last |= {"report": said.row, "effective": said.effective}
            if not said.last:
                return self._last
            self._orders.put(Order.GO)  # held back until the trainer has left, so that the verdict comes with it
            said = self._from_thread.get()
        assert isinstance(said, Ending)
        verdict = {"verdict": str(said.verdict), "reason": said.reason, "done": True}
        return {"epoch": 0, self._job.metric: float("nan"), **self._last, **verdict}

    def cleanup(self) -> None:
        """Asks a running training to leave after its epoch and waits until it has done so in good order."""
        if self._thread is None or not self._thread.is_alive():
            return
        self._leave(_order_of(self._await_verdict()))

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Leaves the training, to go on another time: Ray saves a trial only to pause it, and gives its process away.

        Once this returns nothing of the trial runs any more, so the next process has its folder to itself.
        """
        self._pausing = True
        self._leave(Order.LEAVE)
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Does nothing: what the trial goes on from is in its folder."""

    def _leave(self, order: Order) -> None:
        """Gives an order until the training has been left."""
        while self._thread is not None and self._thread.is_alive():
            self._orders.put(order)
            self._thread.join(timeout=0.2)

    def _await_verdict(self) -> Ending | None:
        """Returns why the driver stopped this trial: it writes that down right after it asks Ray to stop it."""
        deadline = time.monotonic() + VERDICT_S
        while (ending := read_ending(self._folder)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return ending

    # --- in the thread -------------------------------------------------------------------------------------------

    def _train(self) -> None:
        """Trains from the beginning or from the last recorded epoch, and says how it ended."""
        ending: Ending | None = None
        final: dict[str, float] = {}
        self._run = open_trial_run(self._tracking, self._number, self._point, self._job.fixed, self._job.model)
        try:
            isolate()
            with self.log():
                ending, final = self._run_trainer()
        except Exception as error:  # whatever it is, the study goes on and the record says what it was
            ending = _failure(error)
            with contextlib.suppress(OSError):  # the disk may be what failed
                (self._folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        finally:
            self._finish_run(ending)
            verdict = PAUSED if self._pausing else str(ending.verdict) if ending else None
            ended = {"schema": SCHEMA, "verdict": verdict, "best": final}
            with contextlib.suppress(OSError):
                write_yaml(self._folder / "ended.yaml", ended, "Written by the trial when it had left in good order.")
            self._from_thread.put(ending)

    def log(self) -> contextlib.AbstractContextManager[None]:
        """Keeps what the training says, from its first line to its last."""
        return _log_file(self._folder / "train.log")

    def make_trainer(self, on_epoch: OnEpoch, resume: Path | None) -> Trainer:
        """Returns what trains this trial's point, from the beginning or from a last.pt."""
        from yolotune.trainer import TrialTrainer

        return TrialTrainer(self._job, self._point, self._folder, on_epoch, resume)

    def _run_trainer(self) -> tuple[Ending | None, dict[str, float]]:
        rows = read_rows(self._folder / "epochs.jsonl")
        recorded = int(rows[-1]["epoch"]) if rows else 0
        for row in rows:
            self._run.log_epoch(row)  # what W&B had not written when the process died; what it has, it passes over
        resume = checkpoint.settle(self._folder / "weights", recorded)
        if recorded >= self._job.epochs:  # killed in its final evaluation: nothing is left to train
            return Ending(Verdict.COMPLETED, f"all {recorded} epochs"), {}
        if self._cut and resume is None:  # killed when it had done so
            return self._cut, {}
        trainer = self.make_trainer(lambda *epoch: self._report(trainer, *epoch), resume)
        if self._cut:
            self._last = {"effective": trainer.effective()}
            trainer.finish(recorded)
            return self._cut, trainer.final
        trainer.train()
        return trainer.ending, trainer.final

    def _finish_run(self, ending: Ending | None) -> None:
        """Closes the W&B run with the verdict; one that the driver decided on stands in the record."""
        if self._pausing:
            self._run.pause()
            return
        ending = ending or self._await_verdict() or Ending(Verdict.INTERRUPTED, "stopped without a word")
        rows = read_rows(self._folder / "epochs.jsonl")
        if "report" in self._last and (not rows or rows[-1]["epoch"] < self._last["epoch"]):
            rows.append(self._last["report"])  # the last report is recorded only after its trial has ended
        best = best_epoch(rows, self._job.metric, self._job.mode)
        epoch, value = best or (None, None)
        effective = self._last.get("effective", {})
        weights = self._folder / "weights" / "best.pt"
        self._run.finish(ending, epoch, value, effective, weights, self._folder / "curves")

    def _report(self, trainer: Trainer, row: dict[str, Any], last: bool) -> Order:
        """Hands an epoch to `step` and waits for the answer, or for a verdict, after which none comes."""
        self._run.log_epoch(row)
        self._from_thread.put(_Epoch(row, last, trainer.effective()))
        while True:
            try:
                return self._orders.get(timeout=LOOK_S)
            except queue.Empty:
                if ending := read_ending(self._folder):
                    return _order_of(ending)


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
