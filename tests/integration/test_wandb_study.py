"""W&B as a study leaves it: runs of the real client, compared with the record number by number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from wandb_process import Server
from wandb_reader import Run, read_run
from wandb_runs import expected, offline_runs, tracker_of
from yolotune.config.layers import make_settings
from yolotune.metrics import overfitting
from yolotune.record.study import StudyRecord, TrialRecord, read_study, trial_folder
from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking.wandb_runs import CURVES
from yolotune.training.job import Job
from yolotune.training.messages import TrainingTask
from yolotune.training.session import TrainingSession, TrainingThread
from yolotune.tuner.events import Listener
from yolotune.workflows.search import search

SETTINGS: dict[str, Any] = {
    "model": "yolo11n-seg.yaml",
    "epochs": 4,
    "imgsz": 64,
    "device": "cpu",
    "cpus": 2,
    "wandb": "offline",
    "space": {"lr0": "loguniform(1e-3, 2e-2)", "cls": "uniform(0.3, 3.0)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "nbs": 8, "mosaic": 0.0, "warmup_bias_lr": 0.0},
}
KEY = "c0ffee" * 7  # shaped like a key, and found nowhere else


class RayLogs(Listener):
    """Keeps what Ray has logged while it runs; its folder goes with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None:
        from ray._private.worker import _global_node

        logs = Path(_global_node.get_session_dir_path()) / "logs"
        shutil.copytree(
            logs,
            self.folder,
            dirs_exist_ok=True,
            ignore=lambda folder, _: [
                name.name for name in Path(folder).iterdir() if name.is_socket() or name.is_symlink()
            ],
        )


@pytest.fixture(scope="module")
def study(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Completed and pruned trials: the gain of the class loss decides who is cut at the first rung."""
    given = {
        "data": str(shapes),
        "project": str(tmp_path_factory.mktemp("project")),
        "num_samples": 4,
        "objective": "val/cls_loss",
        "points": [{"lr0": 0.0011, "cls": cls, "batch": 6} for cls in (2.9, 0.3, 2.8)],
        "scheduler": {"name": "asha", "grace_period": 1, "reduction_factor": 2},
        "plateau": None,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", KEY)
        return search(make_settings(**{**SETTINGS, **given}), RayLogs(Path(given["project"]) / "ray-logs"))


def run_of(record: StudyRecord, name: str) -> Run:
    (folder,) = (record.folder / "wandb").glob(f"offline-run-*-{record.uid}-{name}")
    return read_run(folder)


def compare(record: StudyRecord, trial: TrialRecord) -> None:
    """Asserts that a trial's run says what its record says."""
    run = run_of(record, f"{trial.number:04d}")
    assert run.name == f"trial-{trial.number:04d}" and run.group == "study" and run.job_type == "trial"
    assert str(trial.verdict) in run.tags
    assert run.rows() == expected(trial.epochs)
    assert trial.point.items() <= run.config.items()
    assert run.summary["verdict"] == str(trial.verdict)
    assert (run.summary["best_epoch"], run.summary["value"]) == (trial.best_epoch, trial.value)
    assert run.exit_code == 0
    model = run.artifacts[f"best_model_trial_{run.id}"]
    assert model["type"] == "model" and model["aliases"] == {"best", "latest"} and set(model["files"]) == {"best.pt"}
    assert set(run.artifacts[f"curves_trial_{run.id}"]["files"]) == set(CURVES)


def test_each_run_says_what_the_record_says(study: StudyRecord) -> None:
    assert {"completed", "pruned"} == set(study.verdicts)
    for trial in study.trials:
        compare(study, trial)


def test_the_studys_own_run_has_the_table_and_the_best_point(study: StudyRecord) -> None:
    run = run_of(study, "study")
    assert run.job_type == "study" and run.exit_code == 0
    assert study.best is not None
    assert run.summary["best_trial"] == study.best.number and run.summary["value"] == study.best.value
    assert any("best.yaml" in artifact["files"] for artifact in run.artifacts.values())


def test_the_key_is_written_nowhere(study: StudyRecord) -> None:
    ray_logs = study.folder.parent / "ray-logs"
    assert any(ray_logs.glob("worker-*")), "of the processes that train"
    places = [str(study.folder), str(ray_logs)]
    assert subprocess.run(["grep", "-rl", KEY, *places], capture_output=True, text=True).stdout == ""


def test_a_diverged_training_is_a_finished_run_without_a_model(job: Job, tmp_path: Path) -> None:
    trial_folder(tmp_path, 0).mkdir(parents=True)
    tracker = tracker_of(tmp_path)
    training = TrainingSession(TrainingTask(0, {"box": 1e38}, None, job, tracker, tmp_path), TrainingThread())
    said = training.next()
    assert said.row is not None and said.ending is not None and said.ending.verdict is Verdict.DIVERGED
    (trial_folder(tmp_path, 0) / "epochs.jsonl").write_text(json.dumps(said.row) + "\n")
    training.end(said.ending)
    training.join()

    (run,) = offline_runs(tracker, "0000")
    assert (run.exit_code, run.summary["verdict"], run.tags[-1]) == (0, "diverged", "diverged")
    assert run.rows() == expected([said.row])
    assert f"best_model_trial_{run.id}" not in run.artifacts


def command_line(folder: Path, data: Path, server: Server, **changes: Any) -> subprocess.Popen[str]:
    """Starts a study of one trial with a key, against a server of ours."""
    settings = {**SETTINGS, "wandb": "auto", "data": str(data), "project": str(folder), "num_samples": 1, **changes}
    (folder / "wanted.yaml").write_text(yaml.safe_dump(settings))
    given = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return subprocess.Popen(
        [sys.executable, "-m", "yolotune", "run", str(folder / "wanted.yaml")],
        env={**kept, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# What the others do before the study is the same from there on: test_server.py tells them apart.
@pytest.mark.parametrize(
    "behaviour", ["hang", *(pytest.param(one, marks=pytest.mark.slow) for one in ("401", "500", "nothing listens"))]
)
def test_no_server_keeps_a_study_waiting_or_loses_it_a_trial(behaviour: str, shapes: Path, tmp_path: Path) -> None:
    server = Server("ok" if behaviour == "nothing listens" else behaviour)
    if behaviour == "nothing listens":
        server.kill()
    began = time.time()
    said, _ = command_line(tmp_path, shapes, server, epochs=2).communicate(timeout=120)
    server.kill()
    record = read_study(tmp_path / "study")
    assert record.verdicts == {"completed": 1}, said
    compare(record, record.trials[0])
    assert said.count("kept offline") == 1 and said.count("wandb sync ") == 1 and KEY not in said
    assert (tmp_path / "study" / "study.yaml").stat().st_mtime - began < 10 + 5, "the check itself takes up to 5 s"


@pytest.mark.slow
def test_a_server_that_dies_during_a_trial_costs_nothing_but_the_upload(shapes: Path, tmp_path: Path) -> None:
    server = Server("ok")
    study = command_line(tmp_path, shapes, server, epochs=12)
    reports = tmp_path / "study" / "trials" / "0000" / "epochs.jsonl"
    deadline = time.monotonic() + 100
    while not (reports.exists() and reports.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    server.kill()
    said, _ = study.communicate(timeout=240)
    record = read_study(tmp_path / "study")
    assert record.verdicts == {"completed": 1}, said
    trial = record.trials[0]
    logged: dict[int, dict[str, Any]] = {}
    for folder in (record.folder / "wandb").glob(f"*run-*-{record.uid}-0000"):
        logged |= {row["epoch"]: row for row in read_run(folder).rows()}
    assert [logged[epoch] for epoch in sorted(logged)] == [{**row, **overfitting(row)} for row in trial.epochs]
    assert said.count("wandb sync ") == 1 and KEY not in said
