"""The savings of `yolotune.lean` undone, one by one: what a training does without them."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from yolotune import lean


def copy_to_validate(rounded: lean.Rounded, ema: Any) -> Any:
    """Rounds a copy of the model, as `BaseTrainer.save_model` does."""
    with torch.inference_mode(False):
        return deepcopy(ema).half().float()


def with_loss(validator: lean.TrialValidator, model: Any, trainer: Any = None) -> Any:
    """Has the loss computed of every split."""
    validator.losses = True
    return _get_model(validator, model, trainer)


def with_polars(file: Path) -> dict[str, list[Any]]:
    """Reads results.csv as `BaseTrainer.read_results_csv` does."""
    import polars

    return polars.read_csv(file.read_bytes(), infer_schema_length=None).to_dict(as_series=False)


_get_model = lean.TrialValidator.get_model
#: Saving: where it is, the name of what saves, and what stands in its place without it.
SAVINGS: dict[str, tuple[Any, str, Any]] = {
    "one model to validate": (lean.Rounded, "to_validate", copy_to_validate),
    "no copies to save": (lean, "no_copies", lambda trainer: nullcontext()),
    "no loss of the train split": (lean.TrialValidator, "get_model", with_loss),
    "no polars": (lean, "columns", with_polars),
    "small curves": (lean, "small_curves", nullcontext),
}
