"""Nothing is lost: real signals against real studies of YOLO11n-seg trainings, asserted on the files they leave."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from processes import SETTINGS, epochs_of, finish, start, trial_process, wait_for, write_study
from studies import resume, search
from wandb_reader import read_run
from yolotune.config.layers import make_settings
from yolotune.errors import StudyFailed, UserError
from yolotune.metrics import overfitting
from yolotune.record.study import read_study
from yolotune.record.verdict import Verdict
from yolotune.tuner.check import check
from yolotune.tuner.events import Listener
from yolotune.workflows.running import run_plan


def test_a_killed_trial_continues_from_its_last_epoch(shapes: Path, tmp_path: Path, figure: Any) -> None:
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=1, epochs=10, wandb="offline"))
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists() and len(epochs_of(folder, 0)) >= 2)
    worker = wait_for(lambda: trial_process(driver.pid))
    killed_at, began = len(epochs_of(folder, 0)), time.monotonic()
    worker.kill()
    wait_for(lambda: len(epochs_of(folder, 0)) > killed_at + 1)  # one may have been on its way
    figure("YOLO training killed to next epoch, s", time.monotonic() - began)
    said = finish(driver, 1)  # ten epochs from random weights learn nothing
    assert epochs_of(folder, 0) == list(range(1, 11)), said
    assert "No trial has learned anything." in said
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


def test_a_killed_driver_loses_nothing_and_trains_nothing_twice(shared_ray: None, shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=3, epochs=3))
    wait_for(lambda: (folder / "study.yaml").exists() and len(epochs_of(folder, 1)) >= 1)
    driver.kill()
    driver.communicate()
    before = read_study(folder)
    kept = before.trials[0]
    assert kept.verdict is Verdict.COMPLETED
    stamps = {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*") if path.is_file()}

    after = resume(folder)
    assert after.verdicts == {"completed": 3}
    assert {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*") if path.is_file()} == stamps
    for trial in after.trials:
        assert [row["epoch"] for row in trial.epochs] == [1, 2, 3]
    assert after.trials[1].epochs[:1] == before.trials[1].epochs[:1]
    points = [tuple(sorted(trial.point.items())) for trial in after.trials]
    assert len(set(points)) == 3


def test_sigterm_leaves_a_study_that_is_resumed_with_more_trials(
    shared_ray: None, shapes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=1, epochs=8))
    wait_for(lambda: (folder / "study.yaml").exists() and epochs_of(folder, 0))
    os.kill(driver.pid, signal.SIGTERM)
    said = finish(driver, 130)
    assert f"yolotune resume {folder.relative_to(tmp_path)}" in said
    assert read_study(folder).verdicts == {"interrupted": 1}
    assert (folder / "trials" / "0000" / "weights" / "last.pt").exists()

    record = resume(folder, num_samples=2)
    assert record.verdicts == {"completed": 2}
    assert [[row["epoch"] for row in trial.epochs] for trial in record.trials] == [list(range(1, 9))] * 2
    with pytest.raises(UserError, match=r"space: .*cls was 'uniform\(0.3, 3.0\)', is None"):
        resume(folder, space={"lr0": "uniform(0.001, 0.002)"})


def test_a_time_budget_ends_a_study_in_good_order(shared_ray: None, shapes: Path, tmp_path: Path) -> None:
    given = {**SETTINGS, "epochs": 500, "num_samples": 3, "budget": "12s"}
    record = search(shapes, tmp_path, **given)
    assert record.verdicts == {"interrupted": 1}
    ending = record.trials[0].ending
    assert ending is not None and ending.reason == "the budget of 12 s was spent"
    again = resume(record.folder)
    assert again.epochs_trained == record.epochs_trained, "the time of before counts"


def test_a_second_process_on_the_same_study_is_refused_and_named(shapes: Path, tmp_path: Path) -> None:
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, num_samples=1, epochs=500))
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists())
    with pytest.raises(UserError, match=f"process {driver.pid}"):
        resume(folder)
    driver.kill()
    driver.communicate()


def test_three_equal_failures_at_the_start_end_the_study(shared_ray: None, shapes: Path, tmp_path: Path) -> None:
    given = {**SETTINGS, "epochs": 2, "data": str(shapes), "project": str(tmp_path), "num_samples": 8}
    gone = dataclasses.replace(check(make_settings(**given)), model=str(tmp_path / "gone.pt"))
    with pytest.raises(StudyFailed, match=r"(?s)the first 3 trials failed alike.*Traceback"):
        run_plan(gone, Listener())
    assert len(read_study(tmp_path / "study").trials) == 3
