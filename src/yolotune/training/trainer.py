"""What a trial changes of an Ultralytics trainer, whatever the task. Importing it imports torch and Ultralytics.

- `best.pt` follows the objective; Ultralytics' follows box plus mask mAP50-95.
- Every epoch is reported once, with the guide's names, val and train split; the final evaluation is not an epoch.
- What is validated is what is saved: the EMA weights rounded to the half precision of `best.pt`, so that a reported
  number is the number of the checkpoint.
- NaN and Inf end the training at that epoch; Ultralytics would go back to last.pt up to three times.
- No integration (Ray, W&B, ClearML, ...) acts; labels come from the study's index, not from `labels.cache`.
- It can be told to stop after any epoch and then leaves its loop as at the last one: final evaluation, curves. Or to
  leave at once, to be resumed from last.pt.
- A checkpoint counts from the moment its epoch is in the record (`record/checkpoint.py`).
- A training that is left continues number by number (`resume_state.py`).

It knows nothing of Ray, so it also trains by itself. `ultralytics_api.py` lists what of Ultralytics it relies on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ultralytics.utils import LOGGER

from yolotune import metrics
from yolotune.config.space import Point
from yolotune.record import checkpoint
from yolotune.record.verdict import Ending, Verdict
from yolotune.training.curves import DrawnCurves
from yolotune.training.datasets import StudyData
from yolotune.training.drawing import Curves
from yolotune.training.job import Job, Order
from yolotune.training.layout import ChannelsLast
from yolotune.training.resume_state import ExactResume, preserved_random_state
from yolotune.training.saving import RoundedWeights, drop_results_from, save_checkpoint, strip
from yolotune.training.validator import Evaluation, TrialValidation

#: Receives each epoch report and, with the last one, why the training ends by itself. When it returns, the report is in
#: the record.
OnEpoch = Callable[[dict[str, Any], Ending | None], Order]

#: How often Ultralytics halves a batch before it gives up (`BaseTrainer._do_train`).
OOM_RETRIES = 3

#: Arguments that are the same for all trials, or a place: they say nothing about what a trial trains with.
UNCOMPARED = frozenset({"task", "mode", "model", "data", "device", "save_dir", "workers"})


class TrialTraining(DrawnCurves, StudyData, ChannelsLast, ExactResume):
    """Mixin of an Ultralytics trainer: trains one point of a study.

    Attributes:
        validator_class: The task's validator with `TrialValidation`; set by each task.
        metric_parts: Attributes of that validator's `metrics` with scores; `seg` is `seg_metrics` in the record. Set by
            each task.
        halves_batch: Whether a batch that does not fit in the first epoch is halved, as Ultralytics does.
        ending: Why it ended by itself, once it has: completed, diverged or plateaued (Ultralytics' own patience).
        final: The scores of `best.pt`, once the training has ended.
        final_f1: Its F1 by class, of the classes with labels in val, of the first of `metric_parts`.
        best_evaluation: The validation of the weights in `best.pt`; None where it was in another process.
    """

    validator_class: ClassVar[type[TrialValidation]]
    metric_parts: ClassVar[tuple[str, ...]]
    wdir: Path
    last: Path
    best: Path
    best_fitness: float | None

    def __init__(self, job: Job, point: Point, folder: Path, on_epoch: OnEpoch, resume: Path | None = None) -> None:
        self.job = job
        self.halves_batch = True
        self.ending: Ending | None = None
        self.final: dict[str, float] = {}
        self.final_f1: dict[str, float] = {}
        self.curves = Curves()
        self.rounded_weights = RoundedWeights()
        self.best_evaluation: Evaluation | None = None
        self._point = point
        self._on_epoch = on_epoch
        self._row: dict[str, Any] = {}
        self._train_validator: TrialValidation | None = None
        self._in_final_eval = False
        self._leaving = False
        self._asked = job.arguments(point, folder)
        overrides = dict(self._asked)
        if resume:
            overrides["resume"] = str(resume)
            overrides.pop("batch", None)  # the checkpoint knows the one that fitted the memory
        super().__init__(overrides=overrides)
        self._keep_weights_in(folder / "weights")
        torch.set_num_threads(job.threads)  # select_device took every core but one

    def _keep_weights_in(self, folder: Path) -> None:
        """Moves the weights out of the curves' folder, where `BaseTrainer.__init__` put them."""
        if self.wdir.is_dir():
            self.wdir.rmdir()
        folder.mkdir(parents=True, exist_ok=True)
        self.wdir, self.last, self.best = folder, *(folder / name for name in ("last.pt", "best.pt"))

    def finish(self, trained: int) -> None:
        """Ends a training that was left and is not continued: evaluates best.pt and draws the curves.

        Args:
            trained: Epochs that it had trained.
        """
        self.resume = False  # its model is needed, its optimizer is not
        self._setup_train()
        self.epoch = trained - 1
        self.final_eval()
        if self.args.plots:
            self.plot_metrics()
        for loader in (self.train_loader, self.test_loader):
            loader.close()

    def get_validator(self) -> TrialValidation:
        args = {**vars(self.args), "plots": False}
        validator = self.validator_class(self.test_loader, save_dir=self.save_dir, args=args)
        validator.keeps = bool(self.args.plots) and self.draws
        return validator

    # --- one epoch -----------------------------------------------------------------------------------------------

    def validate(self) -> tuple[dict[str, float], float]:
        """Measures the val split and the train subset; the fitness that `best.pt` follows is the objective.

        The training does not notice: what evaluations draw from random generators is put back.
        """
        with preserved_random_state():
            found = self.validator(self)
            scores = self.validator.scores(self.metric_parts) | self._measure_train_subset()
        found.pop("fitness", None)
        rates = {name: round(float(rate), 8) for name, rate in self.lr.items()}
        self._row = {"epoch": self.epoch + 1, **rates, **scores, **self._losses(found)}
        if self.job.objective is not None:
            self._row[self.job.metric] = float(self.job.objective(dict(self._row)))
        value = self._row[self.job.metric]
        fitness = value if self.job.mode == "max" else -value
        if metrics.is_finite(fitness) and (self.best_fitness is None or fitness > self.best_fitness):
            self.best_fitness = fitness
        return found, fitness

    def _losses(self, found: dict[str, float]) -> dict[str, float]:
        """Returns val and train losses by the guide's names; `sem` only where the model has such a loss (YOLO26)."""
        train = self.label_loss_items(self.tloss)
        losses = {name: value for name, value in found.items() if name.startswith("val/")}
        losses |= {name.removesuffix("_loss"): value for name, value in train.items()}
        unused = ("val/sem_loss", "train/sem") if not train.get("train/sem_loss") else ()
        return {name: float(value) for name, value in losses.items() if name not in unused}

    def _measure_train_subset(self) -> dict[str, float]:
        """Returns the scores of the EMA weights on clean training images."""
        if self.job.train_subset is None:
            return {}
        if self._train_validator is None:
            loader = self.get_dataloader(str(self.job.train_subset), rank=-1, mode="val")
            args = {**vars(self.args), "plots": False, "save_json": False, "save_txt": False}
            self._train_validator = self.validator_class(loader, save_dir=self.save_dir, args=args)
        self._train_validator(self)
        return self._train_validator.scores(self.metric_parts, "train_")

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Ends a training whose numbers are not finite; called right after validation. Never repeats an epoch."""
        wrong = [name for name, value in self._row.items() if isinstance(value, float) and not np.isfinite(value)]
        if self.loss is not None and not bool(self.loss.isfinite()):
            wrong.insert(0, "the loss")
        if wrong:
            self.ending = Ending(Verdict.DIVERGED, f"{', '.join(wrong)} not finite at epoch {epoch + 1}")
            self.stop = True
        return False

    def save_model(self) -> bool:
        """Saves last.pt and best.pt where they wait for the record, but not the weights of a diverged epoch."""
        if self._diverged:
            return False
        waiting = checkpoint.pending(self.wdir)
        waiting.mkdir(exist_ok=True)
        best = self.best_fitness == self.fitness
        if self.args.quantize == 8 or self.save_period > 0:
            self._save_more(waiting)
        else:
            save_checkpoint(self, waiting, best=best)
        if best and (self.validator.keeps or not self.args.plots):
            self.best_evaluation = self.validator.release(self.metrics)
        checkpoint.mark(self.wdir, self.epoch + 1)
        return True

    def _save_more(self, waiting: Path) -> None:
        """Saves as Ultralytics does: with what quantizes the weights, and a file every `save_period` epochs."""
        counted = self.last, self.best
        self.last, self.best = waiting / "last.pt", waiting / "best.pt"
        try:
            super().save_model()
        finally:
            self.last, self.best = counted

    @property
    def _diverged(self) -> bool:
        return self.ending is not None and self.ending.verdict is Verdict.DIVERGED

    def run_callbacks(self, event: str) -> None:
        """Runs the callbacks of the study and what a trial does at an event, and no integration."""
        super().run_callbacks(event)
        if event == "on_train_start":
            self._check_arguments()
            drop_results_from(self.csv, self.start_epoch + 1)
            self._epoch_began = time.monotonic()
        elif event == "on_train_epoch_start":
            if not self.halves_batch:
                self._oom_retries = OOM_RETRIES  # as if it had been halved as often as it may be
            if self.resume:
                self.resume = False  # this once
                self.restore_state(self.wdir / checkpoint.STATE)
        elif event == "on_train_end" and self._leaving:
            return  # it continues another time
        for callback in self.job.callbacks.get(event, ()):
            callback(self)
        if event == "on_fit_epoch_end" and not self._in_final_eval:
            self._report()  # after the callbacks, which may stop the training

    def _report(self) -> None:
        """Hands over the epoch report and obeys the answer."""
        row = {**self._row, "seconds": round(time.monotonic() - self._epoch_began, 3)}
        if self._diverged:
            row[self.job.metric] = float("nan")  # no checkpoint holds these weights, so the epoch has no value
        if self.stop and self.ending is None:
            self.ending = self._own_ending()
        order = self._on_epoch(row, self.ending)
        checkpoint.commit(self.wdir)
        if order is not Order.GO:
            self.stop = True
        self._leaving = order is Order.LEAVE
        if self._leaving:
            self.save_state(self.wdir / checkpoint.STATE)
        self._epoch_began = time.monotonic()  # waiting for the answer is not training

    def _own_ending(self) -> Ending:
        """Returns why the training ends without having been told to."""
        if self.epoch + 1 >= self.epochs:
            return Ending(Verdict.COMPLETED, f"all {self.epochs} epochs")
        best = self.stopper.best_epoch
        if self.epoch + 1 - best >= self.stopper.patience:
            return Ending(
                Verdict.PLATEAUED, f"Ultralytics' patience={self.args.patience}: no better epoch since {best}"
            )
        return Ending(Verdict.PLATEAUED, f"a callback stopped it at epoch {self.epoch + 1}")

    # --- begin and end -------------------------------------------------------------------------------------------

    def effective(self) -> dict[str, Any]:
        """Returns the arguments that became something else than was asked, such as a batch halved to fit the memory."""
        now = vars(self.args)
        return {k: now.get(k) for k, v in self._asked.items() if k not in UNCOMPARED and now.get(k) != v}

    def _check_arguments(self) -> None:
        """Makes sure that what is trained is what was sampled.

        Raises:
            RuntimeError: An argument of the point is not what Ultralytics trains with.
        """
        allowed = {"batch"} if self.resume else set()  # it may have been halved in the epochs before
        changed = {name: value for name, value in self.effective().items() if name in self._point.keys() - allowed}
        if changed:
            raise RuntimeError(f"Ultralytics trains with {changed} instead of the sampled values.")

    def final_eval(self) -> None:
        """Ends with the numbers and curves of best.pt; the extra `on_fit_epoch_end` in it is no epoch."""
        if self._leaving:
            return
        self._in_final_eval = True
        known = self.best_evaluation
        for path in (self.best,) if known and not self.job.keep_last else (self.best, self.last):
            if path.exists():
                strip(path, self.read_results_csv())
        if known is None:
            super().final_eval()
        else:
            self._take_over(known)
        if self.best.exists():
            self.final = self.validator.scores(self.metric_parts)
            self.final_f1 = self.validator.f1_by_class(self.metric_parts[0], self.data["names"])
        checkpoint.close(self.wdir, self.epoch + 1, keep_last=self.job.keep_last)
        if self._train_validator is not None and hasattr(self._train_validator.dataloader, "close"):
            self._train_validator.dataloader.close()

    def _take_over(self, known: Evaluation) -> None:
        """Does what `BaseTrainer.final_eval` does once best.pt is validated, with what is known of its epoch."""
        self.validator.metrics, self.validator.training = known.metrics, False
        LOGGER.info(f"\n{self.best}:\n{self.validator.get_desc()}")
        self.validator.print_results()
        if self.args.plots:
            self.draw_evaluation(known)
        self.metrics = known.found
        self.epoch += 1
        self.run_callbacks("on_fit_epoch_end")
        self.epoch -= 1

    def plot_metrics(self) -> None:
        if self.csv.exists() and not self._leaving:
            super().plot_metrics()
