"""What a trial changes of an Ultralytics validator. Importing this module imports torch and Ultralytics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ultralytics.engine.validator import BaseValidator
from ultralytics.utils.ops import xyxy2xywh

from yolotune import metrics

#: Ultralytics draws the predictions for so many batches, and of these the ones with more confidence than that.
PICTURES, SHOWN_FROM = 3, 0.25


@dataclass(frozen=True)
class Evaluation:
    """What is kept of the validation of one epoch, so that its curves can be drawn later.

    Attributes:
        found: What the validator returned: scores and losses by Ultralytics' names.
        metrics: The validator's `metrics`, with the curves of every class.
        detections: Predictions `(n, 6)` (box, confidence, class) and labels `(m, 5)` (box, class) of each image, boxes
            as two corners in pixels; empty where no curves are drawn.
        pictures: Predictions for the first batches, as `plot_images` takes them, eight pixels of a mask in a byte.
    """

    found: dict[str, float]
    metrics: Any
    detections: list[tuple[torch.Tensor, torch.Tensor]]
    pictures: list[dict[str, np.ndarray]]


class TrialValidation(BaseValidator):
    """Mixin of an Ultralytics validator: validates the weights that are saved, and runs no callback.

    Attributes:
        keeps: Whether it keeps what the confusion matrix and the pictures are drawn from.
    """

    keeps = False
    metrics: Any
    _detections: list[tuple[torch.Tensor, torch.Tensor]]
    _pictures: list[dict[str, np.ndarray]]

    def run_callbacks(self, event: str) -> None:
        """No integration acts inside a trial."""

    def get_model(self, model: Any, trainer: Any = None) -> Any:
        return super().get_model(model) if trainer is None else trainer.rounded_weights.of(trainer.ema)

    def init_metrics(self, model: Any) -> None:
        super().init_metrics(model)
        self._detections, self._pictures = [], []

    def _process_batch(self, preds: dict[str, torch.Tensor], batch: dict[str, Any]) -> Any:
        """Matches the predictions for one image with its labels."""
        if self.keeps:
            found = torch.cat([preds["bboxes"], preds["conf"][:, None], preds["cls"][:, None]], 1)
            self._detections.append((found, torch.cat([batch["bboxes"], batch["cls"][:, None]], 1)))
        return super()._process_batch(preds, batch)

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        super().update_metrics(preds, batch)
        if self.keeps and self.batch_i < PICTURES:
            self._pictures.append(_shown(preds))

    def scores(self, parts: Sequence[str], prefix: str = "") -> dict[str, float]:
        """Returns the scores of the last validation by the record's names.

        Args:
            parts: Attributes of `metrics` with scores; `seg` is `seg_metrics` in the record.
            prefix: Of the names.
        """
        scores: dict[str, float] = {}
        for part in parts:
            scores |= metrics.evaluation(getattr(self.metrics, part), f"{prefix}{part}_metrics")
        return scores

    def f1_by_class(self, part: str, names: Mapping[int, str]) -> dict[str, float]:
        """Returns F1 by class name, as `metrics.mean_f1` takes the mean of.

        Args:
            part: Attribute of `metrics`.
            names: Of all classes.
        """
        metric = getattr(self.metrics, part)
        pairs = zip(metric.ap_class_index, metric.f1, strict=True)
        return {str(names[int(index)]): round(float(f1), 5) for index, f1 in pairs}

    def release(self, found: dict[str, float]) -> Evaluation:
        """Returns what was kept of the last validation; the next one keeps its own.

        Args:
            found: What that validation returned.
        """
        kept = Evaluation(found, self.metrics, self._detections, self._pictures)
        self.metrics = type(self.metrics)()
        return kept


def _shown(preds: list[dict[str, torch.Tensor]]) -> dict[str, np.ndarray]:
    """Returns the predictions of a batch that Ultralytics would draw, on the CPU."""
    sure = [pred["conf"] > SHOWN_FROM for pred in preds]
    names = ("bboxes", "conf", "cls", *(name for name in ("masks",) if name in preds[0]))
    shown = {name: torch.cat([pred[name][one] for pred, one in zip(preds, sure, strict=True)]) for name in names}
    shown["bboxes"] = xyxy2xywh(shown["bboxes"])
    found = {name: values.cpu().numpy() for name, values in shown.items()}
    if "masks" in found:
        found["masks"] = np.packbits(found["masks"].astype(bool), axis=-1)
    found["batch_idx"] = np.repeat(np.arange(len(preds)), [int(one.sum()) for one in sure])
    return found
