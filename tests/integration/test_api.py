"""The Python API with real trainings: keywords, objects, and what a study can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray import tune

import yolotune
from studies import SMALL, command
from yolotune.config.scheduling import AshaSettings

pytestmark = pytest.mark.usefixtures("shared_ray")

SMALLEST: dict[str, Any] = {name: value for name, value in SMALL.items() if name not in ("train", "scheduler", "space")}
STARTS = "starts.txt"


class Quiet(yolotune.Listener):
    """Keeps the numbers of trials that ended."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def trial_ended(self, number: int, ending: Any, value: float | None, best: bool) -> None:
        self.ended.append(number)


def less_class_loss(report: Mapping[str, Any]) -> float:
    return -float(report["val/cls_loss"])


def note_start(trainer: Any) -> None:
    with open(Path(trainer.save_dir).parent / STARTS, "a", encoding="utf-8") as file:
        file.write("started\n")


@pytest.fixture(scope="module")
def told() -> Quiet:
    return Quiet()


@pytest.fixture(scope="module")
def study(shared_ray: None, shapes: Path, told: Quiet, tmp_path_factory: pytest.TempPathFactory) -> yolotune.Study:
    return yolotune.tune(
        shapes,
        project=tmp_path_factory.mktemp("api"),
        num_samples=2,
        epochs=2,
        wandb="disabled",
        plots=False,
        space={"lr0": tune.loguniform(1e-3, 2e-2), "batch": tune.choice([4, 6])},
        **SMALLEST,
        optimizer="AdamW",
        nbs=8,
        mosaic=0.0,
        scheduler=AshaSettings(grace_period=2),
        sampler=optuna.samplers.RandomSampler(seed=1),
        objective=less_class_loss,
        callbacks={"on_train_start": [note_start]},
        listener=told,
    )


def test_keywords_are_flags_settings_and_ultralytics_arguments(study: yolotune.Study, told: Quiet) -> None:
    settings = study.settings
    assert (settings.epochs, settings.num_samples, settings.imgsz) == (2, 2, 64)
    assert settings.train["nbs"] == 8 and settings.train["optimizer"] == "AdamW"
    assert settings.space == {"lr0": "loguniform(0.001, 0.02)", "batch": "choice([4, 6])"}
    assert settings.scheduler.name == "asha" and sorted(told.ended) == [0, 1]


def test_objects_are_used_and_recorded_by_name(study: yolotune.Study) -> None:
    assert (study.settings.search, study.settings.objective) == ("object:RandomSampler", "objective/less_class_loss")
    for trial in study.trials:
        values = [row["objective/less_class_loss"] for row in trial.epochs]
        assert values == [-row["val/cls_loss"] for row in trial.epochs] and trial.value == max(values)
        assert (trial.folder / STARTS).read_text() == "started\n"


def test_a_study_shows_what_was_found(study: yolotune.Study) -> None:
    best = study.best
    assert best is not None and best.weights.exists() and best.point.keys() == {"lr0", "batch"}
    trials, epochs = study.trials_dataframe(), study.epochs_dataframe()
    assert list(trials.columns) == ["lr0", "batch", "verdict", "value", "best_epoch", "epochs", "seconds"]
    assert trials.loc[best.number, "value"] == best.value and len(epochs) == 4
    assert study.to_optuna().best_value == best.value
    assert repr(study) == f"Study({str(study.folder)!r}, 2 trials, best {best.value:.4f} (trial {best.number}))"
    assert study.report(photos=False).exists() and "<table" in study._repr_html_()
    assert yolotune.load(str(study.folder)).best.value == best.value  # type: ignore[union-attr]


def test_the_command_line_refuses_what_only_python_can_give(study: yolotune.Study) -> None:
    said = command(study.folder.parent, "resume", study.folder.name, "--num-samples", "3", code=2)
    assert "object RandomSampler" in said and "function less_class_loss" in said and ".resume(sampler=...)" in said


def test_a_study_is_resumed_confirmed_and_retrained_with_its_objects(study: yolotune.Study, told: Quiet) -> None:
    with pytest.raises(yolotune.UserError, match="RandomSampler"):
        yolotune.load(study.folder).resume(num_samples=3, listener=told)
    known = {"sampler": optuna.samplers.RandomSampler(seed=2), "objective": less_class_loss}
    again = yolotune.load(study.folder).resume(num_samples=3, listener=told, **known)
    assert len(again.trials) == 3 and again.trials[2].value is not None
    found = again.confirm(top=1, seeds=1, listener=told)
    assert len(found.points) == 2 and all(point.mean is not None for point in found.points)
    assert again.retrain(epochs=1, listener=told).weights.exists()


def test_a_misspelt_keyword_is_named(shapes: Path) -> None:
    with pytest.raises(yolotune.UserError, match=r"num_sample: neither a setting .* Did you mean num_samples\?"):
        yolotune.tune(shapes, num_sample=3)


def test_the_package_shows_its_names() -> None:
    assert sorted(yolotune.__all__) == yolotune.__all__
    assert set(yolotune.__all__) <= set(dir(yolotune))
    assert all(getattr(yolotune, name) is not None for name in yolotune.__all__)
