"""The Ultralytics trainer of a trial, with real trainings and no Ray. Seconds each, on two cores."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from jobs import POINT, changed, make_job, numbers, train
from yolotune import metrics
from yolotune.config.isolation import user_settings_folder
from yolotune.data.shapes import make_shapes
from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking import NullTracker
from yolotune.training import datasets
from yolotune.training.job import Job, Order
from yolotune.training.kept import KeptBatches
from yolotune.training.layout import faster_on_this_cpu
from yolotune.training.messages import Said, TrainingTask
from yolotune.training.segment import SegmentTrialTrainer
from yolotune.training.session import TrainingSession, TrainingThread
from yolotune.training.trainer import TrialTraining

#: What the guide says is uploaded for every trial.
CURVES = {
    *(f"{kind}{curve}_curve.png" for kind in ("Box", "Mask") for curve in ("F1", "P", "PR", "R")),
    "confusion_matrix.png",
    "confusion_matrix_normalized.png",
    "results.png",
    "results.csv",
    "labels.jpg",
}
#: What Ultralytics draws beside these, of three batches of 4 for training and two of 16 for validation.
BATCHES = {
    *(f"train_batch{number}.jpg" for number in range(3)),
    *(f"val_batch{number}_{kind}.jpg" for number in range(2) for kind in ("labels", "pred")),
}
STOPPED = 7

Learned = tuple[TrialTraining, list[dict[str, Any]], Path]


def flatten_half(images: Path) -> None:
    """Halves the height of every second image: images are padded to the largest of their batch, so its size tells."""
    import cv2

    for path in sorted(images.iterdir())[::2]:
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (64, 32)))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A training long enough for scores that differ from zero, stopped one epoch before its last."""
    folder = tmp_path_factory.mktemp("learned")
    data = make_shapes(folder / "shapes", train=48, val=20, size=64, per_image=1)
    flatten_half(folder / "shapes" / "images" / "val")
    job = make_job(data, folder, epochs=STOPPED + 1)
    job = changed(job, fixed={"warmup_epochs": 0, "nbs": 4, "mosaic": 0.0, "plots": True})
    trainer, rows = train(job, folder, point={"lr0": 0.005, "batch": 4}, after=STOPPED)
    return trainer, rows, folder


def test_every_epoch_is_reported_once_with_the_guides_names(learned: Learned) -> None:
    _, rows, _ = learned
    assert [row["epoch"] for row in rows] == list(range(1, STOPPED + 1))
    expected = {*metrics.SCORES, *metrics.VAL_LOSSES, *metrics.TRAIN_LOSSES, "epoch", "seconds", "lr/pg0"}
    for row in rows:
        assert expected <= row.keys()
        assert all(metrics.is_finite(value) for value in row.values())


def test_a_stopped_training_ends_like_a_full_one(learned: Learned) -> None:
    trainer, rows, folder = learned
    assert {path.name for path in (folder / "curves").iterdir()} == CURVES | BATCHES | {"args.yaml"}
    assert {path.name for path in (folder / "weights").iterdir() if path.is_file()} == {"best.pt"}
    best, _ = metrics.best_epoch(rows, "seg_metrics/F1", "max") or (0, 0.0)
    expected = {name: rows[best - 1][name] for name in metrics.SCORES if not name.startswith("train_")}
    assert trainer.final == pytest.approx(expected, abs=1e-3)
    assert trainer.final_f1.keys() == {"circle", "square", "triangle"}
    assert metrics.mean_f1(trainer.final_f1.values()) == pytest.approx(expected["seg_metrics/F1"], abs=1e-3)
    assert trainer.ending is None, "the reason is known to whoever stopped it"


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
        data=str(tmp_path / "data.yaml"), imgsz=64, device="cpu", plots=False, save_dir=str(tmp_path / "val")
    )
    group = "seg_metrics" if split == "val" else "train_seg_metrics"
    expected = metrics.evaluation(found.seg, group) | metrics.evaluation(found.box, group.replace("seg", "box"))
    for name, number in expected.items():
        assert rows[best - 1][name] == pytest.approx(number, abs=1e-3), name


def test_what_is_kept_of_the_best_epoch_is_what_validating_best_pt_finds(learned: Learned, tmp_path: Path) -> None:
    from ultralytics import YOLO

    from yolotune.training.figures import confusion_matrix

    trainer, _, folder = learned
    found = YOLO(folder / "weights" / "best.pt").val(
        data=str(trainer.job.data), imgsz=64, device="cpu", plots=True, save_dir=str(tmp_path / "val")
    )
    kept = trainer.best_evaluation
    assert kept is not None
    for part in ("box", "seg"):
        own, theirs = getattr(kept.metrics, part), getattr(found, part)
        for curve in ("prec_values", "p_curve", "r_curve", "f1_curve", "all_ap"):
            assert getattr(own, curve) == pytest.approx(getattr(theirs, curve), abs=1e-3), (part, curve)
    detections = [(one.numpy(), labels.numpy()) for one, labels in kept.detections]
    counted = confusion_matrix(detections, found.names, trainer.validator.args.conf).matrix
    assert counted.sum() > 20 and counted == pytest.approx(found.confusion_matrix.matrix)


def test_a_best_epoch_of_a_process_that_has_died_is_evaluated_once_more(job: Job, tmp_path: Path) -> None:
    def falling(row: Any) -> float:
        return 1.0 / row["epoch"]

    job = changed(job, epochs=2, metric="objective/falling", objective=falling)
    _, rows = train(job, tmp_path, after=1, order=Order.LEAVE)
    trainer, _ = train(job, tmp_path, resume=tmp_path / "weights" / "last.pt")
    assert trainer.best_evaluation is None
    assert trainer.final == pytest.approx({name: rows[0][name] for name in trainer.final}, abs=1e-3)


def test_measuring_the_train_subset_changes_nothing_in_the_training(
    job: Job, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in shapes.parent.rglob("*")}
    with monkeypatch.context() as patch:
        patch.delenv("YOLO_CONFIG_DIR")  # which `isolate` has set: the user's own is meant
        settings = user_settings_folder() / "settings.json"
    kept = settings.read_bytes() if settings.exists() else None
    job = changed(job, epochs=2)
    trainer, with_it = train(job, tmp_path / "with")
    assert trainer.ending == Ending(Verdict.COMPLETED, "all 2 epochs")
    _, without = train(changed(job, train_subset=None), tmp_path / "without")
    for one, other in zip(numbers(with_it), numbers(without), strict=True):
        assert {name: one[name] for name in other} == other
    # nor does a training write anything beside its own folder
    assert {path: path.stat().st_mtime_ns for path in shapes.parent.rglob("*")} == before
    assert (settings.read_bytes() if settings.exists() else None) == kept


def test_keeping_the_batches_of_evaluations_changes_no_number(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, kept = train(job, tmp_path / "kept")
    monkeypatch.setattr(datasets, "KeptBatches", functools.partial(KeptBatches, most=0))
    _, made_anew = train(job, tmp_path / "anew")
    assert numbers(kept) == numbers(made_anew)


@pytest.mark.parametrize(("asked", "last"), [(None, faster_on_this_cpu()), (False, False)])
def test_channels_come_last_in_memory_unless_told_otherwise(job: Job, tmp_path: Path, asked: Any, last: bool) -> None:
    trainer, _ = train(changed(job, epochs=1, fixed={"channels_last": asked}), tmp_path)
    for model in (trainer.model, trainer.ema.ema):  # type: ignore[attr-defined]
        weights = next(one for one in model.parameters() if one.ndim == 4 and min(one.shape[1:]) > 1)
        assert weights.is_contiguous(memory_format=torch.channels_last) is last


def best_pt(folder: Path) -> Any:
    return torch.load(folder / "weights" / "best.pt", weights_only=False)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_checkpoint_is_the_one_that_ultralytics_would_write(job: Job, tmp_path: Path, optimizer: str) -> None:
    from ultralytics.engine.trainer import BaseTrainer

    theirs = tmp_path / "theirs"
    theirs.mkdir()

    def save_as_ultralytics(trainer: Any) -> None:
        counted = trainer.last, trainer.best
        trainer.last, trainer.best = theirs / "last.pt", theirs / "best.pt"
        BaseTrainer.save_model(trainer)
        trainer.last, trainer.best = counted

    job = changed(job, fixed={"optimizer": optimizer}, train_subset=None)
    job = changed(job, epochs=2, callbacks={"on_model_save": [save_as_ultralytics]})
    train(job, tmp_path / "ours", after=1, order=Order.LEAVE)
    for name in ("last.pt", "best.pt"):
        own, their = (torch.load(at / name, weights_only=False) for at in (tmp_path / "ours" / "weights", theirs))
        assert own.keys() == their.keys()
        models = own.pop("ema"), their.pop("ema")
        states = [model.state_dict() for model in models]
        assert same(*states) and {value.dtype for value in states[0].values()} == {torch.float16, torch.int64}
        assert len({str(model) for model in models}) == 1
        for attribute in ("yaml", "nc", "args", "names", "stride", "criterion"):
            assert same(*(getattr(model, attribute, None) for model in models)), attribute
        assert same(own | {"date": None}, their | {"date": None})


def same(one: Any, other: Any) -> bool:
    """Whether two values of a checkpoint are equal, tensors in them included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if hasattr(one, "__dict__"):
        return same(vars(one), vars(other))
    return bool(one == other)


def test_best_pt_follows_the_objective(job: Job, tmp_path: Path) -> None:
    _, rows = train(changed(job, metric="val/cls_loss", mode="min", train_subset=None), tmp_path)
    best = metrics.best_epoch(rows, "val/cls_loss", "min")
    assert best is not None
    assert -best_pt(tmp_path)["train_metrics"]["fitness"] == pytest.approx(best[1], abs=1e-5)


def test_an_objective_may_be_a_function_of_the_epoch_report(job: Job, tmp_path: Path) -> None:
    def second_best_last(row: Any) -> float:
        assert {"seg_metrics/F1", "val/cls_loss", "train/box", "lr/pg0"} <= row.keys()
        return [0.2, 0.9, 0.1][row["epoch"] - 1]

    job = changed(job, metric="objective/second_best_last", objective=second_best_last, train_subset=None)
    _, rows = train(job, tmp_path)
    assert [row["objective/second_best_last"] for row in rows] == [0.2, 0.9, 0.1]
    kept = best_pt(tmp_path)
    assert kept["train_metrics"]["fitness"] == 0.9
    assert kept["train_metrics"]["val/cls_loss"] == rows[1]["val/cls_loss"]


def test_callbacks_are_called_with_the_trainer_and_may_stop_it(job: Job, tmp_path: Path) -> None:
    called: list[Any] = []

    def stop(trainer: Any) -> None:
        called.append(trainer.epoch + 1)
        trainer.stop = True

    job = changed(job, train_subset=None, callbacks={"on_train_start": [called.append], "on_train_epoch_end": [stop]})
    trainer, rows = train(job, tmp_path)
    assert called == [trainer, 1] and len(rows) == 1
    assert trainer.ending == Ending(Verdict.PLATEAUED, "a callback stopped it at epoch 1")


def test_an_error_in_a_callback_ends_the_training(job: Job, tmp_path: Path) -> None:
    def broken(trainer: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(changed(job, callbacks={"on_pretrain_routine_start": [broken]}), tmp_path)


@pytest.mark.parametrize(("bad", "at"), [(math.nan, 0), (math.inf, 1)])
def test_a_loss_that_is_not_finite_ends_the_training_in_that_epoch(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float, at: int
) -> None:
    from ultralytics.utils.loss import v8SegmentationLoss

    healthy = v8SegmentationLoss.loss
    batches = 3 * at  # of the epochs before

    def poisoned(self: Any, preds: Any, batch: Any) -> Any:
        nonlocal batches
        total, items = healthy(self, preds, batch)
        if not total.requires_grad:
            return total, items
        batches -= 1
        return (total * bad, items) if batches < 0 else (total, items)

    monkeypatch.setattr(v8SegmentationLoss, "loss", poisoned)
    trainer, rows = train(job, tmp_path)
    assert [row["epoch"] for row in rows] == list(range(1, at + 2))
    assert trainer.ending is not None and trainer.ending.verdict is Verdict.DIVERGED
    assert math.isnan(rows[-1][job.metric])
    assert (tmp_path / "weights" / "best.pt").exists() is (at > 0)


def test_a_point_that_ultralytics_would_not_train_is_refused(job: Job, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lr0"):
        train(changed(job, fixed={"optimizer": "auto"}), tmp_path)


def test_a_batch_halved_to_fit_the_memory_is_said_and_kept(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = SegmentTrialTrainer.preprocess_batch
    batches: list[int] = []

    def crowded(self: Any, batch: Any) -> Any:
        batches.append(len(batch["img"]))
        if batches == [4]:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return healthy(self, batch)

    monkeypatch.setattr(SegmentTrialTrainer, "preprocess_batch", crowded)
    job = changed(job, epochs=2, train_subset=None)
    trainer, rows = train(job, tmp_path, after=1, order=Order.LEAVE)
    assert len(rows) == 1 and trainer.effective() == {"batch": 2}
    trainer, rows = train(job, tmp_path, resume=tmp_path / "weights" / "last.pt")
    assert [row["epoch"] for row in rows] == [2] and trainer.effective() == {"batch": 2}
    assert set(batches[1:]) == {2}, "a resumed training does not run out of memory once more"


def test_beside_other_trials_no_batch_is_halved(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(self: Any, batch: Any) -> Any:
        raise RuntimeError("GET was unable to find an engine to execute this computation")

    monkeypatch.setattr(SegmentTrialTrainer, "preprocess_batch", crowded)
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    task = TrainingTask(0, POINT, None, changed(job, train_subset=None), NullTracker(), tmp_path, alone=False)
    session = TrainingSession(task, TrainingThread())
    said = session.next()
    assert said.ending is not None and said.ending.verdict is Verdict.OOM and said.row is None
    session.pause()


def test_a_session_keeps_what_the_training_prints_and_why_it_failed(job: Job, tmp_path: Path) -> None:
    def failing(trainer: Any) -> None:
        if trainer.epoch == 1:
            raise ZeroDivisionError("in a callback")

    job = changed(job, train_subset=None, callbacks={"on_train_epoch_start": [failing]})
    folder = tmp_path / "trials" / "0000"
    folder.mkdir(parents=True)  # by the driver, which records the point there
    session = TrainingSession(TrainingTask(0, POINT, None, job, NullTracker(), tmp_path), TrainingThread())
    said = session.next()
    assert said.row is not None and said.row["epoch"] == 1 and said.ending is None
    session.go_on()
    failed = Ending(Verdict.FAILED, "ZeroDivisionError: in a callback")
    assert session.next() == Said(None, failed, {})
    session.end(failed)
    session.join()
    assert "Starting training for 3 epochs" in (folder / "train.log").read_text()
    assert "in failing" in (folder / "error.txt").read_text()
    assert "verdict: failed" in (folder / "ended.yaml").read_text()


@pytest.mark.parametrize("model", ["yolov8n-seg.yaml", "yolo26n-seg.yaml"])
def test_other_segmentation_models_train_too(job: Job, tmp_path: Path, model: str) -> None:
    _, rows = train(changed(job, model=model, epochs=1, train_subset=None), tmp_path)
    new = model.startswith("yolo26")  # its head has no distribution: L1 instead of DFL, and a semantic loss
    losses = ("box", "seg", "cls", *(("l1", "sem") if new else ("dfl",)))
    expected = {name for name in metrics.SCORES if not name.startswith("train_")}
    expected |= {f"train/{loss}" for loss in losses} | {f"val/{loss}_loss" for loss in losses}
    assert rows[0].keys() - {"epoch", "seconds", *(name for name in rows[0] if name.startswith("lr/"))} == expected
