"""Trainings that run ahead of their evaluation are, in every number, those that wait for it."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from processes import finish, start, trial_process, wait_for, write_study
from trained import Trained, assert_same, train_and_leave
from yolotune import ahead, checkpoint, forks
from yolotune.ahead import AheadTrainer
from yolotune.job import Job, Order
from yolotune.lean import TrialValidator
from yolotune.record import Verdict, read_study
from yolotune.trainer import TrialTrainer
from yolotune.training import ALONE

pytestmark = pytest.mark.skipif(not forks.available, reason="Linux alone")

POINT = {"lr0": 0.01, "batch": 4}
LEFT = 4  # of six epochs, the last of which closes the mosaic


@pytest.fixture(scope="module")
def long(job: Job) -> Job:
    return dataclasses.replace(job, epochs=6, ahead=True, fixed={**job.fixed, "plots": False})


@pytest.fixture(scope="module")
def waiting(long: Job, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_and_leave(long, POINT, tmp_path_factory.mktemp("waiting"), LEFT)


def train(
    kind: type[TrialTrainer], job: Job, folder: Path, answer: Callable[[int], Order] = lambda epoch: Order.GO
) -> tuple[TrialTrainer, list[dict[str, Any]]]:
    """Trains to the end, or as the answers say, and returns the reports without their seconds."""
    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        rows.append({name: value for name, value in row.items() if name != "seconds"})
        return answer(row["epoch"])

    resume = folder / "weights" / "last.pt"
    trainer = kind(job, POINT, folder, on_epoch, resume if resume.exists() else None)
    trainer.train()
    trainer.close()
    return trainer, rows


def test_reports_checkpoints_and_state_are_the_same(long: Job, waiting: Trained, tmp_path: Path) -> None:
    assert_same(train_and_leave(long, POINT, tmp_path, LEFT, AheadTrainer), waiting)


def test_a_whole_training_is_the_same_and_one_that_was_left_goes_on_alike(long: Job, tmp_path: Path) -> None:
    one, expected = train(TrialTrainer, long, tmp_path / "waits")
    other, rows = train(AheadTrainer, long, tmp_path / "ahead")
    assert rows == expected and other.final == one.final != {}
    assert other.ending == one.ending
    lines = [(tmp_path / name / "curves" / "results.csv").read_text().splitlines() for name in ("waits", "ahead")]
    assert [line.split(",")[2:] for line in lines[0]] == [line.split(",")[2:] for line in lines[1]]

    _, first = train(AheadTrainer, long, tmp_path / "left", lambda epoch: Order.LEAVE if epoch == 3 else Order.GO)
    assert {path.name for path in (tmp_path / "left" / "weights").iterdir()} >= {"last.pt", "best.pt", "state.pt"}
    _, second = train(AheadTrainer, long, tmp_path / "left")
    assert first + second == expected


def test_the_next_epoch_trains_while_one_is_evaluated(long: Job, tmp_path: Path) -> None:
    seen = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        if row["epoch"] in (1, 6):  # evaluated by the process itself
            assert trainer.epoch + 1 == row["epoch"]
        else:
            wait_for(lambda: trainer.epoch + 1 > row["epoch"], 30)
            seen.append(row["epoch"])
        return Order.GO

    trainer = AheadTrainer(long, POINT, tmp_path, on_epoch)
    trainer.train()
    assert seen == [2, 3, 4, 5]


def test_a_training_that_is_stopped_knows_nothing_of_what_it_trained_since(long: Job, tmp_path: Path) -> None:
    def stop(epoch: int) -> Order:
        return Order.STOP if epoch == 3 else Order.GO

    one, expected = train(TrialTrainer, long, tmp_path / "waits", stop)
    other, rows = train(AheadTrainer, long, tmp_path / "ahead", stop)
    assert rows == expected and len(rows) == 3
    assert other.final == one.final != {} and other.ending is None
    assert len((tmp_path / "ahead" / "curves" / "results.csv").read_text().splitlines()) == 4
    assert {path.name for path in (tmp_path / "ahead" / "weights").iterdir()} == {"best.pt"}


def test_a_loss_that_is_no_number_ends_the_training_in_that_epoch(
    long: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.utils.loss import v8SegmentationLoss

    healthy = v8SegmentationLoss.loss

    def poisoned(self: Any, preds: Any, batch: Any) -> Any:
        total, items = healthy(self, preds, batch)
        return (total * float("nan"), items) if began[-1].epoch >= 2 and total.requires_grad else (total, items)

    began: list[AheadTrainer] = []
    monkeypatch.setattr(v8SegmentationLoss, "loss", poisoned)
    monkeypatch.setattr(AheadTrainer, "_setup_train", lambda self: (began.append(self), _setup(self)))
    _setup = TrialTrainer._setup_train
    trainer, rows = train(AheadTrainer, long, tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert trainer.ending is not None and trainer.ending.verdict is Verdict.DIVERGED
    assert (tmp_path / "weights" / "best.pt").exists()


def test_an_epoch_that_nobody_asked_for_may_fail(long: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: AheadTrainer, batch: Any) -> Any:
        if self.epoch == 3:
            wait_for(lambda: self._before is None or self._before.stops or answers[-1] is Order.GO)
            raise RuntimeError("out of memory")
        return healthy(self, batch)

    healthy, answers = TrialTrainer.preprocess_batch, [Order.GO]
    monkeypatch.setattr(AheadTrainer, "preprocess_batch", fail)

    def answer(epoch: int) -> Order:
        answers.append(wanted if epoch == 3 else Order.GO)
        return answers[-1]

    wanted = Order.STOP
    trainer, rows = train(AheadTrainer, long, tmp_path / "stopped", answer)
    assert len(rows) == 3 and trainer.final

    wanted = Order.GO
    with pytest.raises(RuntimeError, match="out of memory"):
        train(AheadTrainer, long, tmp_path / "asked for", answer)
    assert answers[-1] is Order.GO, "the epoch before was reported"


def test_what_a_copy_fails_with_ends_the_training(long: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(weights: Path, epoch: int) -> None:
        if epoch == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(weights))
        mark(weights, epoch)

    mark = checkpoint.mark
    monkeypatch.setattr(checkpoint, "mark", full)
    with pytest.raises(OSError) as raised:
        train(AheadTrainer, long, tmp_path)
    assert raised.value.errno == errno.ENOSPC and "save_model" in raised.value.__notes__[0]
    assert (tmp_path / "weights" / "epoch").read_text() == "1"


def test_a_killed_copy_ends_the_training(long: Job, tmp_path: Path) -> None:
    def answer(epoch: int) -> Order:
        for copy in psutil.Process().children() if epoch == 2 else ():
            copy.kill()
            copy.wait()
        return Order.GO

    with pytest.raises(forks.CopyKilled):
        train(AheadTrainer, long, tmp_path, answer)


@pytest.mark.parametrize("draws", [True, False])
def test_a_validation_that_draws_from_other_generators_is_waited_for(
    long: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draws: bool
) -> None:
    def call(self: TrialValidator, *args: Any, **kwargs: Any) -> Any:
        if draws:
            np.random.rand()
        return plain(self, *args, **kwargs)

    def counted() -> Any:
        forked.append(os.getpid())
        return fork()

    plain, fork, forked = TrialValidator.__call__, forks.fork, []
    monkeypatch.setattr(TrialValidator, "__call__", call)
    monkeypatch.setattr(forks, "fork", counted)
    monkeypatch.setattr(ahead, "_can_draw", lambda: False)
    train(AheadTrainer, dataclasses.replace(long, epochs=3), tmp_path)
    assert len(forked) == (0 if draws else 1)


def test_a_trial_whose_copy_is_killed_goes_on_without_copies(shapes: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, shapes, num_samples=1, epochs=12, wandb="disabled")
    driver = start(tmp_path, "run", study)
    wait_for(lambda: kill_a_copy(driver.pid))
    finish(driver)
    trial = read_study(tmp_path / "study").trials[0]
    assert [row["epoch"] for row in trial.epochs] == list(range(1, 13))
    assert trial.verdict is Verdict.COMPLETED and trial.restarts == 1
    assert (trial.folder / ALONE).exists() and (trial.folder / "weights" / "best.pt").exists()


def kill_a_copy(driver: int) -> bool:
    """Kills what a trial has forked, once its second epoch is in the record; whether there was anything."""
    process = trial_process(driver)
    for copy in process.children() if process else ():
        copy.kill()
        return True
    return False
