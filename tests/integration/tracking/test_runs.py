"""W&B's runs with the real client: what it wrote is read back from its files and compared with what was reported."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from wandb_runs import CONFIG, KEY, expected, offline_runs, report, result, tracker_of, trial_files, warnings
from yolotune.record.verdict import PAUSED, Ending, Verdict
from yolotune.tracking import TrialSummary, WandbTracker
from yolotune.tracking.wandb_client import RunThread, outage
from yolotune.tracking.wandb_runs import CURVES


@pytest.mark.parametrize(
    ("verdict", "epochs", "exit_code"),
    [
        (Verdict.COMPLETED, 5, 0),
        (Verdict.PRUNED, 2, 0),
        (Verdict.PLATEAUED, 4, 0),
        (Verdict.DIVERGED, 3, 0),
        (Verdict.OOM, 1, 0),
        (Verdict.INTERRUPTED, 2, 0),
        (Verdict.FAILED, 1, 1),
    ],
)
def test_an_offline_run_holds_the_trial_exactly_as_it_was(
    tracker: WandbTracker, tmp_path: Path, verdict: Verdict, epochs: int, exit_code: int
) -> None:
    rows = [report(epoch, train=0.2) for epoch in range(1, epochs + 1)]
    if verdict is Verdict.DIVERGED:
        rows[-1]["train/box"] = math.nan

    run = tracker.open_trial(7, CONFIG)
    for row in rows:
        run.log_epoch(row)
    run.finish(result(verdict, "for a reason", value=0.12, effective={"batch": 8}, **trial_files(tmp_path / "trial")))

    (seen,) = offline_runs(tracker, "0007")
    assert seen.rows() == expected(rows)
    assert [row["_step"] for row in seen.history][: len(rows)] == [row["epoch"] for row in rows]
    assert seen.axes == {"*": "epoch"}
    assert (seen.id, seen.name, seen.project) == ("0a1b2c3d-0007", "trial-0007", "shapes")
    assert (seen.group, seen.job_type, seen.exit_code) == ("my study", "trial", exit_code)
    assert seen.tags == ("tpe", "asha", str(verdict))
    assert seen.config == {**CONFIG, "batch": 8}
    summary = {"reason": "for a reason", "best_epoch": 1, "value": 0.12, "overfitting": "warning"}
    assert {"verdict": str(verdict), **summary}.items() <= seen.summary.items()
    model = seen.artifacts["best_model_trial_0a1b2c3d-0007"]
    assert (model["type"], model["aliases"], set(model["files"])) == ("model", {"best", "latest"}, {"best.pt"})
    assert set(seen.artifacts["curves_trial_0a1b2c3d-0007"]["files"]) == set(CURVES)
    images = {name for name in seen.history[-1] if name.startswith("curves/")}
    assert images == {f"curves/{Path(name).stem}" for name in CURVES if not name.endswith(".csv")}


def test_staged_artifacts_lie_in_the_study_and_stay_as_they_were(tracker: WandbTracker, tmp_path: Path) -> None:
    files = trial_files(tmp_path / "trial")
    run = tracker.open_trial(0, CONFIG)
    run.finish(result(Verdict.INTERRUPTED, "Ctrl-C", **files))
    files["weights"].write_bytes(b"other weights of the continued trial")

    (seen,) = offline_runs(tracker, "0000")
    staged = seen.artifacts["best_model_trial_0a1b2c3d-0000"]["files"]["best.pt"]
    assert staged.is_relative_to(tracker.folder)
    assert staged.read_bytes() == b"weights"
    assert not [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_CONFIG_DIR"]


def test_files_that_are_missing_are_left_out(tracker: WandbTracker, tmp_path: Path) -> None:
    files = trial_files(tmp_path / "trial", without=("results.png", "labels.jpg"))
    files["weights"].unlink()
    tracker.open_trial(0, CONFIG).finish(result(Verdict.FAILED, "no epoch", value=None, **files))
    tracker.open_trial(1, CONFIG).finish(result(Verdict.FAILED, "nothing at all", value=None))

    (first,), (second,) = offline_runs(tracker, "0000"), offline_runs(tracker, "0001")
    assert set(first.artifacts) == {"curves_trial_0a1b2c3d-0000"}
    assert len(first.artifacts["curves_trial_0a1b2c3d-0000"]["files"]) == 11
    assert (second.artifacts, second.summary["value"], second.exit_code) == ({}, None, 1)


def test_a_paused_trial_continues_under_the_same_id(tracker: WandbTracker) -> None:
    rows = [report(epoch) for epoch in range(1, 4)]
    run = tracker.open_trial(2, CONFIG)
    run.log_epoch(rows[0])
    run.pause()
    time.sleep(1)  # wandb names folders by the second
    run = tracker.open_trial(2, CONFIG)
    for row in rows[1:]:
        run.log_epoch(row)
    run.finish(result())

    paused, continued = offline_runs(tracker, "0002")
    assert paused.rows() + continued.rows() == expected(rows)
    assert (paused.summary["verdict"], paused.exit_code) == (PAUSED, 0)
    assert continued.summary["verdict"] == "completed" and continued.id == paused.id


def test_the_end_of_a_trial_may_overlap_with_the_next_one(tracker: WandbTracker, tmp_path: Path) -> None:
    rows = [report(epoch) for epoch in range(1, 4)]
    files = {number: trial_files(tmp_path / str(number)) for number in range(3)}
    ends = []
    for number in range(3):  # as in a worker that trains one trial after another
        run = tracker.open_trial(number, CONFIG)
        for row in rows:
            run.log_epoch(row)
        ends.append(threading.Thread(target=run.finish, args=[result(**files[number])]))
        ends[-1].start()
    for end in ends:
        end.join(30)

    for number in range(3):
        (seen,) = offline_runs(tracker, f"{number:04d}")
        assert (seen.rows(), seen.exit_code) == (expected(rows), 0)
        staged = [path for artifact in seen.artifacts.values() for path in artifact["files"].values()]
        assert len(staged) == 1 + len(CURVES)
        assert all(path.is_relative_to(tracker.folder) and path.is_file() for path in staged)
    assert not [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_CONFIG_DIR"]


def test_the_study_run_shows_the_table_the_best_so_far_and_best_yaml(tracker: WandbTracker, tmp_path: Path) -> None:
    best_yaml = tmp_path / "best.yaml"
    best_yaml.write_text("lr0: 0.001\n")

    def ended(number: int, verdict: Verdict, epoch: int | None, value: float | None, total: int) -> TrialSummary:
        return TrialSummary(number, {"lr0": (number + 1) / 10}, Ending(verdict, ""), epoch, value, total)

    run = tracker.open_study({"epochs": 3, "space": {"lr0": [0.001, 0.1]}}, "max")
    run.trial_ended(ended(0, Verdict.COMPLETED, 3, 0.5, 3), log=False)
    run.trial_ended(ended(1, Verdict.PRUNED, 1, 0.3, 4))
    run.trial_ended(ended(2, Verdict.FAILED, None, None, 4))
    run.trial_ended(ended(3, Verdict.COMPLETED, 2, 0.7, 7))
    run.finish(3, best_yaml)

    (seen,) = offline_runs(tracker, "study")
    best = [(row["trials"], row["epochs"], row["best/over_trials"], row["best/over_epochs"]) for row in seen.rows()]
    assert best == [(2, 4, 0.5, 0.5), (3, 4, 0.5, 0.5), (4, 7, 0.7, 0.7)]
    assert (seen.axes["best/over_trials"], seen.axes["best/over_epochs"]) == ("trials", "epochs")
    table = seen.history[-1]["trials_table"]
    (folder,) = tracker.folder.glob("offline-run-*-study")
    kept = json.loads((folder / "files" / table["path"]).read_text())
    assert kept["columns"] == ["trial", "lr0", "verdict", "best_epoch", "value"]
    assert kept["data"] == [
        [0, 0.1, "completed", 3, 0.5],
        [1, 0.2, "pruned", 1, 0.3],
        [2, 0.3, "failed", None, None],
        [3, 0.4, "completed", 2, 0.7],
    ]
    assert (seen.job_type, seen.group, seen.name, seen.exit_code) == ("study", "my study", "my study", 0)
    assert seen.summary["best_trial_run_id"] == "0a1b2c3d-0003"
    assert seen.summary["best_artifact"] == "best_model_trial_0a1b2c3d-0003:latest"
    assert set(seen.artifacts["best_config_0a1b2c3d"]["files"]) == {"best.yaml"}


def test_a_sigkilled_trial_loses_no_more_than_five_seconds_and_continues_the_same_run(tracker: WandbTracker) -> None:
    rows = [report(epoch) for epoch in range(1, 6)]
    script = (
        "import json, pickle, sys, time\n"
        "tracker, rows = pickle.loads(bytes.fromhex(sys.argv[1])), json.loads(sys.argv[2])\n"
        "run = tracker.open_trial(3, {'lr0': 0.1})\n"
        "for row in rows: run.log_epoch(row)\n"
        "print('logged', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, pickle.dumps(tracker).hex(), json.dumps(rows[:3])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "logged\n"
            deadline = time.monotonic() + 5
            while [len(run.rows()) for run in offline_runs(tracker, "0003")] != [3]:
                assert time.monotonic() < deadline, "rows are not on the disk"
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)

    run = tracker.open_trial(3, {"lr0": 0.1})
    for row in rows[3:]:
        run.log_epoch(row)
    run.finish(result(best_epoch=5, value=0.5))

    killed, continued = offline_runs(tracker, "0003")
    assert killed.rows() + continued.rows() == expected(rows)
    assert (killed.exit_code, continued.exit_code) == (None, 0)
    assert (killed.name, killed.group, killed.config) == (continued.name, continued.group, continued.config)


def test_runs_that_train_a_point_again_say_where_it_is_from(tmp_path: Path) -> None:
    lineage = {"search_uid": "feed", "search_trial": 7, "search_run_id": "feed-0007"}
    tracker = tracker_of(tmp_path, kind="retrain", group="the search", lineage=lineage)
    study, run = tracker.open_study({"epochs": 3}, "max"), tracker.open_trial(0, CONFIG)
    run.finish(result())
    study.finish(0, None)

    (of_trial,), (of_study,) = offline_runs(tracker, "0000"), offline_runs(tracker, "study")
    assert (of_trial.config, of_study.config) == ({**CONFIG, **lineage}, {"epochs": 3, **lineage})
    assert (of_trial.name, of_trial.job_type, of_study.job_type) == ("retrain-0000", "retrain", "study")
    assert of_trial.group == of_study.group == "the search"


def test_wandbs_own_variables_go_before_what_the_study_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "WANDB_PROJECT": "theirs",
        "WANDB_ENTITY": "team",
        "WANDB_RUN_GROUP": "group",
        "WANDB_JOB_TYPE": "sweep",
        "WANDB_TAGS": "one, tpe",
        "WANDB_DIR": str(tmp_path / "elsewhere"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    tracker = tracker_of(tmp_path / "study", uid="u", project="our/project", tags=("tpe",))
    for name in given:
        monkeypatch.delenv(name)  # as in a trial on another machine
    tracker.open_trial(0, {}).finish(result(Verdict.PRUNED))

    assert (tracker.entity, tracker.folder) == ("team", tmp_path / "elsewhere" / "wandb")
    (seen,) = offline_runs(tracker, "0000")
    assert (seen.project, seen.group, seen.job_type) == ("theirs", "group", "sweep")
    assert seen.tags == ("tpe", "one", "pruned")
    assert tracker.notes() == [f"wandb sync {tmp_path}/elsewhere/wandb/offline-run-*-u-*"]


def test_a_client_that_breaks_is_reported_once_and_never_raises(
    tracker: WandbTracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def broken(**_: Any) -> None:
        raise RuntimeError(f"no luck with {KEY}")

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb, "init", broken)
    run = tracker.open_trial(0, CONFIG)
    run.log_epoch(report(1))
    run.finish(result())
    assert warnings(caplog) == ["W&B: opening a run failed: RuntimeError: no luck with ***"]


def test_a_client_that_never_returns_cannot_hold_a_trial(tracker: WandbTracker) -> None:
    release = threading.Event()
    opened = RunThread("offline", tracker.folder, {"id": "x", "project": "p"})
    opened.do("waiting", lambda run: release.wait(20))
    began = time.monotonic()
    opened.finish(lambda run: None, 0, seconds=0.3)
    assert time.monotonic() - began < 2
    assert "was not finished after" in str(outage(tracker.folder))
    release.set()
    opened._thread.join(20)
