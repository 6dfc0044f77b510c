"""What a training leaves out changes none of its numbers: each saving is held against the plain way, seed by seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import plainly
from trained import Trained, assert_same, train_and_leave
from yolotune.job import Job, Order
from yolotune.trainer import TrialTrainer

EPOCHS = 3
POINT = {"lr0": 0.01, "batch": 4}


@pytest.fixture(scope="module")
def learner(job: Job) -> Job:
    """A training of more epochs than it will see, so that it is left and not ended."""
    return dataclasses.replace(job, epochs=EPOCHS + 1)


@pytest.fixture(scope="module")
def lean_way(learner: Job, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_and_leave(learner, POINT, tmp_path_factory.mktemp("lean"), EPOCHS)


@pytest.mark.parametrize("saving", [None, *plainly.SAVINGS])
def test_a_saving_changes_no_number_and_no_weight(
    learner: Job, lean_way: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saving: str | None
) -> None:
    for undone in plainly.SAVINGS if saving is None else (saving,):
        monkeypatch.setattr(*plainly.SAVINGS[undone])
    assert_same(train_and_leave(learner, POINT, tmp_path, EPOCHS), lean_way)


def test_what_is_saved_is_a_model_of_its_own(learner: Job, tmp_path: Path) -> None:
    """The model in a checkpoint is used again for the next one, so nothing of the training may hang on it."""
    models = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        models.append((trainer.rounded.to_save(trainer.ema.ema), trainer.rounded.to_validate(trainer.ema.ema)))
        return Order.LEAVE if row["epoch"] == 2 else Order.GO

    trainer = TrialTrainer(learner, POINT, tmp_path, on_epoch)
    trainer.train()
    own = {tensor.data_ptr() for tensor in trainer.ema.ema.state_dict().values()}
    for saved, validated in models:
        assert saved is models[0][0] and validated is models[0][1]
        assert all(
            tensor.data_ptr() not in own for model in (saved, validated) for tensor in model.state_dict().values()
        )
        assert {tensor.dtype for tensor in saved.parameters()} == {torch.float16}
