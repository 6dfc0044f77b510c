"""A training that is left continues number by number, or ends in good order. Real trainings, no Ray."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs import POINT, changed, numbers, train
from yolotune.record.checkpoint import settle
from yolotune.record.verdict import Ending, Verdict
from yolotune.training.job import Job, Order
from yolotune.training.tasks import make_trainer


def weights_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / "weights").iterdir() if path.is_file()}


def trained_epochs(folder: Path) -> list[str]:
    """Returns the first column of results.csv."""
    return [line.split(",")[0] for line in (folder / "curves" / "results.csv").read_text().splitlines()]


def test_a_training_that_is_left_equals_one_that_is_not(job: Job, tmp_path: Path) -> None:
    """The mosaic closes with the first epoch after the pause, and a step of the optimizer spans it."""
    ended: list[Any] = []
    fixed = {"close_mosaic": 2, "optimizer": "SGD", "nbs": 16}
    job = changed(job, fixed=fixed, callbacks={"on_train_end": [ended.append]})
    trainer, whole = train(job, tmp_path / "whole")
    _, before = train(job, tmp_path / "left", after=1, order=Order.LEAVE)
    assert weights_of(tmp_path / "left") == {"best.pt", "last.pt", "state.pt", "epoch"}
    assert ended == [trainer], "one that is left has not ended"
    trainer, after = train(job, tmp_path / "left", resume=tmp_path / "left" / "weights" / "last.pt")
    assert numbers(before + after) == numbers(whole)
    assert trainer.ending == Ending(Verdict.COMPLETED, "all 3 epochs")
    assert trained_epochs(tmp_path / "left") == ["epoch", "1", "2", "3"]
    assert weights_of(tmp_path / "left") == {"best.pt"}


def test_one_that_is_left_in_the_middle_of_the_mosaic_equals_one_that_is_not(job: Job, tmp_path: Path) -> None:
    """The next epoch draws mosaics from images that were kept, and augmentation from the same random numbers."""
    job = changed(job, train_subset=None)
    _, whole = train(job, tmp_path / "whole", after=2)
    train(job, tmp_path / "left", after=1, order=Order.LEAVE)
    _, after = train(job, tmp_path / "left", after=2, resume=tmp_path / "left" / "weights" / "last.pt")
    assert numbers(after) == numbers(whole)[1:]


def test_an_epoch_that_never_reached_the_record_is_trained_again(job: Job, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed_in_epoch_2(row: dict[str, Any], ending: Ending | None) -> Order:
        if row["epoch"] == 2:
            raise Killed  # last.pt of epoch 2 is written, its report is not
        return Order.GO

    job = changed(job, train_subset=None)
    with pytest.raises(Killed):
        make_trainer(job, POINT, tmp_path, killed_in_epoch_2).train()
    _, rows = train(job, tmp_path, resume=settle(tmp_path / "weights", recorded=1))
    assert [row["epoch"] for row in rows] == [2, 3]
    assert trained_epochs(tmp_path) == ["epoch", "1", "2", "3"]


@pytest.mark.parametrize("stripped", [False, True], ids=["paused", "killed in its final evaluation"])
def test_a_training_that_is_not_continued_ends_as_one_that_is_stopped(job: Job, tmp_path: Path, stripped: bool) -> None:
    from ultralytics.utils.torch_utils import strip_optimizer

    job = changed(job, fixed={"plots": not stripped}, train_subset=None)
    train(job, tmp_path, after=1, order=Order.LEAVE)
    best, last = (tmp_path / "weights" / name for name in ("best.pt", "last.pt"))
    shutil.copyfile(best, tmp_path / "before.pt")
    if stripped:  # what comes first in a final evaluation
        strip_optimizer(last)
        strip_optimizer(best)
    trainer = make_trainer(job, POINT, tmp_path, lambda row, ending: Order.GO, last)
    assert trainer.effective() == {}
    trainer.finish(1)
    trainer.curves.wait()
    assert trainer.final.keys() >= {"seg_metrics/F1", "box_metrics/F1"}
    assert weights_of(tmp_path) == {"best.pt"}
    assert (tmp_path / "curves" / "results.png").exists() is not stripped
    before, after = (torch.load(path, weights_only=False) for path in (tmp_path / "before.pt", best))
    assert after["optimizer"] is None
    weights = before["ema"].state_dict()
    assert all(torch.equal(weights[name], value) for name, value in after["model"].state_dict().items())
