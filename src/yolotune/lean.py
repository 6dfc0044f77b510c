"""What a training does once instead of in every epoch, or not at all; no number of a report changes by it.

- Validation needs the EMA weights as `best.pt` holds them, and a checkpoint needs them in half precision. Ultralytics
  copies the model for each, module by module; here a model made once takes over the weights.
- A checkpoint is written before training goes on, so the optimizer's state need not be copied for it.
- The train split is measured for its scores; its loss is not reported, so it is not computed.
- results.csv is read with Python's own reader: polars is loaded for it in every process.
- Curves are drawn at 120 dots per inch: 1080 x 720 pixels in place of 2250 x 1500, in a third of the time.

`tests/integration/test_lean.py` holds reports and checkpoints against those of the plain way; what each saves is
measured by `benchmarks/profile_trial.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from ultralytics.engine import trainer as engine
from ultralytics.models.yolo.segment import SegmentationValidator
from ultralytics.utils.torch_utils import copy_attr

#: What `BaseTrainer` hands on from the model to its EMA after each epoch, beside weights.
FOLLOWED = ("yaml", "nc", "args", "names", "stride", "class_weights")
#: Dots per inch of curves; Ultralytics takes 200 and 250.
DPI = 120


class Rounded:
    """The EMA weights rounded to half precision, as `best.pt` holds them; `BaseTrainer.save_model` rounds them so."""

    def __init__(self) -> None:
        self._single: Any = None
        self._half: Any = None

    def to_validate(self, ema: Any) -> Any:
        """Returns a model in single precision on the device of the EMA; the same object each time."""
        if not _same_form(self._single, ema):
            with torch.inference_mode(False):  # validation runs in it, and its tensors could not be written to again
                self._single = deepcopy(ema)
        _follow(self._single, ema)
        return self._single

    def to_save(self, ema: Any) -> Any:
        """Returns a model in half precision in main memory, never used for anything but to be written."""
        if not _same_form(self._half, ema):
            self._half = deepcopy(ema).cpu().half()
        _follow(self._half, ema)
        return self._half


def _same_form(model: Any, ema: Any) -> bool:
    """Whether a model can take over the weights of an EMA; what writes a quantized one takes parts out of it."""
    return model is not None and model.state_dict().keys() == ema.state_dict().keys()


def _follow(model: Any, ema: Any) -> None:
    """Puts the weights of an EMA, rounded, into a model that was made from it."""
    with torch.inference_mode(False), torch.no_grad():
        for own, theirs in zip(model.state_dict().values(), ema.state_dict().values(), strict=True):
            own.copy_(theirs.half() if theirs.is_floating_point() else theirs)
    copy_attr(model, ema, include=FOLLOWED)
    model.criterion = None  # a copy made anew has none, and makes one by the attributes of that moment


class TrialValidator(SegmentationValidator):
    """Validates the weights that are saved, and calls nobody.

    Attributes:
        losses: Whether the loss is computed too.
    """

    losses = True

    def run_callbacks(self, event: str) -> None:
        """No integration acts inside a trial."""

    def get_model(self, model: Any, trainer: Any = None) -> Any:
        if trainer is None:
            return super().get_model(model)
        rounded = trainer.rounded.to_validate(trainer.ema.ema)
        if self.losses:
            rounded.__dict__.pop("loss", None)
        else:
            rounded.loss = _no_loss
        return rounded


def _no_loss(batch: Any, preds: Any) -> tuple[None, dict[str, Any]]:
    return None, {}


@contextmanager
def no_copies(trainer: Any) -> Iterator[None]:
    """While Ultralytics saves a checkpoint, gives it what it would copy only to write it."""
    ema, copied = trainer.ema.ema, engine.deepcopy

    def lend(what: Any) -> Any:
        if what is ema:
            return trainer.rounded.to_save(ema)
        if isinstance(what, dict) and what.keys() == {"state", "param_groups"}:
            # an optimizer's; some of its tensors are about to be replaced by rounded ones
            return {**what, "state": {number: dict(own) for number, own in what["state"].items()}}
        return copied(what)

    engine.deepcopy = lend
    try:
        yield
    finally:
        engine.deepcopy = copied


def columns(file: Path) -> dict[str, list[float]]:
    """Returns a CSV file of numbers by column, whole columns of whole numbers as such; none if it is not there."""
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        head, *rows = csv.reader(lines)
    found = {name: list(texts) for name, texts in zip(head, zip(*rows, strict=True), strict=True)}
    whole = {name for name, texts in found.items() if all(text.lstrip("-").isdecimal() for text in texts)}
    return {name: [int(text) if name in whole else float(text) for text in texts] for name, texts in found.items()}


@contextmanager
def small_curves() -> Iterator[None]:
    """Draws Ultralytics' curves, which fix their resolution, at a lower one."""
    from matplotlib.figure import Figure

    plain = Figure.savefig

    def save(self: Any, name: Any, **settings: Any) -> None:
        plain(self, name, **{**settings, "dpi": DPI})

    Figure.savefig = save  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        Figure.savefig = plain  # type: ignore[method-assign]
