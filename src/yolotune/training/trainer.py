"""The Ultralytics trainer of one trial. Importing this module imports torch and Ultralytics; `job.isolate` comes first.

What it changes, and why:

- `best.pt` follows the objective; Ultralytics' follows box plus mask mAP50-95.
- Every epoch is reported once, with the guide's names, val and train split; the final evaluation is not an epoch.
- What is validated is what is saved: the EMA weights rounded to the half precision of `best.pt`, so that a reported
  number is the number of the checkpoint.
- NaN and Inf end the training at that epoch; Ultralytics would go back to last.pt up to three times.
- No integration (Ray, W&B, ClearML, ...) acts; labels come from the study's index, not from `labels.cache`.
- It can be told to stop after any epoch and then leaves its loop as at the last one: final evaluation, curves. Or to
  leave at once, to be resumed from last.pt.
- A checkpoint counts from the moment its epoch is in the record (`checkpoint.py`).
- A training that is left goes on number by number (`exact.py`).

It knows nothing of Ray, so it also trains by itself (benchmarks).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.data import build_dataloader
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.utils.torch_utils import unwrap_model

from yolotune import metrics
from yolotune._yaml import read_yaml
from yolotune.config.space import Point
from yolotune.data.dataset import indexed_dataset_class
from yolotune.record import checkpoint
from yolotune.record.study import Ending, Verdict
from yolotune.training import resume_state as exact
from yolotune.training.job import Job, Order
from yolotune.training.validator import RoundedWeights, TrialValidator

#: Told each epoch report, and whether the training ends here anyway; when it answers, the report is in the record.
OnEpoch = Callable[[dict[str, Any], bool], Order]


class TrialTrainer(SegmentationTrainer):
    """Trains one point.

    Attributes:
        ending: Why it ended by itself, once it has: completed, diverged or plateaued (Ultralytics' own patience).
        final: The five numbers of masks and boxes of `best.pt`, once it was evaluated.
    """

    wdir: Path
    last: Path
    best: Path
    best_fitness: float | None

    def __init__(self, job: Job, point: Point, folder: Path, on_epoch: OnEpoch, resume: Path | None = None) -> None:
        self.job = job
        self._on_epoch = on_epoch
        self._scores: dict[str, float] = {}
        self._train_validator: TrialValidator | None = None
        self.rounded_weights = RoundedWeights()
        self._in_final_eval = False
        self._leaving = False
        self._accumulate = 1
        self._steps_forgotten = 0
        self.batches_since_step = 0
        self.ending: Ending | None = None
        self.final: dict[str, float] = {}
        self._asked = job.arguments(point, folder)
        self._point = point
        super().__init__(overrides={**self._asked, **({"resume": str(resume)} if resume else {})})
        self._keep_weights_in(folder / "weights")
        torch.set_num_threads(job.threads)  # select_device took every core but one

    def _keep_weights_in(self, folder: Path) -> None:
        """Moves the weights out of the curves' folder, where `BaseTrainer.__init__` put them."""
        if self.wdir.is_dir():
            self.wdir.rmdir()
        folder.mkdir(parents=True, exist_ok=True)
        self.wdir, self.last, self.best = folder, *(folder / name for name in ("last.pt", "best.pt"))

    def finish(self, trained: int) -> None:
        """Ends a training that was left to go on and does not: evaluates best.pt and draws the curves.

        Args:
            trained: Epochs that it had trained.
        """
        self.resume = False  # its model is needed, its optimizer is not
        self.args.cache = False
        self._setup_train()
        self.epoch = trained - 1
        self.final_eval()
        if self.args.plots:
            self.plot_metrics()
        for loader in (self.train_loader, self.test_loader):
            loader.close()

    def close(self) -> None:
        """Waits for what `train` or `finish` left to others; here, they did it all."""

    # --- data ----------------------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Returns the resolved dataset without Ultralytics' check, which can download and run code."""
        data = read_yaml(self.job.data)
        names = {0: "item"} if self.args.single_cls else {int(k): str(v) for k, v in data["names"].items()}
        return {
            **data,
            "names": names,
            "nc": len(names),
            "channels": data.get("channels", 3),
            "path": self.job.data.parent,
        }

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        """Builds what `ultralytics.data.build_yolo_dataset` would, on the study's label index."""
        train = mode == "train"
        from_train_split = train or img_path == str(self.job.train_subset)
        args = self.args
        return indexed_dataset_class(self.job.indexes["train" if from_train_split else "val"])(
            img_path=img_path,
            imgsz=args.imgsz,
            batch_size=batch,
            augment=train,
            hyp=args,
            rect=args.rect or not train,
            cache=args.cache or None,
            single_cls=args.single_cls or False,
            stride=max(int(unwrap_model(self.model).stride.max()), 32),
            pad=0.0 if train else 0.5,
            prefix=f"{mode}: ",
            task=args.task,
            classes=args.classes,
            data=self.data,
            fraction=args.fraction if train else 1.0,
        )

    @property
    def accumulate(self) -> int:
        """Batches whose gradients make one step of the optimizer, as the training loop may compare them.

        The loop holds it against the batches since the last step, and believes in a resumed training that this was
        before the first batch of all.
        """
        return self._accumulate + self._steps_forgotten

    @accumulate.setter
    def accumulate(self, batches: int) -> None:
        self._accumulate = batches

    def optimizer_step(self) -> None:
        super().optimizer_step()
        self._steps_forgotten = self.batches_since_step = 0

    def get_validator(self) -> TrialValidator:
        return TrialValidator(self.test_loader, save_dir=self.save_dir, args=copy(self.args))

    def _build_train_pipeline(self) -> None:
        """Builds it, for the first time or for a batch halved by a lack of memory, with which the epoch begins anew."""
        self._steps_forgotten = self.batches_since_step = 0
        super()._build_train_pipeline()

    # --- one epoch -----------------------------------------------------------------------------------------------

    def validate(self) -> tuple[dict[str, float], float]:
        """Measures the val split and the train subset; the fitness that `best.pt` follows is the objective."""
        found = self.validator(self)
        found.pop("fitness", None)
        measured = self.validator.metrics
        self._scores = metrics.evaluation(measured.seg, "seg_metrics") | metrics.evaluation(measured.box, "box_metrics")
        self._scores |= self._measure_train_subset()
        losses = self._losses(found)
        value = {**self._scores, **losses}[self.job.metric]
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
        """Returns the scores of the EMA weights on clean training images; the training does not notice it."""
        if self.job.train_subset is None:
            return {}
        with exact.random_state_kept():
            if self._train_validator is None:
                batch = self.batch_size * 2  # as for the val split
                dataset = self.build_dataset(str(self.job.train_subset), mode="val", batch=batch)
                loader = build_dataloader(
                    dataset, batch=batch, workers=self.args.workers, shuffle=False, rank=-1, device=self.device
                )
                args = {**vars(copy(self.args)), "plots": False, "save_json": False, "save_txt": False}
                self._train_validator = TrialValidator(loader, save_dir=self.save_dir, args=args)
            self._train_validator(self)
        measured = self._train_validator.metrics
        return metrics.evaluation(measured.seg, "train_seg_metrics") | metrics.evaluation(
            measured.box, "train_box_metrics"
        )

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Ends a training whose numbers are no numbers; called right after validation. Never repeats an epoch."""
        wrong = [name for name, value in self._row().items() if isinstance(value, float) and not np.isfinite(value)]
        if self.loss is not None and not bool(self.loss.isfinite()):
            wrong.insert(0, "the loss")
        if wrong:
            self.ending = Ending(Verdict.DIVERGED, f"{', '.join(wrong)} not finite at epoch {epoch + 1}")
            self.stop = True
        return False

    def save_model(self) -> bool:
        """Saves last.pt and best.pt where they wait for the record, but not the weights of a diverged epoch."""
        if self.ending is not None and self.ending.verdict is Verdict.DIVERGED:
            return False
        counted = self.last, self.best
        waiting = checkpoint.pending(self.wdir)
        waiting.mkdir(exist_ok=True)
        self.last, self.best = waiting / "last.pt", waiting / "best.pt"
        try:
            saved = bool(super().save_model())
        finally:
            self.last, self.best = counted
        checkpoint.mark(self.wdir, self.epoch + 1)
        return saved

    def _row(self) -> dict[str, Any]:
        """Returns the epoch report as it is known after validation, without its seconds."""
        return {
            "epoch": self.epoch + 1,
            **{name: round(float(rate), 8) for name, rate in self.lr.items()},
            **self._scores,
            **self._losses(self.metrics),
        }

    def run_callbacks(self, event: str) -> None:
        """Runs what a trial does at an event, and no integration."""
        if event == "on_train_start":
            self._check_arguments()
            self._forget_results_from(self.start_epoch + 1)
            self._epoch_began = time.monotonic()
        elif event == "on_train_epoch_start" and self.resume:
            self.resume = False  # this once
            if exact.restore(self, self.wdir / checkpoint.STATE):
                self._steps_forgotten = len(self.train_loader) * self.start_epoch - self.batches_since_step
        elif event == "on_train_batch_start":
            self.batches_since_step += 1
        elif event == "on_fit_epoch_end" and not self._in_final_eval:
            self._report()

    def _report(self) -> None:
        """Hands over the epoch report and obeys the answer."""
        row = {**self._row(), "seconds": round(self._seconds(), 3)}
        last = bool(self.stop)
        if self.ending is not None and self.ending.verdict is Verdict.DIVERGED:
            row[self.job.metric] = float("nan")  # no checkpoint holds these weights, so the epoch has no value
        if last and self.ending is None:
            self.ending = self._natural_ending()
        order = self._on_epoch(row, last)
        checkpoint.commit(self.wdir)
        if order is not Order.GO:
            self.stop = True
        self._leaving = order is Order.LEAVE
        if self._leaving:
            exact.save(self, self.wdir / checkpoint.STATE)
        self._epoch_began = time.monotonic()  # waiting for the answer is not training

    def _seconds(self) -> float:
        """Returns how long the epoch that ends now has taken."""
        return time.monotonic() - self._epoch_began

    def _natural_ending(self) -> Ending:
        if self.epoch + 1 >= self.epochs:
            return Ending(Verdict.COMPLETED, f"all {self.epochs} epochs")
        reason = f"Ultralytics' patience={self.args.patience}: no better epoch since {self.stopper.best_epoch}"
        return Ending(Verdict.PLATEAUED, reason)

    def _forget_results_from(self, epoch: int) -> None:
        """Drops from results.csv the epochs that are trained again after a crash."""
        if not self.csv.exists():
            return
        head, *rows = self.csv.read_text().splitlines(keepends=True)
        self.csv.write_text(head + "".join(row for row in rows if int(row.split(",", 1)[0]) < epoch))

    # --- begin and end -------------------------------------------------------------------------------------------

    def _check_arguments(self) -> None:
        """Makes sure that what is trained is what was sampled.

        Raises:
            RuntimeError: An argument of the point is not what Ultralytics trains with.
        """
        changed = {name: value for name, value in self.effective().items() if name in self._point}
        if changed:
            raise RuntimeError(f"Ultralytics trains with {changed} instead of the sampled values.")

    def effective(self) -> dict[str, Any]:
        """Returns the arguments that became something else than was asked, such as a batch halved to fit the memory."""
        ours = {"task", "mode", "model", "data", "device", "save_dir", "workers"}
        now = vars(self.args)
        return {k: now.get(k) for k, v in self._asked.items() if k not in ours and now.get(k) != v}

    def final_eval(self) -> None:
        """Evaluates best.pt and draws the curves; the extra `on_fit_epoch_end` in it is no epoch."""
        if self._leaving:
            return
        self._in_final_eval = True
        super().final_eval()
        if self.best.exists():
            measured = self.validator.metrics
            self.final = metrics.evaluation(measured.seg, "seg_metrics") | metrics.evaluation(
                measured.box, "box_metrics"
            )
        checkpoint.close(self.wdir, self.epoch + 1, keep_last=self.job.keep_last)
        if self._train_validator is not None and hasattr(self._train_validator.dataloader, "close"):
            self._train_validator.dataloader.close()

    def plot_metrics(self) -> None:
        if self.csv.exists() and not self._leaving:
            super().plot_metrics()
