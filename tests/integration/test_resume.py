"""Nothing is lost: real signals against real studies of YOLO11n-seg trainings, asserted on the files they leave."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import yolotune
from processes import SETTINGS, epochs_of, finish, start, trial_process, wait_for, write_study
from wandb_reader import read_run
from yolotune.config.settings import Settings, load_settings
from yolotune.errors import StudyFailed, UserError
from yolotune.record.study import Verdict, read_study
from yolotune.tracking.wandb import overfitting
from yolotune.training.job import Job, Order
from yolotune.training.trainer import TrialTrainer


def test_a_training_that_left_goes_on_as_if_it_had_not(job: Job, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []

    def train(resume: Path | None, leave_after: int) -> TrialTrainer:
        def on_epoch(row: dict[str, Any], last: bool) -> Order:
            rows.append(row)
            return Order.LEAVE if row["epoch"] == leave_after else Order.GO

        trainer = TrialTrainer(job, {"lr0": 0.01, "batch": 4}, tmp_path, on_epoch, resume)
        trainer.train()
        return trainer

    train(None, leave_after=2)
    assert not (tmp_path / "curves" / "results.png").exists(), "it has not ended"
    ended = train(tmp_path / "weights" / "last.pt", leave_after=0)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert ended.ending is not None and ended.ending.verdict is Verdict.COMPLETED
    table = (tmp_path / "curves" / "results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["epoch", "1", "2", "3"]
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {"best.pt"}


def test_an_epoch_that_never_reached_the_record_is_trained_again(job: Job, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        if row["epoch"] == 2:
            raise Killed  # last.pt of epoch 2 is written, its report is not
        return Order.GO

    from yolotune.record.checkpoint import settle

    with pytest.raises(Killed):
        TrialTrainer(job, {"lr0": 0.01, "batch": 4}, tmp_path, on_epoch).train()
    resume = settle(tmp_path / "weights", recorded=1)
    rows = []
    again = TrialTrainer(
        job, {"lr0": 0.01, "batch": 4}, tmp_path, lambda row, last: rows.append(row) or Order.GO, resume
    )
    again.train()
    assert [row["epoch"] for row in rows] == [2, 3]
    table = (tmp_path / "curves" / "results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["epoch", "1", "2", "3"]


def test_a_killed_trial_goes_on_from_its_last_epoch(shapes: Path, tmp_path: Path, figure: Any) -> None:
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=1, epochs=16, wandb="offline"))
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists() and len(epochs_of(folder, 0)) >= 2)
    worker = wait_for(lambda: trial_process(driver.pid))
    killed_at, began = len(epochs_of(folder, 0)), time.monotonic()
    worker.kill()
    wait_for(lambda: len(epochs_of(folder, 0)) > killed_at + 1)  # one may have been on its way
    figure("YOLO training killed to next epoch, s", time.monotonic() - began)
    said = finish(driver)
    assert epochs_of(folder, 0) == list(range(1, 17)), said
    log = (folder / "trials" / "0000" / "train.log").read_text()
    assert "Resuming training" in log, log
    resumed_at = int(log.split("Resuming training")[-1].split("from epoch ")[1].split()[0])
    assert resumed_at >= killed_at, "an epoch or more was lost"
    record = read_study(folder)
    assert (record.trials[0].verdict, record.trials[0].restarts) == (Verdict.COMPLETED, 1)
    runs = sorted((folder / "wandb").glob("offline-run-*-0000"))
    assert len(runs) == 2, "the process before and the one after, with the same run id"
    logged = {row["epoch"]: row for run in runs for row in read_run(run).rows()}
    assert list(logged.values()) == [{**row, **overfitting(row)} for row in record.trials[0].epochs]


def test_a_killed_driver_loses_nothing_and_trains_nothing_twice(shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=3, epochs=4))
    wait_for(lambda: (folder / "study.yaml").exists() and len(epochs_of(folder, 1)) >= 2)
    driver.kill()
    driver.communicate()
    before = read_study(folder)
    kept = before.trials[0]
    assert kept.verdict is Verdict.COMPLETED
    stamps = {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*") if path.is_file()}

    finish(start(tmp_path, "resume", str(folder)))
    after = read_study(folder)
    assert after.verdicts == {"completed": 3}
    assert {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*") if path.is_file()} == stamps
    for trial in after.trials:
        assert [row["epoch"] for row in trial.epochs] == [1, 2, 3, 4]
    assert after.trials[1].epochs[:2] == before.trials[1].epochs[:2]
    points = [tuple(sorted(trial.point.items())) for trial in after.trials]
    assert len(set(points)) == 3


def test_ctrl_c_leaves_a_study_that_goes_on_with_more_trials(shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=1, epochs=10))
    wait_for(lambda: (folder / "study.yaml").exists() and epochs_of(folder, 0))
    os.kill(driver.pid, signal.SIGTERM)
    said = finish(driver, 130)
    assert f"yolotune resume {folder.relative_to(tmp_path)}" in said
    assert read_study(folder).verdicts == {"interrupted": 1}
    assert (folder / "trials" / "0000" / "weights" / "last.pt").exists()

    study = load_settings(folder, {"num_samples": 2})
    record = yolotune.resume(folder, study)
    assert record.verdicts == {"completed": 2}
    assert [[row["epoch"] for row in trial.epochs] for trial in record.trials] == [list(range(1, 11))] * 2
    with pytest.raises(UserError, match=r"space: .*cls was 'uniform\(0.3, 3.0\)', is None"):
        yolotune.resume(folder, load_settings(folder, {"space": {"lr0": "uniform(0.001, 0.002)"}}))


def test_a_time_budget_ends_a_study_in_good_order(shapes: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 500}
    record = yolotune.run(Settings(data=str(shapes), project=str(tmp_path), num_samples=3, budget="15s", **settings))
    assert record.verdicts == {"interrupted": 1}
    ending = record.trials[0].ending
    assert ending is not None and ending.reason == "the budget of 15 s was spent"
    again = yolotune.resume(record.folder)
    assert again.epochs_trained == record.epochs_trained, "the time of before counts"


def test_a_second_process_on_the_same_study_is_refused_and_named(shapes: Path, tmp_path: Path) -> None:
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=1, epochs=500))
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists())
    second = start(tmp_path, "resume", str(folder))
    said = finish(second, 2, seconds=30)
    driver.kill()
    driver.communicate()
    assert f"process {driver.pid}" in said


def test_three_equal_failures_at_the_start_end_the_study(shapes: Path, tmp_path: Path) -> None:
    from yolotune.tuner import runner as engine
    from yolotune.tuner.check import check

    settings = {**SETTINGS, "epochs": 2}
    plan = check(Settings(data=str(shapes), project=str(tmp_path), num_samples=8, **settings))
    gone = dataclasses.replace(plan, model=str(tmp_path / "gone.pt"))
    with pytest.raises(StudyFailed, match=r"(?s)the first 3 trials failed alike.*Traceback"):
        engine.run(gone)
    assert len(read_study(tmp_path / "study").trials) == 3
