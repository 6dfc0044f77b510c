"""Another Ultralytics task is one file and one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import changed, train
from yolotune import metrics
from yolotune.errors import UserError
from yolotune.training import tasks
from yolotune.training.job import Job
from yolotune.training.tasks import register_task, task_named


def test_a_registered_task_trains(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes: Ultralytics takes those around the polygons."""
    monkeypatch.setattr(tasks, "_TASKS", dict(tasks._TASKS))
    register_task("detect", "extending.detect_task:DetectTrialTrainer")
    job = changed(job, task="detect", model="yolo11n.yaml", metric="box_metrics/map50", epochs=1)
    trainer, rows = train(job, tmp_path)
    scores = {f"{group}/{name}" for group in ("box_metrics", "train_box_metrics") for name in metrics.SHORT.values()}
    losses = {f"val/{name}_loss" for name in ("box", "cls", "dfl")} | {
        f"train/{name}" for name in ("box", "cls", "dfl")
    }
    rates = {name for name in rows[0] if name.startswith("lr/")}
    assert len(rows) == 1 and rows[0].keys() == {"epoch", "seconds"} | scores | losses | rates
    assert trainer.final.keys() == {name for name in scores if not name.startswith("train_")}
    assert (tmp_path / "weights" / "best.pt").exists()


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(UserError, match=r"task: got 'segmnt', .*Did you mean segment\?"):
        task_named("segmnt")
