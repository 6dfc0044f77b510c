"""The Ultralytics trainer of a trial, with real trainings and no Ray. Seconds each, on two cores."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from jobs import make_job
from yolotune import metrics
from yolotune.config.space import Point
from yolotune.data.shapes import make_shapes
from yolotune.record.study import Verdict
from yolotune.training.job import Job, Order, user_settings_folder
from yolotune.training.trainer import TrialTrainer

EPOCHS = 14
POINT: Point = {"lr0": 0.01, "box": 7.0, "batch": 4}

#: What the guide says is uploaded for every trial.
CURVES = {
    *(f"{kind}{curve}_curve.png" for kind in ("Box", "Mask") for curve in ("F1", "P", "PR", "R")),
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "results.png",
    "results.csv",
    "labels.jpg",
}


def train(
    job: Job, folder: Path, point: Point = POINT, stop_after: int | None = None
) -> tuple[TrialTrainer, list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        rows.append(row)
        return Order.STOP if row["epoch"] == stop_after else Order.GO

    trainer = TrialTrainer(job, point, folder, on_epoch)
    trainer.train()
    return trainer, rows


def changed(job: Job, **fixed: Any) -> Job:
    return dataclasses.replace(job, fixed={**job.fixed, **fixed})


Learned = tuple[TrialTrainer, list[dict[str, Any]], Path]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A training long enough for numbers that differ from zero."""
    folder = tmp_path_factory.mktemp("learned")
    data = make_shapes(folder / "shapes", train=64, val=16, size=64, per_image=2)
    fixed = {"imgsz": 64, "optimizer": "AdamW", "warmup_bias_lr": 0.0, "warmup_epochs": 1, "nbs": 8, "mosaic": 0.0}
    job = make_job(data, folder, epochs=EPOCHS, fixed=fixed)
    trainer, rows = train(job, folder, {"lr0": 0.005, "batch": 4})
    return trainer, rows, folder


def test_every_epoch_is_reported_once_with_the_guides_names(
    learned: Learned,
) -> None:
    trainer, rows, _ = learned
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    expected = {*metrics.SCORES, *metrics.VAL_LOSSES, *metrics.TRAIN_LOSSES, "epoch", "seconds", "lr/pg0"}
    for row in rows:
        assert expected <= row.keys()
        assert all(metrics.is_finite(value) for value in row.values())
    assert trainer.ending is not None and trainer.ending.verdict is Verdict.COMPLETED


@pytest.mark.parametrize("split", ["val", "train subset"])
def test_reported_numbers_are_those_of_validating_best_pt(learned: Learned, split: str, tmp_path: Path) -> None:
    from ultralytics import YOLO

    trainer, rows, folder = learned
    data = yaml.safe_load(trainer.job.data.read_text())
    if split == "train subset":
        data["val"] = str(trainer.job.train_subset)
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
    best, value = metrics.best_epoch(rows, "seg_metrics/F1", "max") or (0, 0.0)
    assert value > 0.02, "the training has learned too little for the comparison to mean anything"

    found = YOLO(folder / "weights" / "best.pt").val(
        data=str(tmp_path / "data.yaml"), imgsz=64, batch=8, device="cpu", plots=False, save_dir=str(tmp_path / "val")
    )
    group = "seg_metrics" if split == "val" else "train_seg_metrics"
    expected = metrics.evaluation(found.seg, group) | metrics.evaluation(found.box, group.replace("seg", "box"))
    for name, number in expected.items():
        assert rows[best - 1][name] == pytest.approx(number, abs=1e-3), name


def test_measuring_the_train_subset_changes_nothing_in_the_training(job: Job, tmp_path: Path) -> None:
    _, with_it = train(job, tmp_path / "with")
    _, without = train(dataclasses.replace(job, train_subset=None), tmp_path / "without")
    for one, other in zip(with_it, without, strict=True):
        assert {name: one[name] for name in other if name != "seconds"} == {
            name: value for name, value in other.items() if name != "seconds"
        }


@pytest.mark.parametrize(("metric", "mode"), [("box_metrics/recall", "max"), ("val/cls_loss", "min")])
def test_best_pt_follows_the_objective(job: Job, tmp_path: Path, metric: str, mode: str) -> None:
    _, rows = train(dataclasses.replace(job, metric=metric, mode=mode), tmp_path)
    best = metrics.best_epoch(rows, metric, mode)
    assert best is not None
    kept = torch.load(tmp_path / "weights" / "best.pt", weights_only=False)["train_metrics"]["fitness"]
    assert abs(kept) == pytest.approx(best[1], abs=1e-5)
    assert not (tmp_path / "weights" / "last.pt").exists()


def test_a_stopped_training_ends_like_a_full_one(job: Job, tmp_path: Path) -> None:
    trainer, rows = train(job, tmp_path, stop_after=1)
    assert len(rows) == 1
    assert {path.name for path in (tmp_path / "curves").iterdir()} >= CURVES
    assert (tmp_path / "weights" / "best.pt").exists()
    assert trainer.final["seg_metrics/F1"] == pytest.approx(rows[0]["seg_metrics/F1"], abs=1e-3)
    assert trainer.ending is None, "the reason is whoever asked for the stop"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_a_loss_that_is_no_number_ends_the_training_in_that_epoch(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float, at: int
) -> None:
    from ultralytics.utils.loss import v8SegmentationLoss

    healthy = v8SegmentationLoss.loss

    def poisoned(self: Any, preds: Any, batch: Any) -> Any:
        total, items = healthy(self, preds, batch)
        return (total * bad, items) if trainer.epoch >= at and preds and total.requires_grad else (total, items)

    monkeypatch.setattr(v8SegmentationLoss, "loss", poisoned)
    rows: list[dict[str, Any]] = []
    trainer = TrialTrainer(job, POINT, tmp_path, lambda row, last: rows.append(row) or Order.GO)
    trainer.train()
    assert [row["epoch"] for row in rows] == list(range(1, at + 2))
    assert trainer.ending is not None and trainer.ending.verdict is Verdict.DIVERGED
    assert (tmp_path / "weights" / "best.pt").exists() is (at > 0)


def test_a_point_that_ultralytics_would_not_train_is_refused(job: Job, tmp_path: Path) -> None:
    fixed = {name: value for name, value in job.fixed.items() if name != "optimizer"} | {"optimizer": "auto"}
    with pytest.raises(RuntimeError, match="lr0"):
        train(dataclasses.replace(job, fixed=fixed), tmp_path)


def test_an_out_of_memory_batch_is_recorded_as_what_it_became(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    healthy = TrialTrainer.preprocess_batch

    def crowded(self: Any, batch: Any) -> Any:
        calls.append(len(batch["img"]))
        if len(calls) == 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return healthy(self, batch)

    monkeypatch.setattr(TrialTrainer, "preprocess_batch", crowded)
    trainer, rows = train(job, tmp_path)
    assert len(rows) == 3
    assert trainer.effective()["batch"] == 2


def test_nothing_beside_the_trials_folder_is_written(
    job: Job, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in shapes.parent.rglob("*")}
    with monkeypatch.context() as patch:
        patch.delenv("YOLO_CONFIG_DIR")  # which `isolate` has set: the user's own is meant
        settings = user_settings_folder() / "settings.json"
    kept = settings.read_bytes() if settings.exists() else None
    trainer, _ = train(job, tmp_path, stop_after=1)
    assert {path: path.stat().st_mtime_ns for path in shapes.parent.rglob("*")} == before
    assert (settings.read_bytes() if settings.exists() else None) == kept
    assert not [c for handlers in trainer.callbacks.values() for c in handlers if "raytune" in c.__module__]


@pytest.mark.parametrize("model", ["yolov8n-seg.yaml", "yolo26n-seg.yaml"])
def test_other_segmentation_models_train_too(job: Job, tmp_path: Path, model: str) -> None:
    _, rows = train(dataclasses.replace(job, model=model, epochs=1, train_subset=None), tmp_path)
    new = model.startswith("yolo26")  # its head has no distribution: L1 instead of DFL, and a semantic loss
    losses = ("box", "seg", "cls", *(("l1", "sem") if new else ("dfl",)))
    expected = {name for name in metrics.SCORES if not name.startswith("train_")}
    expected |= {f"train/{loss}" for loss in losses} | {f"val/{loss}_loss" for loss in losses}
    assert rows[0].keys() - {"epoch", "seconds", *(name for name in rows[0] if name.startswith("lr/"))} == expected
