"""What last.pt leaves out, kept when a training is left to continue another time. It then continues number by number.

Ultralytics resumes from EMA weights in half precision: the raw weights are lost, random numbers start again at the
seed (the next epoch would repeat the order and the augmentation of the first), momentum of SGD is rounded, and
gradients that were summed up for the next step of the optimizer are dropped. A trial that pauses or is interrupted
keeps all of these in `state.pt`. Not kept is what data loader processes have loaded ahead: with `workers=0` a resumed
training equals an uninterrupted one, with more it draws other augmentations than that, though no epoch's again.

A killed process has no time for it and continues from last.pt alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

#: Optimizer state that last.pt holds in full precision (`convert_optimizer_state_dict_to_fp16`).
FULL_PRECISION = {"step", "exp_avg", "exp_avg_sq", "square_avg"}


class ExactResume(BaseTrainer):
    """Mixin of an Ultralytics trainer: saves what last.pt leaves out, and restores it."""

    _accumulate = 1  # batches per step of the optimizer
    _batches_before = 0  # batches of the epochs before, which the training loop does not know to have made a step
    _batches_since_step = 0

    def save_state(self, path: Path) -> None:
        """Writes the state after an epoch. Where that fails, the training will continue from last.pt alone."""
        optimizer = self.optimizer.state_dict()
        in_last = all(own.keys() <= FULL_PRECISION for own in optimizer["state"].values())
        loader = self.train_loader
        state = {
            "epoch": self.epoch + 1,
            "model": unwrap_model(self.model).state_dict(),
            "ema": self.ema.ema.state_dict(),
            "optimizer": None if in_last else optimizer,
            "gradients": {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None},
            "batches_since_step": self._batches_since_step,
            "shuffle": loader.generator.get_state(),
            "mosaic": list(loader.dataset.buffer),
            "random": random_state(),
        }
        temporary = path.with_suffix(".tmp")
        try:
            torch.save(state, temporary)
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:  # torch's error for a full disk
            temporary.unlink(missing_ok=True)
            LOGGER.warning(f"{path.name} not written ({error}): the training will continue from last.pt alone.")

    def restore_state(self, path: Path) -> None:
        """Restores the state at the first `on_train_epoch_start` after last.pt was loaded; none of another epoch."""
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["epoch"] != self.start_epoch:
            return
        unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["ema"])
        if state["optimizer"] is not None:
            for saved, group in zip(state["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True):
                saved["fused"] = group.get("fused")
            self.optimizer.load_state_dict(state["optimizer"])
        for name, parameter in self.model.named_parameters():
            if name in state["gradients"]:
                parameter.grad = state["gradients"][name].to(parameter.device)
        self._batches_since_step = state["batches_since_step"]
        self._batches_before = len(self.train_loader) * self.start_epoch - self._batches_since_step
        self._restore_data(state)

    def _restore_data(self, state: dict[str, Any]) -> None:
        """Makes the next epoch draw what it would have drawn.

        A new process creates the loader's iterator first, which draws from the generator of the shuffle. The process
        before had it already, unless the next epoch is the one that closes the mosaic: there both create one.
        """
        loader = self.train_loader
        for index in state["mosaic"]:
            loader.dataset.load_image(index)  # which keeps it for mosaics

        def restore() -> None:
            loader.generator.set_state(state["shuffle"])
            set_random_state(state["random"])

        if self.args.close_mosaic and self.start_epoch == self.epochs - self.args.close_mosaic:
            restore()
            return
        create = loader._get_iterator

        def create_once() -> Any:
            loader._get_iterator = create
            iterator = create()
            restore()
            torch.randperm(len(loader.dataset), generator=loader.generator)  # RandomSampler draws again at its end
            return iterator

        loader._get_iterator = create_once

    # --- steps of the optimizer ----------------------------------------------------------------------------------

    @property
    def accumulate(self) -> int:
        """Batches whose gradients make one step of the optimizer, as the training loop compares them.

        The loop compares it with the batches since the last step. In a resumed training it counts these from the first
        epoch on, so the batches of the epochs before are added until there is a step.
        """
        return self._accumulate + self._batches_before

    @accumulate.setter
    def accumulate(self, batches: int) -> None:
        self._accumulate = batches

    def optimizer_step(self) -> None:
        super().optimizer_step()
        self._batches_before = self._batches_since_step = 0

    def _build_train_pipeline(self) -> None:
        """Builds it for the first time, or for a batch halved by a lack of memory, with which the epoch begins anew."""
        self._batches_before = self._batches_since_step = 0
        super()._build_train_pipeline()

    def run_callbacks(self, event: str) -> None:
        if event == "on_train_batch_start":
            self._batches_since_step += 1


# --- random numbers ---------------------------------------------------------------------------------------------------


def random_state() -> dict[str, Any]:
    """Returns the state of every generator that a training draws from, in types that `torch.save` writes."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    return {
        "python": (version, torch.tensor(numbers, dtype=torch.int64), gauss),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Sets the generators to a state that `random_state` returned."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Restores the random state on leaving: datasets and validators draw from Python's generator."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
