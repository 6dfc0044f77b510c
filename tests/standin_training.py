"""A training that trains nothing: session, checkpoints and record are the real ones, an epoch is one number.

STANDIN_EPOCH_S is the length of an epoch in seconds; STANDIN_FILL a size in bytes for last.pt; STANDIN_OOM an epoch
after which the memory is full, STANDIN_OOM_BESIDE one after which it is for a trial that is not alone, and
STANDIN_CARD_LOST one after which a trial loses its card, once.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.config.space import Point
from yolotune.record import checkpoint
from yolotune.record.verdict import Ending, Verdict
from yolotune.training.drawing import Curves
from yolotune.training.job import Job, Order
from yolotune.training.session import TrainingSession

if TYPE_CHECKING:
    from yolotune.training.trainer import OnEpoch

LOSSES = ("train/box", "train/seg", "train/cls", "train/dfl")


class StandInTrainer:
    """Keeps to what `TrialTraining` promises: pending checkpoints, one report an epoch, the objective in best.pt."""

    def __init__(self, job: Job, point: Point, folder: Path, on_epoch: OnEpoch, resume: Path | None) -> None:
        self.final: dict[str, float] = {}
        self.final_f1: dict[str, float] = {}
        self.curves = Curves()
        self.alone = True
        self._job = job
        self._point = point
        self._weights = folder / "weights"
        self._log_file = folder / "train.log"
        self._on_epoch = on_epoch
        self._epoch = int(resume.read_text().split()[0]) if resume else 0
        self._log(f"process {os.getpid()} from epoch {self._epoch + 1} at {time.time()} on {_node()}")

    def train(self) -> None:
        order = Order.GO
        while self._epoch < self._job.epochs and order is Order.GO:
            time.sleep(float(os.environ.get("STANDIN_EPOCH_S", "0.02")))
            self._fail()
            self._epoch += 1
            self._save()
            order = self._on_epoch(self._row(), self._own_ending())
            checkpoint.commit(self._weights)
        if order is not Order.LEAVE:
            self._evaluate()

    def _fail(self) -> None:
        """Raises the errors that PyTorch raises on a card, where a test wants them."""
        epoch, first = str(self._epoch), len(self._log_file.read_text().splitlines()) == 1
        if os.environ.get("STANDIN_OOM") == epoch:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        if os.environ.get("STANDIN_OOM_BESIDE") == epoch and not self.alone:
            raise RuntimeError("GET was unable to find an engine to execute this computation")
        if os.environ.get("STANDIN_CARD_LOST") == epoch and first:
            raise RuntimeError("CUDA error: unspecified launch failure")

    def finish(self, trained: int) -> None:
        self._log(f"finish {trained}")
        self._evaluate()

    def effective(self) -> dict[str, Any]:
        return {}

    def _evaluate(self) -> None:
        checkpoint.close(self._weights, self._epoch, keep_last=self._job.keep_last)
        self.final = {"seg_metrics/F1": 0.5}
        self.final_f1 = {"circle": 0.6, "square": 0.4}

    def _own_ending(self) -> Ending | None:
        return Ending(Verdict.COMPLETED, f"all {self._epoch} epochs") if self._epoch == self._job.epochs else None

    def _log(self, line: str) -> None:
        with self._log_file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _save(self) -> None:
        waiting = checkpoint.pending(self._weights)
        waiting.mkdir(parents=True, exist_ok=True)
        padding = b"\0" * int(os.environ.get("STANDIN_FILL", "0"))
        for name in checkpoint.NAMES:
            (waiting / name).write_bytes(f"{self._epoch} ".encode() + padding)
        checkpoint.mark(self._weights, self._epoch)

    def _row(self) -> dict[str, Any]:
        """A curve that saturates the higher, the nearer lr0 is to 0.005; the same for the same point and seed."""
        arguments = {**self._job.fixed, **self._point}
        height = math.exp(-abs(math.log(float(arguments["lr0"]) / 0.005)))
        height *= 1 - 0.02 * (int(arguments["seed"]) * 7 % 5)
        value = height * (1 - math.exp(-self._epoch / 4)) + 0.01 * math.sin(self._epoch + 1000 * height)
        losses = dict.fromkeys(LOSSES, 3.0 - 2.0 * height * (1 - math.exp(-self._epoch / 2)))
        scores = {"seg_metrics/F1": value, "train_seg_metrics/F1": value + 0.05}
        row = {"epoch": self._epoch, **scores, **losses, "seconds": 0.02}
        if self._job.objective is not None:
            row[self._job.metric] = self._job.objective(row)
        return row


class StandInSession(TrainingSession):
    """`TrainingSession` with a stand-in for the trainer."""

    def log(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def make_trainer(self, on_epoch: OnEpoch, resume: Path | None) -> StandInTrainer:
        trainer = StandInTrainer(self.task.job, self.task.point, self.folder, on_epoch, resume)
        trainer.alone = self.task.alone
        return trainer


def _node() -> str:
    """Returns the node of the cluster that this process runs on."""
    ray = sys.modules.get("ray")
    return str(ray.get_runtime_context().get_node_id()) if ray is not None and ray.is_initialized() else "none"
