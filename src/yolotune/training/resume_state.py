"""What last.pt leaves out, kept when a training is left to go on another time, so that it goes on number by number.

Ultralytics resumes from EMA weights in half precision: the raw weights are lost, random numbers start again at the
seed (the next epoch would repeat the order and the augmentation of the first), momentum of SGD is rounded, and
gradients that were summed up for the next step of the optimizer are dropped. A trial that pauses or is interrupted
keeps all of these in `state.pt`. Not kept is what data loader processes have drawn and loaded ahead: with `workers=0`
a resumed training equals an uninterrupted one, with more it draws other augmentations than that, though no epoch's
again.

A killed process has no time for it and goes on from last.pt alone.
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
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

#: Optimizer state that last.pt holds in full precision (`convert_optimizer_state_dict_to_fp16`).
WHOLE = {"step", "exp_avg", "exp_avg_sq", "square_avg"}


def save(trainer: Any, path: Path) -> None:
    """Writes the state after an epoch; where that fails, the training will go on from last.pt alone.

    Args:
        trainer: A `TrialTrainer` whose epoch has ended.
        path: Of `state.pt`.
    """
    optimizer = trainer.optimizer.state_dict()
    loader = trainer.train_loader
    state = {
        "epoch": trainer.epoch + 1,
        "model": unwrap_model(trainer.model).state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "optimizer": None if all(own.keys() <= WHOLE for own in optimizer["state"].values()) else optimizer,
        "gradients": {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None},
        "batches_since_step": trainer.batches_since_step,
        "shuffle": loader.generator.get_state(),
        "mosaic": list(loader.dataset.buffer),
        "random": random_state(),
    }
    temporary = path.with_suffix(".tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch's word for a full disk
        temporary.unlink(missing_ok=True)
        LOGGER.warning(f"{path.name} not written ({error}): the training will go on from last.pt alone.")


def restore(trainer: Any, path: Path) -> bool:
    """Puts the state back into a trainer that has resumed from last.pt and is about to train; whether it was there.

    Args:
        trainer: A `TrialTrainer` at its first `on_train_epoch_start`.
        path: Of `state.pt`; one of another epoch is not used.
    """
    if not path.exists():
        return False
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["epoch"] != trainer.start_epoch:
        return False
    unwrap_model(trainer.model).load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    if state["optimizer"] is not None:
        for saved, group in zip(state["optimizer"]["param_groups"], trainer.optimizer.param_groups, strict=True):
            saved["fused"] = group.get("fused")
        trainer.optimizer.load_state_dict(state["optimizer"])
    for name, parameter in trainer.model.named_parameters():
        if name in state["gradients"]:
            parameter.grad = state["gradients"][name].to(parameter.device)
    trainer.batches_since_step = state["batches_since_step"]
    _restore_data(trainer, state)
    return True


def _restore_data(trainer: Any, state: dict[str, Any]) -> None:
    """Has the next epoch draw what it would have drawn.

    A new process creates the loader's iterator first, which draws from the generator of the shuffle; the other one had
    it already, unless the next epoch is the one that closes the mosaic, where both create one.
    """
    loader = trainer.train_loader
    for index in state["mosaic"]:
        loader.dataset.load_image(index)  # which keeps it for mosaics

    def put_back() -> None:
        loader.generator.set_state(state["shuffle"])
        set_random_state(state["random"])

    if trainer.args.close_mosaic and trainer.start_epoch == trainer.epochs - trainer.args.close_mosaic:
        put_back()
        return
    create = loader._get_iterator

    def create_once() -> Any:
        loader._get_iterator = create
        iterator = create()
        put_back()
        torch.randperm(len(loader.dataset), generator=loader.generator)  # RandomSampler draws one more as it runs out
        return iterator

    loader._get_iterator = create_once


# --- random numbers ---------------------------------------------------------------------------------------------------


def random_state() -> dict[str, Any]:
    """Returns the state of every generator that a training draws from, in what `torch.save` writes."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    return {
        "python": (version, torch.tensor(numbers, dtype=torch.int64), gauss),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Puts the generators back into a state of before."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Gives the training back the random state it had: datasets and validators draw from Python's generator."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
