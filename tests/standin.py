"""A trial that trains nothing: the engine, the record and every rule are the real ones, an epoch is one number.

`python tests/standin.py run study.yaml` is the whole command line with it. STANDIN_EPOCH_S is the length of an epoch in
seconds; STANDIN_FILL a size in bytes for last.pt; STANDIN_OOM an epoch after which the memory is full; STANDIN_JUDGED a
file that gets a line for every report that ASHA judges, in the order in which it does.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from yolotune.config.space import Point
from yolotune.record import checkpoint
from yolotune.record.study import Ending, Verdict
from yolotune.schedulers.asha import Cut
from yolotune.schedulers.plateau import Asha
from yolotune.schedulers.ranking import GAINS, Standing
from yolotune.training.job import Job, Order
from yolotune.training.session import Training
from yolotune.tuner.trainable import Trial

if TYPE_CHECKING:
    from yolotune.training.trainer import OnEpoch


class StandInTrainer:
    """Keeps to what `TrialTrainer` promises: pending checkpoints, one report an epoch, the objective in best.pt."""

    def __init__(self, job: Job, point: Point, folder: Path, on_epoch: OnEpoch, resume: Path | None) -> None:
        self.ending: Ending | None = None
        self.final: dict[str, float] = {}
        self._job = job
        self._point = point
        self._weights = folder / "weights"
        self._on_epoch = on_epoch
        self._epoch = int(resume.read_text().split()[0]) if resume else 0
        with open(folder / "train.log", "a", encoding="utf-8") as log:
            node = ray.get_runtime_context().get_node_id()
            log.write(f"process {os.getpid()} from epoch {self._epoch + 1} at {time.time()} on {node}\n")

    def train(self) -> None:
        while self._epoch < self._job.epochs:
            time.sleep(float(os.environ.get("STANDIN_EPOCH_S", "0.02")))
            if os.environ.get("STANDIN_OOM") == str(self._epoch):
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            self._epoch += 1
            self._save()
            last = self._epoch == self._job.epochs
            if last:
                self.ending = Ending(Verdict.COMPLETED, f"all {self._epoch} epochs")
            order = self._on_epoch(self._row(), last)
            checkpoint.commit(self._weights)
            if order is Order.LEAVE:
                return
            if order is Order.STOP:
                break
        checkpoint.close(self._weights, self._epoch, keep_last=self._job.keep_last)

    def finish(self, trained: int) -> None:
        with open(self._weights.parent / "train.log", "a", encoding="utf-8") as log:
            log.write(f"finish {trained}\n")
        checkpoint.close(self._weights, trained, keep_last=self._job.keep_last)

    def close(self) -> None: ...

    def effective(self) -> dict[str, Any]:
        return {}

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
        losses = dict.fromkeys(GAINS, 3.0 - 2.0 * height * (1 - math.exp(-self._epoch / 2)))
        scores = {"seg_metrics/F1": value, "train_seg_metrics/F1": value + 0.05}
        return {"epoch": self._epoch, **scores, **losses, "seconds": 0.02}


class StandInTraining(Training):
    """`training.Training` with a stand-in for the trainer."""

    def log(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def make_trainer(self, on_epoch: OnEpoch, resume: Path | None) -> StandInTrainer:
        return StandInTrainer(self._job, self._point, self._folder, on_epoch, resume)


class StandIn(Trial):
    """`trial.Trial` with stand-ins for trainings."""

    training = StandInTraining


class JudgedAsha(Asha):
    """`schedule.Asha` that writes down what it judges; what a resume reads back from the record was judged before."""

    rebuilding = False

    def rebuild(self, trials: Iterable[tuple[int, Point, Sequence[Mapping[str, Any]]]]) -> None:
        self.rebuilding = True
        super().rebuild(trials)
        self.rebuilding = False

    def judge(self, number: int, epoch: int, value: Any, early: Standing = ()) -> Cut | None:
        new = epoch > self._epoch.get(number, 0)
        cut = super().judge(number, epoch, value, early)
        if new and not self.rebuilding:
            with open(os.environ["STANDIN_JUDGED"], "a", encoding="utf-8") as file:
                file.write(json.dumps([number, epoch, value, early, cut is not None]) + "\n")
        return cut


def main() -> None:
    """The command line, with stand-ins for trials."""
    from yolotune.cli import commands as cli
    from yolotune.schedulers import plateau as schedule
    from yolotune.tuner import runner as engine

    if "STANDIN_JUDGED" in os.environ:
        schedule.Asha = JudgedAsha  # type: ignore[misc]
    engine.run = functools.partial(engine.run, trainable=StandIn)  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    import standin  # by its own name, so that Ray's workers import it too

    standin.main()
