"""A training that runs ahead: while an epoch is evaluated and saved, the next one trains.

A third of an epoch on a CPU is no training: val and train split, the checkpoint, the answer of the driver. Where a core
is to spare, copies of the process do these things (`forks.py`). When the last batch of an epoch is
trained, a copy does what follows in Ultralytics' loop, as the training stands then: it evaluates, saves, reports,
obeys, and ends. The process itself trains on. If the answer is not to go on, what it has trained since is thrown away:
no number, no file and no checkpoint knows of it. In the end a copy evaluates best.pt and draws the curves.

- Every number is that of a training which waits (`tests/integration/test_ahead.py`): the copy has its weights, random
  numbers and optimizer, and what a validation draws from Python's generator is drawn in the process that trains, too.
- One epoch at a time: it is in the record, and its copy has ended, before the next one is handed over.
- The first epoch is evaluated in the process itself, so that what validation makes once is there for all copies; it
  tells how many random numbers a validation draws. So is the last one.
- If the copy of an epoch is killed, nobody else has that epoch, and the training ends with `forks.CopyKilled`.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from yolotune import draws, forks
from yolotune.job import Job, Order
from yolotune.record import Ending
from yolotune.space import Point
from yolotune.trainer import OnEpoch, TrialTrainer

#: Numbers that a validation may draw for each of its images; Ultralytics draws one (`Format`, for `bgr`).
DRAWS = 4
#: Seconds, beside twenty times what an evaluation takes, that a copy may need for its work.
PATIENCE_S = 300.0


def possible(job: Job) -> bool:
    """Returns whether a training of this job can run ahead here."""
    return job.ahead and job.device == "cpu" and forks.available


@dataclass(frozen=True)
class _Report:
    """What a copy says once it has evaluated its epoch."""

    row: dict[str, Any]
    last: bool
    ending: Ending | None


@dataclass(frozen=True)
class _Left:
    """What a copy says at its end: the attributes that its epoch has changed in the training."""

    of_trainer: dict[str, Any]
    of_stopper: dict[str, Any]


class _Handover:
    """An epoch that a copy has, as seen by the process that trains on."""

    def __init__(self, epoch: int, pid: int, line: Connection, on_epoch: OnEpoch, seconds: float) -> None:
        self.epoch = epoch
        self.order = Order.GO
        self.ending: Ending | None = None
        self.changed: _Left | None = None
        self.error: BaseException | None = None
        self._pid, self._line, self._on_epoch, self._seconds = pid, line, on_epoch, seconds
        self._thread = threading.Thread(target=self._listen, name=f"epoch-{epoch + 1}")
        self._thread.start()

    @property
    def stops(self) -> bool:
        """Whether it is known already that the training ends with this epoch."""
        return self.order is not Order.GO or self.ending is not None or self.error is not None

    def join(self) -> None:
        self._thread.join()

    def _listen(self) -> None:
        """Hands over the copy's report and gives it the answer, until it ends."""
        try:
            while not isinstance(said := forks.take(self._line, self._seconds), _Left):
                order = self._on_epoch(said.row, said.last)
                forks.send(self._line, order)
                self.order, self.ending = order, said.ending
            self.changed = said
        except BaseException as error:  # raised where the training looks for the result
            self.error = error
        finally:
            self._line.close()
            forks.end(self._pid)


class AheadTrainer(TrialTrainer):
    """Trains one point as `TrialTrainer` does, in less time."""

    def __init__(self, job: Job, point: Point, folder: Path, on_epoch: OnEpoch, resume: Path | None = None) -> None:
        self._before: _Handover | None = None  # the epoch before, where a copy has it
        self._line: Connection | None = None  # in such a copy: to the process that trains on
        self._copy_seconds = 0.0
        self._over = False
        self._passed_on = False
        self._draws: int | None = None
        self._evaluation_s = 60.0
        self._evaluating: forks.Aside | None = None
        self._drawing: forks.Aside | None = None
        super().__init__(job, point, folder, on_epoch, resume)

    def _do_train(self) -> None:
        try:
            super()._do_train()
        except BaseException as error:
            if self._line is not None:
                forks.leave(self._line, error)
            if not isinstance(error, Exception) or not self._ended_before():
                raise
            self.final_eval()
            if self.args.plots:
                self.plot_metrics()

    def _ended_before(self) -> bool:
        """Whether the epoch that failed was not asked for: the training had ended with the one before."""
        self._settle()
        return self._over

    # --- the end of an epoch, where it is someone else's ---------------------------------------------------------

    def validate(self) -> tuple[dict[str, float], float]:
        self._settle()
        if not self._over and not self._passes_on():
            before, began = draws.random_state(), time.monotonic()
            found = super().validate()
            if self._line is None:
                most = DRAWS * len(self.test_loader.dataset)
                self._draws = draws.between(before, draws.random_state(), most)
                self._evaluation_s = time.monotonic() - began
            return found
        self._passed_on = True
        return self.metrics, self.fitness

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return False if self._passed_on else super()._handle_nan_recovery(epoch)

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        if not self._passed_on:
            super().save_metrics(metrics)

    def save_model(self) -> bool:
        return False if self._passed_on else super().save_model()

    def run_callbacks(self, event: str) -> None:
        if event == "on_fit_epoch_end" and self._passed_on:
            self._passed_on = False
            return
        super().run_callbacks(event)
        if event == "on_train_batch_end" and self._before is not None and self._before.stops:
            self.stop = True  # leaves the epoch that nobody asked for
        if event == "on_fit_epoch_end" and self._line is not None:
            self._leave(self._line)

    # --- in the process that trains ------------------------------------------------------------------------------

    def _passes_on(self) -> bool:
        """Whether a copy of this process has the epoch; in the copy itself, it has not."""
        if self._draws is None or self.epoch + 1 >= self.epochs or self.args.patience or self.args.time:
            return False
        seconds = time.monotonic() - self._epoch_began
        pid, line = forks.fork()
        if pid == 0:
            self._line, self._copy_seconds, self._on_epoch = line, seconds, self._ask
            return False
        self._epoch_began += seconds
        draws.skip(self._draws)
        self._before = _Handover(self.epoch, pid, line, self._on_epoch, self._patience())
        return True

    def _settle(self) -> None:
        """Waits until the epoch before is in the record, and takes over what it changed."""
        before, self._before = self._before, None
        if before is None:
            return
        before.join()
        if before.error is not None:
            raise before.error
        assert before.changed is not None
        for owner, changed in ((self, before.changed.of_trainer), (self.stopper, before.changed.of_stopper)):
            for name, value in changed.items():
                setattr(owner, name, value)
        if before.stops:
            self._over = self.stop = True
            self._leaving = before.order is Order.LEAVE
            self.epoch, self.ending = before.epoch, before.ending

    # --- in the copy that has an epoch ---------------------------------------------------------------------------

    def _seconds(self) -> float:
        """What the training of the epoch took; its evaluation takes no time of the training's."""
        return super()._seconds() if self._line is None else self._copy_seconds

    def _ask(self, row: dict[str, Any], last: bool) -> Order:
        assert self._line is not None
        forks.send(self._line, _Report(row, last, self.ending))
        order: Order = forks.take(self._line)
        return order

    def _leave(self, line: Connection) -> NoReturn:
        changed = {name: getattr(self, name) for name in ("metrics", "fitness", "best_fitness")}
        forks.leave(line, _Left(changed, dict(vars(self.stopper))))

    # --- evaluation of best.pt, curves ---------------------------------------------------------------------------

    def plot_training_labels(self) -> None:
        if _can_draw():
            self._drawing = forks.Aside(super().plot_training_labels)
        else:
            super().plot_training_labels()

    def final_eval(self) -> None:
        if _can_draw() and not self._leaving:
            self._evaluating = forks.Aside(self._evaluate_and_draw)
        else:
            super().final_eval()

    def plot_metrics(self) -> None:
        if self._evaluating is None:
            super().plot_metrics()

    def _evaluate_and_draw(self) -> dict[str, float]:
        super().final_eval()
        if self.args.plots:
            super().plot_metrics()
        return self.final

    def close(self) -> None:
        """Waits until best.pt is evaluated and all curves are drawn.

        Raises:
            CopyKilled: Who did it was killed.
        """
        if self._drawing is not None:
            self._drawing.result(self._patience())
        if self._evaluating is not None:
            self.final = self._evaluating.result(self._patience())

    def _patience(self) -> float:
        """Returns the seconds after which a copy that says nothing is taken for dead."""
        return PATIENCE_S + 20 * self._evaluation_s


def _can_draw() -> bool:
    """Returns whether a copy can draw: Ultralytics' plots use polars, whose threads, once there, are not in a copy."""
    return "polars" not in sys.modules
