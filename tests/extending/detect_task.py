"""The training of Ultralytics' task `detect`: the example of docs/extending.md."""

from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator

from yolotune.training.trainer import TrialTraining
from yolotune.training.validator import TrialValidation


class DetectTrialValidator(TrialValidation, DetectionValidator):
    """Validates boxes."""


class DetectTrialTrainer(TrialTraining, DetectionTrainer):
    """Trains one point of a detection study."""

    validator_class = DetectTrialValidator
    metric_parts = ("box",)  # reported as box_metrics/F1 and so on
