"""The training of Ultralytics' task `segment`. Importing this module imports torch and Ultralytics."""

from __future__ import annotations

from ultralytics.models.yolo.segment import SegmentationTrainer, SegmentationValidator

from yolotune.training.trainer import TrialTraining
from yolotune.training.validator import TrialValidation


class SegmentTrialValidator(TrialValidation, SegmentationValidator):
    """Validates masks and boxes."""


class SegmentTrialTrainer(TrialTraining, SegmentationTrainer):
    """Trains one point of a segmentation study."""

    validator_class = SegmentTrialValidator
    metric_parts = ("seg", "box")
