"""The score on a test split: measured once, as `yolo val split=test` does, and said wherever a model is delivered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import changed, make_job, train
from studies import command, resume, search
from yolotune import metrics
from yolotune.data.dataset import load_dataset
from yolotune.data.index import build_index
from yolotune.data.shapes import make_shapes
from yolotune.prepared import PreparedProcess
from yolotune.record.split_scores import FILE
from yolotune.record.study import StudyRecord, read_study
from yolotune.workflows.delivered import SCORER


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 48, 8 and 20 images of 64 px; its data.yaml."""
    return make_shapes(tmp_path_factory.mktemp("tested"), train=48, val=8, test=20, size=64, per_image=1)


@pytest.fixture(scope="module")
def ended(shared_ray: None, tested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a study of two trials, and what the command said. A loss is its objective, so that one is best."""
    folder = tmp_path_factory.mktemp("project")
    given: dict[str, Any] = {"name": "study", "epochs": 2, "num_samples": 2, "objective": "val/cls_loss"}
    record = search(tested, folder, wandb="disabled", **given)
    return record.folder, command(folder, "best", str(record.folder))


def test_scores_are_those_of_validating_the_test_split(tested: Path, tmp_path: Path) -> None:
    from ultralytics import YOLO

    job = changed(make_job(tested, tmp_path, epochs=8), fixed={"warmup_epochs": 0, "nbs": 4, "mosaic": 0.0})
    train(job, tmp_path, point={"lr0": 0.005, "batch": 4})
    weights = tmp_path / "weights" / "best.pt"
    request = tmp_path / "request.json"
    asked = {
        "task": "segment",
        "split": "test",
        "data": str(job.data),
        "index": str(build_index(load_dataset(tested), "test", tmp_path)),
        "device": "cpu",
        "threads": 2,
        "models": [{"weights": str(weights), "arguments": job.fixed}],
    }
    request.write_text(json.dumps(asked))
    assert PreparedProcess(SCORER).ask(request) == ""
    assert not list(tested.parent.rglob("*.cache")), "nothing is written beside the images"
    found = YOLO(weights).val(
        data=str(job.data), split="test", imgsz=64, batch=16, device="cpu", plots=False, project=str(tmp_path)
    )
    expected = metrics.evaluation(found.seg, "seg_metrics") | metrics.evaluation(found.box, "box_metrics")
    assert sum(value > 0 for value in expected.values()) >= 8, "it has learned something"
    (scores,) = json.loads((tmp_path / "answer.json").read_text())
    assert scores == pytest.approx(expected, abs=1e-3)


def test_a_scorer_that_fails_says_why(tested: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"models": [{"weights": "lost.pt", "arguments": {}}], "threads": 1}))
    assert PreparedProcess(SCORER).ask(request) == "KeyError: 'task'"


def test_the_best_model_and_the_defaults_are_scored_once(ended: tuple[Path, str]) -> None:
    folder, said = ended
    record = read_study(folder)
    known, best = record.on_test, record.best
    assert known is not None and best is not None
    assert (known.images, known.models.keys()) == (20, {0, best.number})
    assert f"On the test split (20 images, {known.objects} objects; it took part in no choice)" in said
    assert f"trial {best.number} reaches seg_metrics/F1 " in said, "a loss is not measured there"
    assert "On the test split (20 images" in (folder / "report.html").read_text()
    scored = (folder / FILE).stat().st_mtime_ns
    resume(folder)
    assert (folder / FILE).stat().st_mtime_ns == scored


def test_a_script_can_read_the_score(ended: tuple[Path, str]) -> None:
    folder, _ = ended
    record: StudyRecord = read_study(folder)
    best, known = record.best, record.on_test
    assert best is not None and known is not None
    assert json.loads(command(folder, "best", "--json", str(folder)))["test"] == known.of(best)
