"""`yolotune retrain`: a final model, its card and its way back to the search."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from processes import recorded_search, start, wait_for
from standin import StandIn
from studies import command
from wandb_reader import read_run
from yolotune._yaml import write_yaml
from yolotune.config.layers import load_settings
from yolotune.data.index import read_index
from yolotune.data.shapes import make_shapes
from yolotune.errors import UserError
from yolotune.record.confirmed import Confirmed
from yolotune.record.study import read_study
from yolotune.workflows.model_card import SEEN
from yolotune.workflows.retrain import arguments, changed_arguments, retrain

POINTS = [
    ({"lr0": 0.001429, "cls": 0.5, "batch": 6}, 0.2),
    ({"lr0": 0.003, "cls": 0.7, "batch": 4}, 0.5),
    ({"lr0": 0.0025, "cls": 0.9, "batch": 4}, 0.9),
]


@pytest.fixture
def search(shapes: Path, tmp_path: Path) -> Path:
    return confirmed_search(tmp_path, shapes)


def confirmed_search(project: Path, data: Path) -> Path:
    """Writes a finished search whose trial 1 is confirmed, and returns its folder."""
    folder = recorded_search(project, data, POINTS, wandb="disabled", epochs=4)
    held = Confirmed(1, 0.45, (1, 2, 3), 0.9)
    (folder / "confirm").mkdir()
    best = {"trial": held.trial, "mean": held.mean, "seeds": list(held.seeds), "search_best": held.search_best}
    write_yaml(folder / "confirm" / "confirmed.yaml", {"schema": 1, "best": best})
    return folder


def test_a_retrain_that_was_killed_continues(shared_ray: None, search: Path) -> None:
    words = ["retrain", "study", "--seeds", "2", "--epochs", "12", "lr0=0.004", "--seed", "5"]
    driver = start(search.parent, *words, stand_in=True, STANDIN_EPOCH_S=0.3)
    folder = search / "retrain" / "1"
    wait_for(lambda: (folder / "study.yaml").exists() and read_study(folder).epochs_trained >= 3)
    driver.kill()
    driver.communicate()
    before = [row["epoch"] for row in read_study(folder).trials[0].epochs]
    said = command(search.parent, "status", str(folder))
    assert "yolotune retrain study --seeds 2 --epochs 12 --seed 5 lr0=0.004" in " ".join(said.split())
    said = command(search.parent, *words, by=StandIn)
    record = read_study(folder)
    assert record.verdicts == {"completed": 2} and [t.point for t in record.trials] == [{"seed": 5}, {"seed": 6}]
    assert [row["epoch"] for row in record.trials[0].epochs] == list(range(1, 13)) and len(before) >= 3
    began = [int(line.split()[4]) for line in (record.trials[0].folder / "train.log").read_text().splitlines()]
    assert len(began) == 2 and began[1] >= len(before), "it went on from its last epoch"
    train = record.settings.train
    assert (train["lr0"], train["cls"], train["batch"]) == (0.004, 0.7, 4), "the confirmed point, and the change"
    best = record.best
    assert best is not None and f"Seed {best.point['seed']}: " in said and "The best of 2 seeds" in said
    assert (folder / "weights" / "best.pt").read_bytes() == (best.weights).read_bytes()
    assert "yolo segment predict model=study/retrain/1/weights/best.pt source=" in said


def test_a_model_trained_on_all_images_says_where_it_comes_from_and_that_only_its_test_score_is_honest(
    shared_ray: None, tmp_path: Path
) -> None:
    from ultralytics import YOLO

    data = make_shapes(tmp_path / "shapes", train=12, val=6, test=5, size=64, per_image=2)
    search = confirmed_search(tmp_path, data)
    (search / "retrain" / "1").mkdir(parents=True)  # an earlier one
    study = load_settings(search, {"epochs": 2, "wandb": "offline"})
    found = retrain(search, study, on_all=True)
    assert found.weights == search / "retrain" / "2" / "weights" / "best.pt" and SEEN in found.sentence
    assert set(YOLO(found.weights).names.values()) == set(YOLO(found.weights.with_name("last.pt")).names.values())
    known, _ = read_index(found.record.folder / "data" / "labels-train.npz")
    assert len(known) == 12 + 6, "train and val"

    uid, source = found.record.uid, f"{read_study(search).uid}-0001"
    run = read_run(next((found.record.folder / "wandb").glob(f"offline-run-*-{uid}-0000")))
    assert (run.name, run.job_type, run.group) == ("retrain-0000", "retrain", "study")
    assert run.config["search_run_id"] == source and run.config["search_trial"] == 1
    assert (run.config["lr0"], run.config["seed"], run.config["cls"]) == (0.003, 0, 0.7)

    card = found.weights.with_name("model-card.md").read_text()
    best, tested = found.record.best, found.record.on_test
    assert best is not None and best.value is not None and best.best_epoch is not None
    assert tested is not None and (tested.images, tested.models.keys()) == (5, {best.number})
    assert "On the test split (5 images" in found.sentence and "the model reaches metrics/F1(M) " in found.sentence
    row = best.epochs[best.best_epoch - 1]
    masks = " | ".join(
        f"{row[f'seg_metrics/{name}']:.4f}" for name in ("F1", "precision", "recall", "map50_95", "map50")
    )
    for said in (
        SEEN,
        f"| masks, val | {masks} |",
        "| boxes, val | ",
        "| masks, test | ",
        "- Scored once on 5 images",
        read_env(search)["fingerprint"],
        ", ".join(f"{number} {name}" for number, name in read_env(search)["names"].items()),
        f"run `{uid}-0000`, made from run `{source}`",
        "trial 1\n- Search value of that trial (metrics/F1(M)): 0.5000\n",
        "- Confirmed: mean 0.4500 over the fresh seeds 1, 2, 3\n",
        "lr0: 0.003",
        "epochs: 2",
        "- ultralytics ",
    ):
        assert said in card


def read_env(search: Path) -> Any:
    return json.loads((search / "environment.json").read_text())["dataset"]


def test_arguments_of_the_command_go_before_the_point_and_before_what_was_fixed(search: Path) -> None:
    record = read_study(search)
    study = load_settings(search, {"train": {"cls": 2.0, "nbs": 16}, "imgsz": 96})
    changed = changed_arguments(record, study)
    assert changed == {"cls": 2.0, "nbs": 16, "imgsz": 96}
    trained = arguments(study, record.trial(1), changed)
    assert (trained["cls"], trained["nbs"], trained["lr0"], trained["optimizer"]) == (2.0, 16, 0.003, "AdamW")


def test_a_retrain_says_what_is_wrong_before_the_first_epoch(search: Path) -> None:
    with pytest.raises(UserError, match=r"train: lr00: not an Ultralytics training argument"):
        retrain(search, load_settings(search, {"train": {"lr00": 1}}))
    assert not (search / "retrain").exists()
    for trial in read_study(search).trials:
        shutil.rmtree(trial.folder)
    with pytest.raises(UserError, match="no trial has a value"):
        retrain(search)
