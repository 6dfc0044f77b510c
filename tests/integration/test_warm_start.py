"""A study begins with the best points of another, and goes on with them when that one is gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from standin import StandIn
from studies import resume, search
from yolotune.config.layers import make_settings
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter

SETTINGS: dict[str, Any] = {
    "model": "yolo11n-seg.yaml",
    "epochs": 1,
    "imgsz": 64,
    "device": "cpu",
    "cpus": 2,
    "space": {"lr0": "loguniform(1e-3, 2e-2)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "nbs": 8, "mosaic": 0.0, "warmup_bias_lr": 0.0, "plots": False},
    "scheduler": "none",
    "plateau": None,
}


@pytest.mark.usefixtures("shared_ray")
def test_a_resumed_study_tries_the_points_of_a_study_that_is_gone(shapes: Path, tmp_path: Path) -> None:
    settings = make_settings(data=str(shapes), **SETTINGS)
    old = RecordWriter(tmp_path / "old", metric=settings.metric, mode="max")
    old.create(settings.model_dump(), {})
    old.start(0, {"lr0": 0.008, "batch": 4})
    old.append(0, {"epoch": 1, settings.metric: 0.5})
    old.end(0, Ending(Verdict.COMPLETED, "all 1 epochs"), {})

    first = search(shapes, tmp_path, by=StandIn, warm_start=str(tmp_path / "old"), num_samples=1, **SETTINGS)
    assert [trial.point for trial in first.trials] == [{"lr0": 0.001429, "batch": 6}]
    shutil.rmtree(old.folder)
    record = resume(first.folder, by=StandIn, num_samples=2)
    assert [trial.point for trial in record.trials][1:] == [{"lr0": 0.008, "batch": 4}]
    assert record.verdicts == {"completed": 2}
