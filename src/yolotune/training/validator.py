"""What a trial changes of an Ultralytics validator. Importing this module imports torch and Ultralytics."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from ultralytics.engine.validator import BaseValidator
from ultralytics.utils.torch_utils import copy_attr

#: What `BaseTrainer` hands on from the model to its EMA after each epoch, beside weights.
EMA_ATTRIBUTES = ("yaml", "nc", "args", "names", "stride", "class_weights")


class RoundedWeights:
    """The EMA weights rounded to half precision, as `BaseTrainer.save_model` writes them to `best.pt`.

    What is validated must be what is saved. The model is made once and takes over the weights of each epoch.
    """

    def __init__(self) -> None:
        self._model: Any = None

    def of(self, ema: Any) -> Any:
        """Returns a model in single precision on the device of the EMA; the same object each time."""
        with torch.inference_mode(False), torch.no_grad():  # tensors made in inference mode could not be written again
            if self._model is None or self._model.state_dict().keys() != ema.state_dict().keys():
                self._model = deepcopy(ema)
            for own, theirs in zip(self._model.state_dict().values(), ema.state_dict().values(), strict=True):
                own.copy_(theirs.half() if theirs.is_floating_point() else theirs)
        copy_attr(self._model, ema, include=EMA_ATTRIBUTES)
        self._model.criterion = None  # a fresh copy would have none, and would make one for the attributes of now
        return self._model


class TrialValidation(BaseValidator):
    """Mixin of an Ultralytics validator: validates the weights that are saved, and runs no callback."""

    def run_callbacks(self, event: str) -> None:
        """No integration acts inside a trial."""

    def get_model(self, model: Any, trainer: Any = None) -> Any:
        return super().get_model(model) if trainer is None else trainer.rounded_weights.of(trainer.ema.ema)
