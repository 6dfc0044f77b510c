"""Halving through the real engine: pauses, resumes and cuts are those that the arithmetic foretells, come what may."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from processes import finish, start, trial_process, wait_for, write_study
from wandb_reader import read_run
from yolotune.config.settings import load_settings
from yolotune.record.study import StudyRecord, TrialRecord, Verdict, read_study
from yolotune.schedulers.halving import SuccessiveHalving
from yolotune.tracking.wandb import overfitting
from yolotune.training.job import Job, Order
from yolotune.training.trainer import TrialTrainer
from yolotune.tuner import runner as engine
from yolotune.tuner.check import check

SETTINGS: dict[str, Any] = {
    "concurrent": 2,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "scheduler": "halving",
    "search": "random",
    "plateau": None,
    "wandb": "disabled",
}
#: Two batches of 3, one rung at epoch 2.
SMALL: dict[str, Any] = {**SETTINGS, "epochs": 5, "num_samples": 6, "asha": {"grace_period": 2, "batch": 3}}
#: Two batches of 9, rungs at epochs 1, 3 and 9: of 9 trials 6 are cut, then 2, and the last one trains to the end.
LARGE: dict[str, Any] = {**SETTINGS, "epochs": 12, "num_samples": 18, "asha": {"grace_period": 1}}


def run(folder: Path, shapes: Path, settings: dict[str, Any]) -> StudyRecord:
    """Runs a study that nothing happens to."""
    finish(start(folder, "run", write_study(folder, shapes, **settings), stand_in=True))
    return read_study(folder / "study")


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return run(tmp_path_factory.mktemp("undisturbed"), shapes, SMALL)


def decided(record: StudyRecord) -> list[Any]:
    """All that a study has found: points, epoch reports, verdicts with their reasons."""
    return [(trial.number, trial.point, trial.epochs, trial.ending, trial.value) for trial in record.trials]


def began(trial: TrialRecord) -> list[int]:
    """Returns the epochs from which processes trained a trial."""
    lines = (trial.folder / "train.log").read_text().splitlines()
    return [int(line.split()[4]) for line in lines if line.startswith("process")]


def processes(trial: TrialRecord) -> list[int]:
    """Returns the processes that trained a trial, by their numbers."""
    lines = (trial.folder / "train.log").read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("process")]


def finished(trial: TrialRecord) -> list[int]:
    """Returns after how many epochs processes ended a trial without training it."""
    lines = (trial.folder / "train.log").read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("finish")]


def assert_foretold(record: StudyRecord) -> None:
    """Every trial trained exactly the epochs that follow from the curves, and ended in good order."""
    rules = SuccessiveHalving(load_settings(record.folder, {}))
    rules.rebuild(record.trials)
    for trial in record.trials:
        cut = [m.milestone for m in rules.all_meetings() if trial.number in m.scores and trial.number not in m.kept]
        wanted = min(cut, default=record.settings["epochs"])
        assert [row["epoch"] for row in trial.epochs] == list(range(1, wanted + 1))
        assert trial.ending is not None
        assert trial.verdict is (Verdict.PRUNED if cut else Verdict.COMPLETED)
        if cut:
            assert trial.ending.reason == rules.reason(trial.number)
        assert {path.name for path in (trial.folder / "weights").iterdir()} == {"best.pt"}


def test_a_study_trains_exactly_what_the_arithmetic_foretells(undisturbed: StudyRecord) -> None:
    assert Counter(len(trial.epochs) for trial in undisturbed.trials) == {2: 4, 5: 2}
    assert_foretold(undisturbed)
    assert all((trial.folder / "ended.yaml").exists() for trial in undisturbed.trials)
    for trial in undisturbed.trials:  # the last one to reach the rung goes on, or ends, in the process it has
        if trial.verdict is Verdict.COMPLETED:
            assert began(trial) in ([1, 3], [1]) and finished(trial) == []
        else:
            assert (began(trial), finished(trial)) in (([1, 3], [2]), ([1], []))
    assert sum(len(began(trial)) == 2 for trial in undisturbed.trials) >= 2
    assert len({process for trial in undisturbed.trials for process in processes(trial)}) <= 2, "one for each slot"


def test_ctrl_c_and_a_killed_trial_while_others_are_paused(
    shapes: Path, undisturbed: StudyRecord, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **SMALL), stand_in=True, STANDIN_EPOCH_S=0.5)
    wait_for(lambda: (folder / "study.yaml").exists() and any(trial.paused for trial in read_study(folder).trials))
    wait_for(lambda: kill_a_trial(driver.pid))
    wait_for(lambda: sum(trial.paused for trial in read_study(folder).trials) >= 2)
    os.kill(driver.pid, signal.SIGINT)
    said = finish(driver, 130)
    assert "yolotune resume" in said and "Traceback" not in said
    left = read_study(folder)
    assert left.verdicts.get("interrupted", 0) >= 2 and "running" not in left.verdicts
    assert (left.trials[0].folder / "weights").exists()
    finish(start(tmp_path, "resume", str(folder), stand_in=True))
    record = read_study(folder)
    assert decided(record) == decided(undisturbed)
    assert_foretold(record)


@pytest.mark.slow
def test_eighteen_trials_in_two_slots_killed_again_and_again(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "quiet").mkdir()
    quiet = run(tmp_path / "quiet", shapes, LARGE)
    assert Counter(len(trial.epochs) for trial in quiet.trials) == {1: 12, 3: 4, 12: 2}
    assert_foretold(quiet)
    assert all(len(began(trial)) == len(set(began(trial))) for trial in quiet.trials if not finished(trial))

    moment, folder = random.Random(5), tmp_path / "study"
    wanted = write_study(tmp_path, shapes, **LARGE)
    seen, trials_killed = 0, 0
    for _ in range(6):
        driver = start(tmp_path, "run", wanted, "--resume", stand_in=True, STANDIN_EPOCH_S=0.1)
        more = moment.randrange(12)
        wait_for(lambda: driver.poll() is not None or trained(folder) >= seen + more)  # noqa: B023
        if moment.random() < 0.5:
            trials_killed += kill_a_trial(driver.pid)
            time.sleep(moment.uniform(0, 3))
        driver.kill()
        driver.communicate()
        seen = trained(folder)
    assert trials_killed
    finish(start(tmp_path, "run", wanted, "--resume", stand_in=True))
    record = read_study(folder)
    assert decided(record) == decided(quiet)
    assert_foretold(record)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["halving", "asha"])
def test_processes_killed_at_random_cost_no_trial(scheduler: str, shapes: Path, tmp_path: Path) -> None:
    """At work, while they leave a training, and idle between two trials: reused processes are hit in all of these."""
    settings = {**LARGE, "num_samples": 36, "scheduler": scheduler, "max_failures": 50}
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True, STANDIN_EPOCH_S=0.1)
    moment, killed = random.Random(1), 0
    while driver.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(timeout=moment.uniform(0.6, 1.8))
        killed += kill_a_trial(driver.pid)
    finish(driver)
    record = read_study(tmp_path / "study")
    assert killed >= 3
    assert len(record.trials) == 36 and set(record.verdicts) <= {"completed", "pruned"}, record.verdicts
    assert all((trial.folder / "weights" / "best.pt").exists() for trial in record.trials)
    for trial in record.trials:
        assert [row["epoch"] for row in trial.epochs] == list(range(1, len(trial.epochs) + 1))


def kill_a_trial(driver: int) -> bool:
    """Kills the process of a trial, and says whether there was one: they come and go."""
    process = trial_process(driver)
    with contextlib.suppress(psutil.NoSuchProcess):
        if process is not None:
            process.kill()
            return True
    return False


def trained(folder: Path) -> int:
    return read_study(folder).epochs_trained if (folder / "study.yaml").exists() else 0


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns epoch reports without what the clock says."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_paused_yolo_training_goes_on_number_by_number_in_the_same_run(shapes: Path, tmp_path: Path) -> None:
    """Two trials meet after the first of three epochs; both have F1 0, so the one with the lower number goes on."""
    settings = {"num_samples": 2, "epochs": 3, "wandb": "offline", "scheduler": "halving"}
    asha = {"grace_period": 1, "batch": 2, "rank": "best"}
    finish(start(tmp_path, "run", write_study(tmp_path, shapes, **settings, asha=asha)))
    record = read_study(tmp_path / "study")
    kept, cut = record.trials
    assert (kept.verdict, cut.verdict, len(cut.epochs)) == (Verdict.COMPLETED, Verdict.PRUNED, 1)
    log = (kept.folder / "train.log").read_text()
    assert "Resuming training" in log

    whole: list[dict[str, Any]] = []
    plan = check(load_settings(record.folder, {"name": "whole"}))
    (tmp_path / "whole").mkdir()
    job = engine._prepare_job(plan, tmp_path / "whole")
    TrialTrainer(job, kept.point, tmp_path / "whole" / "0", lambda row, last: whole.append(row) or Order.GO).train()
    assert numbers(kept.epochs) == numbers(whole)

    first, second = (read_run(run) for run in sorted((record.folder / "wandb").glob("offline-run-*-0000")))
    assert first.id == second.id and (first.summary["verdict"], second.summary["verdict"]) == ("paused", "completed")
    assert not first.artifacts and second.artifacts, "model and curves come at the end"
    logged = {row["epoch"]: row for run in (first, second) for row in run.rows()}
    assert list(logged.values()) == [{**row, **overfitting(row)} for row in kept.epochs]


POINT = {"lr0": 0.01, "batch": 4}


def train(job: Job, folder: Path, after: int, order: Order, resume: Path | None = None) -> list[dict[str, Any]]:
    """Trains until an order is given after an epoch, and returns the reports."""
    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        rows.append(row)
        return order if row["epoch"] == after else Order.GO

    TrialTrainer(job, POINT, folder, on_epoch, resume).train()
    return rows


def test_a_training_that_is_left_equals_one_that_is_not(job: Job, tmp_path: Path) -> None:
    """The mosaic closes with the first epoch after the pause, and a step of the optimizer spans it."""
    fixed = {**job.fixed, "close_mosaic": 2, "optimizer": "SGD", "nbs": 16}
    job = dataclasses.replace(job, epochs=3, fixed=fixed)
    whole = train(job, tmp_path / "whole", 0, Order.GO)
    before = train(job, tmp_path / "left", 1, Order.LEAVE)
    weights = tmp_path / "left" / "weights"
    assert (weights / "state.pt").exists()
    after = train(job, tmp_path / "left", 0, Order.GO, weights / "last.pt")
    assert numbers(before + after) == numbers(whole)
    assert {path.name for path in weights.iterdir()} == {"best.pt"}


def test_a_training_that_is_cut_while_it_is_paused_ends_as_one_that_is_stopped(job: Job, tmp_path: Path) -> None:
    train(job, tmp_path / "stopped", 1, Order.STOP)
    train(job, tmp_path / "left", 1, Order.LEAVE)
    cut = TrialTrainer(job, POINT, tmp_path / "left", lambda row, last: Order.GO, tmp_path / "left/weights/last.pt")
    cut.finish(1)
    held = {name: sorted(p.name for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("stopped", "left")}
    assert held["left"] == held["stopped"] and "results.png" in held["left"]
    best = [torch.load(tmp_path / name / "weights" / "best.pt", weights_only=False) for name in held]
    assert best[0]["optimizer"] is best[1]["optimizer"] is None
    weights = [one["model"].state_dict() for one in best]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert cut.final.keys() >= {"seg_metrics/F1", "box_metrics/F1"}
