"""What a trial changes of an Ultralytics validator. Importing this module imports torch and Ultralytics."""

from __future__ import annotations

from typing import Any

from ultralytics.engine.validator import BaseValidator


class TrialValidation(BaseValidator):
    """Mixin of an Ultralytics validator: validates the weights that are saved, and runs no callback."""

    def run_callbacks(self, event: str) -> None:
        """No integration acts inside a trial."""

    def get_model(self, model: Any, trainer: Any = None) -> Any:
        return super().get_model(model) if trainer is None else trainer.rounded_weights.of(trainer.ema.ema)
