"""Halving through the real engine: pauses, resumes and cuts are those that the arithmetic foretells, come what may."""

from __future__ import annotations

import contextlib
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

from processes import SETTINGS as PROCESS
from processes import finish, start, trial_process, wait_for, write_study
from standin import StandIn
from studies import resume, search
from wandb_reader import read_run
from yolotune.config.layers import load_settings
from yolotune.metrics import overfitting
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.record.verdict import Verdict
from yolotune.schedulers import Report
from yolotune.schedulers.halving import SuccessiveHalving

SETTINGS: dict[str, Any] = {
    "concurrent": 2,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "search": "random",
    "plateau": None,
    "wandb": "disabled",
}
#: Two batches of 3, one rung at epoch 2.
SMALL: dict[str, Any] = {
    **SETTINGS,
    "epochs": 5,
    "num_samples": 6,
    "scheduler": {"name": "halving", "grace_period": 2, "batch": 3},
}
#: Two batches of 9, rungs at epochs 1, 3 and 9: of 9 trials 6 are cut, then 2, and the last one trains to the end.
LARGE: dict[str, Any] = {
    **SETTINGS,
    "epochs": 12,
    "num_samples": 18,
    "scheduler": {"name": "halving", "grace_period": 1},
}


def run(folder: Path, shapes: Path, settings: dict[str, Any]) -> StudyRecord:
    """Runs a study that nothing happens to."""
    return search(shapes, folder, by=StandIn, **{**PROCESS, **settings})


@pytest.fixture(scope="module")
def undisturbed(shared_ray: None, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
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
        cut = [m.milestone for m in rules.reached_rungs() if trial.number in m.scores and trial.number not in m.kept]
        wanted = min(cut, default=record.settings.epochs)
        assert [row["epoch"] for row in trial.epochs] == list(range(1, wanted + 1))
        assert trial.verdict is (Verdict.PRUNED if cut else Verdict.COMPLETED)
        if cut:
            assert rules.judge(Report(trial.number, trial.point, wanted, trial.epochs[-1])).ending == trial.ending
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
    assert "yolotune resume" in said and "Traceback" not in said and "raylet" not in said
    left = read_study(folder)
    assert left.verdicts.get("interrupted", 0) >= 2 and "running" not in left.verdicts
    assert (left.trials[0].folder / "weights").exists()
    record = resume(folder, by=StandIn)
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
    rungs = {"name": scheduler, "grace_period": 1}
    settings = {**LARGE, "num_samples": 36, "scheduler": rungs, "max_failures": 50}
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


def test_a_paused_yolo_training_continues_in_the_same_run(shared_ray: None, shapes: Path, tmp_path: Path) -> None:
    """Two trials meet after the first of three epochs; both have F1 0, so the one with the lower number goes on."""
    scheduler = {"name": "halving", "grace_period": 1, "batch": 2, "rank": "best"}
    given = {**PROCESS, "num_samples": 2, "epochs": 3, "wandb": "offline", "scheduler": scheduler}
    record = search(shapes, tmp_path, **given)
    kept, cut = record.trials
    assert (kept.verdict, cut.verdict, len(cut.epochs)) == (Verdict.COMPLETED, Verdict.PRUNED, 1)
    log = (kept.folder / "train.log").read_text()
    assert "Resuming training" in log

    first, second = (read_run(run) for run in sorted((record.folder / "wandb").glob("offline-run-*-0000")))
    assert first.id == second.id and (first.summary["verdict"], second.summary["verdict"]) == ("paused", "completed")
    assert not first.artifacts and second.artifacts, "model and curves come at the end"
    logged = {row["epoch"]: row for run in (first, second) for row in run.rows()}
    assert list(logged.values()) == [{**row, **overfitting(row)} for row in kept.epochs]
