"""Which pictures a trial draws, and from what. Importing this module imports torch and Ultralytics.

Ultralytics draws while it trains and evaluates best.pt once more for its curves. A trial draws the same pictures from
what it kept of the best epoch.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import torch
from ultralytics.engine.trainer import BaseTrainer

from yolotune.training.drawing import Curves
from yolotune.training.figures import PREFIXES
from yolotune.training.validator import PICTURES, Evaluation, TrialValidation

#: Tasks whose pictures are known here; the others draw theirs as Ultralytics does.
TASKS = frozenset({"detect", "segment"})
#: Images that Ultralytics shows of a batch at most.
IMAGES_SHOWN = 16


class DrawnCurves(BaseTrainer):
    """Mixin of an Ultralytics trainer: hands its pictures over to be drawn.

    Attributes:
        curves: The pictures of this training.
    """

    curves: Curves
    validator: TrialValidation

    @property
    def draws(self) -> bool:
        """Whether the pictures of this task are known."""
        return self.args.task in TASKS

    def plot_training_labels(self) -> None:
        if not self.draws:
            super().plot_training_labels()
            return
        found = self.train_loader.dataset.labels
        boxes, classes = (np.concatenate([one[name] for one in found], 0) for name in ("bboxes", "cls"))
        names = self.data["names"]
        self.curves.draw("labels", folder=self.save_dir, boxes=boxes, classes=classes.squeeze(), names=names)

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        if not self.draws:
            super().plot_training_samples(batch, ni)
            return
        self.curves.draw(
            "train_batch", folder=self.save_dir, number=ni, batch=_arrays(batch), paths=batch["im_file"][:IMAGES_SHOWN]
        )

    def plot_metrics(self) -> None:
        if self.draws:
            self.curves.draw("results", folder=self.save_dir)
        else:
            super().plot_metrics()

    def draw_evaluation(self, best: Evaluation) -> None:
        """Draws the curves, the confusion matrix and the first batches of a validation.

        Args:
            best: What was kept of it, by this trainer's validator.
        """
        folder, names = self.save_dir, self.validator.names
        for part in PREFIXES:
            if hasattr(best.metrics, part):
                self.curves.draw("curves", folder=folder, part=part, metric=getattr(best.metrics, part), names=names)
        detections = [(found.cpu().numpy(), labels.cpu().numpy()) for found, labels in best.detections]
        conf = self.validator.args.conf
        self.curves.draw("confusion", folder=folder, detections=detections, names=names, conf=conf)
        batches = islice(self.test_loader, PICTURES)
        for number, (batch, predictions) in enumerate(zip(batches, best.pictures, strict=True)):
            self.curves.draw(
                "val_batch",
                folder=folder,
                number=number,
                batch=_arrays(batch),
                predictions=predictions,
                paths=batch["im_file"][:IMAGES_SHOWN],
                names=names,
            )


def _arrays(batch: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns the images of a batch that are shown, as uint8, and its labels."""
    images = batch["img"][:IMAGES_SHOWN]
    if images.is_floating_point():
        images = (images * 255).round().to(torch.uint8)
    shown: dict[str, torch.Tensor] = {
        name: batch[name] for name in ("cls", "bboxes", "batch_idx", "masks") if name in batch
    }
    shown["img"] = images
    return {name: values.cpu().numpy() for name, values in shown.items()}
