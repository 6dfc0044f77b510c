"""W&B as a study leaves it: offline runs of the real client, compared with the record number by number."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import yolotune
from wandb_process import Server
from wandb_reader import Run, read_run
from yolotune.config.settings import Settings
from yolotune.errors import StudyFailed
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.tracking.wandb import CURVES, overfitting

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


@pytest.fixture(scope="module")
def study(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Completed and pruned trials: the gain of the class loss decides who is cut at the first rung."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", KEY)
        return yolotune.run(
            Settings(
                data=str(shapes),
                project=str(tmp_path_factory.mktemp("project")),
                num_samples=4,
                objective="val/cls_loss",
                points=[{"lr0": 0.0011, "cls": cls, "batch": 6} for cls in (2.9, 0.3, 2.8)],
                asha={"grace_period": 1, "reduction_factor": 2},
                plateau=None,
                **SETTINGS,
            )
        )


def run_of(record: StudyRecord, name: str) -> Run:
    (folder,) = (record.folder / "wandb").glob(f"offline-run-*-{record.settings['uid']}-{name}")
    return read_run(folder)


def compare(record: StudyRecord, trial: TrialRecord) -> Run:
    """Asserts that a trial's run says what its record says, and returns it."""
    run = run_of(record, f"{trial.number:04d}")
    assert run.name == f"trial-{trial.number:04d}" and run.group == "study" and run.job_type == "trial"
    assert str(trial.verdict) in run.tags
    assert run.rows() == [{**row, **overfitting(row)} for row in trial.epochs]
    assert trial.point.items() <= run.config.items()
    assert run.summary["verdict"] == str(trial.verdict)
    assert (run.summary["best_epoch"], run.summary["value"]) == (trial.best_epoch, trial.value)
    assert run.exit_code == 0
    model = run.artifacts[f"best_model_trial_{run.id}"]
    assert model["type"] == "model" and model["aliases"] == {"best", "latest"} and set(model["files"]) == {"best.pt"}
    assert set(run.artifacts[f"curves_trial_{run.id}"]["files"]) == set(CURVES)
    return run


def test_each_run_says_what_the_record_says(study: StudyRecord) -> None:
    assert {"completed", "pruned"} == set(study.verdicts)
    for trial in study.trials:
        compare(study, trial)


def test_the_studys_own_run_has_the_table_and_the_best_point(study: StudyRecord) -> None:
    run = run_of(study, "study")
    assert run.job_type == "study" and run.exit_code == 0
    assert study.best is not None
    assert any("best.yaml" in artifact["files"] for artifact in run.artifacts.values())


def test_the_key_is_written_nowhere(study: StudyRecord) -> None:
    session_logs = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "session_latest" / "logs"
    places = [str(study.folder), *([str(session_logs)] if session_logs.exists() else [])]
    assert subprocess.run(["grep", "-rl", KEY, *places], capture_output=True, text=True).stdout == ""


def test_a_plateaued_trial_is_a_finished_run(shapes: Path, tmp_path: Path) -> None:
    plateau = {"rule": "std", "std": 5.0, "num_results": 2, "grace_period": 2}
    record = yolotune.run(
        Settings(data=str(shapes), project=str(tmp_path), num_samples=1, asha=None, plateau=plateau, **SETTINGS)
    )
    assert record.verdicts == {"plateaued": 1}
    compare(record, record.trials[0])


def test_a_diverged_trial_is_a_finished_run_without_a_model(shapes: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "train": {**SETTINGS["train"], "box": 1e38}}
    with pytest.raises(StudyFailed, match="no trial has a value"):
        yolotune.run(Settings(data=str(shapes), project=str(tmp_path), num_samples=2, **settings))
    record = read_study(tmp_path / "study")
    for trial in record.trials:
        assert trial.verdict == "diverged" and trial.value is None and len(trial.epochs) == 1
        run = run_of(record, f"{trial.number:04d}")
        assert run.exit_code == 0 and run.summary["verdict"] == "diverged" and "diverged" in run.tags
        finite = {name: value for name, value in trial.epochs[0].items() if value is not None}
        (row,) = run.rows()
        assert {name: row[name] for name in finite} == finite
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


@pytest.mark.parametrize("behaviour", ["401", "500", "hang", "nothing listens"])
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
    for folder in (record.folder / "wandb").glob(f"*run-*-{record.settings['uid']}-0000"):
        logged |= {row["epoch"]: row for row in read_run(folder).rows()}
    assert [logged[epoch] for epoch in sorted(logged)] == [{**row, **overfitting(row)} for row in trial.epochs]
    assert said.count("wandb sync ") == 1 and KEY not in said
