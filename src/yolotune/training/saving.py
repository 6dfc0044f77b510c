"""What a trial saves after an epoch: the files of `BaseTrainer.save_model`, at less than half their cost.

Ultralytics copies the EMA model and the state of the optimizer, and writes the file of a best epoch twice. Here the
model is already there, rounded to half precision, since it was validated so; and best.pt is a link to last.pt.
Importing this module imports torch and Ultralytics.
"""

from __future__ import annotations

import os
import shutil
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import ultralytics
from ultralytics.utils import GIT
from ultralytics.utils.torch_utils import convert_optimizer_state_dict_to_fp16, copy_attr, strip_optimizer

#: What `BaseTrainer` hands on from the model to its EMA after each epoch, beside weights.
EMA_ATTRIBUTES = ("yaml", "nc", "args", "names", "stride", "class_weights")


class RoundedWeights:
    """The EMA weights rounded to half precision, as a checkpoint holds them.

    What is validated must be what is saved. Both models are made once and take over the weights of each epoch.

    Attributes:
        saved: The model in half precision; None before the first validation.
    """

    def __init__(self) -> None:
        self.saved: Any = None
        self._validated: Any = None
        self._updates = -1  # of the EMA, when it was taken over

    def of(self, averaged: Any) -> Any:
        """Returns a model in single precision on the device of the EMA; the same object each time.

        Args:
            averaged: Ultralytics' `ModelEMA`.
        """
        ema = averaged.ema
        if self.saved is None or self._updates != averaged.updates:
            self._take_over(ema)
            self._updates = averaged.updates
        for model in (self.saved, self._validated):
            copy_attr(model, ema, include=EMA_ATTRIBUTES)
            model.criterion = None  # a fresh copy would have none, and would make one for the attributes of now
        return self._validated

    @torch.inference_mode(False)  # tensors made in inference mode could not be written again
    @torch.no_grad()
    def _take_over(self, ema: Any) -> None:
        own = ema.state_dict()
        if self.saved is None or self.saved.state_dict().keys() != own.keys():
            # contiguous: Ultralytics fuses weights of a checkpoint with `view`
            self.saved = deepcopy(ema).half().to(memory_format=torch.contiguous_format)
            self._validated = deepcopy(ema)
        states = (model.state_dict().values() for model in (self.saved, self._validated))
        for saved, validated, values in zip(*states, own.values(), strict=True):
            saved.copy_(values)
            validated.copy_(saved)


def save_checkpoint(trainer: Any, folder: Path, *, best: bool) -> None:
    """Writes last.pt and, for a best epoch, best.pt as a second name of it.

    Args:
        trainer: A `TrialTraining` after its validation.
        folder: Where to; existing files are replaced.
        best: Whether no epoch before was better.
    """
    last, second = folder / "last.pt", folder / "best.pt"
    for path in (last, second):
        path.unlink(missing_ok=True)
    torch.save(contents(trainer), last)
    if best:
        try:
            os.link(last, second)
        except OSError:  # not every file system has links
            shutil.copyfile(last, second)


def contents(trainer: Any) -> dict[str, Any]:
    """Returns what `BaseTrainer.save_model` writes into a checkpoint."""
    model = trainer.rounded_weights.saved
    for weights in model.state_dict().values():
        if weights.is_floating_point():
            torch.nan_to_num_(weights)  # what half precision cannot hold
    optimizer = trainer.optimizer.state_dict()
    optimizer["state"] = {number: dict(state) for number, state in optimizer["state"].items()}  # it is converted
    return {
        "epoch": trainer.epoch,
        "best_fitness": trainer.best_fitness,
        "stopper": {"best_fitness": trainer.stopper.best_fitness, "best_epoch": trainer.stopper.best_epoch},
        "model": None,
        "ema": model,
        "updates": trainer.ema.updates,
        "modelopt": None,
        "optimizer": convert_optimizer_state_dict_to_fp16(optimizer),
        "scaler": trainer.scaler.state_dict(),
        "train_args": vars(trainer.args),
        "train_metrics": {**trainer.metrics, "fitness": trainer.fitness},
        "train_results": trainer.read_results_csv(),
        "date": datetime.now().astimezone().isoformat(),
        "version": ultralytics.__version__,
        "git": {
            "root": str(GIT.root),
            "branch": GIT.branch,
            "commit": GIT.commit,
            "message": GIT.message,
            "origin": GIT.origin,
        },
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }


def strip(path: Path, train_results: dict[str, Any]) -> None:
    """Leaves out of a checkpoint what only a training needs, as `strip_optimizer` does, and never half a file.

    Args:
        path: The checkpoint.
        train_results: The columns of results.csv to put in.
    """
    stripped = path.with_suffix(".tmp")
    strip_optimizer(path, s=str(stripped), updates={"train_results": train_results})
    os.replace(stripped, path)


def drop_results_from(csv: Path, epoch: int) -> None:
    """Drops from results.csv the epochs that are trained again after a crash.

    Args:
        csv: The file; it need not be there.
        epoch: The first of them.
    """
    if csv.exists():
        head, *rows = csv.read_text().splitlines(keepends=True)
        csv.write_text(head + "".join(row for row in rows if int(row.split(",", 1)[0]) < epoch))
