"""The best points of an earlier study: which, in what order, and how they are fitted into another space."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from yolotune.config.settings import Settings, load_settings
from yolotune.config.space import Point
from yolotune.data.shapes import make_shapes
from yolotune.errors import UserError
from yolotune.record.study import Ending, Verdict, best_trials, read_study
from yolotune.record.writer import Record
from yolotune.search.provenance import Provenance, Source, fit
from yolotune.search.warm_start import Here, Warm, decided, warm_points
from yolotune.tuner.check import check

HERE = Here(nc=3, fingerprint="fish", model="yolo11n-seg.pt")
SPACE = {"lr0": "loguniform(1e-5, 0.1)", "batch": "choice([8, 16])"}
TRAIN = {"optimizer": "AdamW"}
OF = Provenance("old", "/old", 1, 0.5, None)


def earlier(folder: Path, trials: list[tuple[Point, float, Verdict]], fingerprint: str = "fish", **given: Any) -> Path:
    """Writes an ended study."""
    study = Settings(**{"data": "d.yaml", "space": SPACE, "train": TRAIN, **given})
    record = Record(folder / "old", metric=study.metric, mode=study.direction)
    record.create(study.model_dump(), {"dataset": {"fingerprint": fingerprint}})
    for number, (point, value, verdict) in enumerate(trials):
        record.start(number, point)
        record.append(number, {"epoch": 1, study.metric: value})
        record.end(number, Ending(verdict, "r"), {})
    return record.folder


def study(folder: Path | None, **given: Any) -> Settings:
    return Settings(
        **{"data": "d.yaml", "space": SPACE, "train": TRAIN, "warm_start": [str(folder)] if folder else [], **given}
    )


FOUR = [
    ({"lr0": 0.001, "batch": 8}, 0.2, Verdict.PRUNED),
    ({"lr0": 0.002, "batch": 8}, 0.5, Verdict.COMPLETED),
    ({"lr0": 0.003, "batch": 16}, 0.9, Verdict.DIVERGED),
    ({"lr0": 0.004, "batch": 16}, 0.6, Verdict.PLATEAUED),
    ({"lr0": 0.002, "batch": 8}, 0.4, Verdict.COMPLETED),
]


def test_the_best_points_come_best_first_and_none_twice(tmp_path: Path) -> None:
    warm = warm_points(study(earlier(tmp_path, FOUR)), HERE)
    notes = warm.notes
    assert [(one.trial, one.value, one.same_data) for one in warm.provenance] == [
        (3, 0.6, True),
        (1, 0.5, True),
        (0, 0.2, True),
    ]
    assert [point["lr0"] for point in warm.points] == [0.004, 0.002, 0.001], "a diverged trial's value does not stand"
    assert len(notes) == 1 and "trials 3 (0.6000), 1 (0.5000), 0 (0.2000)" in notes[0]
    assert [p["lr0"] for p in warm_points(study(tmp_path / "old", top=1), HERE).points] == [0.004]
    assert warm_points(study(None), HERE) == Warm([], [], [])


@pytest.mark.parametrize(
    ("search", "known", "wanted"), [("auto", 0, "tpe"), ("auto", 1, "tpe"), ("auto", 2, "gp"), ("tpe", 3, "tpe")]
)
def test_a_gaussian_process_searches_where_good_points_are_known(
    tmp_path: Path, search: str, known: int, wanted: str
) -> None:
    begun = study(earlier(tmp_path, FOUR) if known else None, search=search, top=max(known, 1))
    chosen, said = decided(begun, warm_points(begun, HERE))
    assert chosen == begun.model_copy(update={"search": wanted})
    assert bool(said) is (search == "auto" and wanted == "gp")


def test_the_lowest_loss_is_the_best(tmp_path: Path) -> None:
    old = earlier(tmp_path, FOUR, objective="val/seg_loss")
    assert [trial.number for trial in best_trials(read_study(old), 2)] == [0, 4]
    warm = warm_points(study(old, objective="val/cls_loss", top=2), HERE)
    assert [point["lr0"] for point in warm.points] == [0.001, 0.002]


def test_a_study_of_the_other_direction_is_refused(tmp_path: Path) -> None:
    old = earlier(tmp_path, FOUR, objective="val/seg_loss")
    with pytest.raises(UserError, match=r"warm_start: .*old searched for a low val/seg_loss, this study for a high"):
        warm_points(study(old), HERE)


@pytest.mark.parametrize("trials", [[], [FOUR[2]]])
def test_a_study_that_has_nothing_to_give_is_refused(tmp_path: Path, trials: list[Any]) -> None:
    with pytest.raises(UserError, match="warm_start: no trial of"):
        warm_points(study(earlier(tmp_path, trials)), HERE)


def test_what_differs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old = earlier(tmp_path, FOUR, fingerprint="fowl", imgsz=320)
    warm = warm_points(study(old), HERE)
    assert warm.provenance[0].same_data is False
    assert warm.notes[1:] == ["warm start: old is not quite comparable: another dataset, imgsz 320 there, 640 here"]
    (old / "environment.json").unlink()
    lost = warm_points(study(old), HERE)
    assert "another dataset" not in lost.notes[1] and lost.provenance[0].same_data is None


@pytest.mark.parametrize(
    ("space", "trained", "point", "misfit"),
    [
        ({"lr0": "uniform(0.0, 0.05)"}, {"lr0": 0.08}, {"lr0": 0.05}, ["lr0 0.08 -> 0.05 (space ends there)"]),
        ({"lr0": "uniform(0.0, 0.05)"}, {"lr0": 0}, {"lr0": 0.0}, []),
        ({"warmup_epochs": "randint(0, 5)"}, {"warmup_epochs": 3.0}, {"warmup_epochs": 3}, []),
        (
            {"warmup_epochs": "randint(0, 5)"},
            {"warmup_epochs": 2.7},
            {"warmup_epochs": 3},
            ["warmup_epochs 2.7 -> 3 (nearest of randint(0, 5))"],
        ),
        ({"batch": "choice([8, 16])"}, {"batch": 64}, {"batch": 16}, ["batch 64 -> 16 (nearest of choice([8, 16]))"]),
        (
            {"optimizer": "choice([AdamW, NAdam])"},
            {"optimizer": "SGD"},
            {"optimizer": "AdamW"},
            ["optimizer SGD -> AdamW (not in choice([AdamW, NAdam]); the default)"],
        ),
        ({"box": [5, 8]}, {}, {"box": 7.5}, ["box: not known there, Ultralytics' default"]),
    ],
)
def test_a_point_is_fitted_into_the_space(space: Any, trained: Any, point: Point, misfit: list[str]) -> None:
    here = Settings(data="d.yaml", space=space)
    default: Point = {"lr0": 0.01, "warmup_epochs": 3, "batch": 16, "optimizer": "AdamW", "box": 7.5}
    fitted, misfits = fit(Source("s", trained, trained, OF), here, default)
    assert (fitted, misfits) == (point, misfit)
    assert [type(value) for value in fitted.values()] == [type(value) for value in point.values()]
    assert all(value in here.domains[name] for name, value in fitted.items())


def test_what_is_not_searched_here_is_left_out_and_said_where_it_differs() -> None:
    here = Settings(data="d.yaml", space={"lr0": [0, 1]}, train={"mosaic": 0.5, "box": 7.5})
    was: Point = {"lr0": 0.1, "mosaic": 1.0, "box": 7.5, "mixup": 0.2}
    fitted, misfits = fit(Source("s", was, was, OF), here, {"lr0": 0.01})
    assert fitted == {"lr0": 0.1}
    assert misfits == ["mosaic is not searched here, fixed at 0.5, left out", "mixup is not searched here, left out"]


def test_what_the_other_study_fixed_was_part_of_its_success(tmp_path: Path) -> None:
    old = earlier(tmp_path, FOUR, space={**SPACE, "cls": 2.0}, train={**TRAIN, "mosaic": 0.25})
    warm = warm_points(study(old, space={**SPACE, "mosaic": [0, 1], "cls": [0, 3]}, top=1), HERE)
    assert warm.points == [{"lr0": 0.004, "batch": 16, "mosaic": 0.25, "cls": 2.0}]


def test_the_plan_has_defaults_then_warm_points_then_files_and_goes_on_without_the_other_study(tmp_path: Path) -> None:
    data = make_shapes(tmp_path / "shapes", train=6, val=3, size=32)
    default = {"lr0": 0.001429, "batch": 16}
    trials = [*FOUR[:2], (default, 0.7, Verdict.COMPLETED)]
    old = earlier(tmp_path, trials)
    wanted = study(
        old,
        data=str(data),
        model="yolo11n-seg.yaml",
        device="cpu",
        epochs=20,
        points=[FOUR[0][0], {"lr0": 1e-4, "batch": 8}],
    )
    plan = check(wanted)
    assert [point["lr0"] for point in plan.points] == [0.001429, 0.002, 0.001, 1e-4], "the old best is the defaults"
    assert [point["lr0"] for point in plan.warm.points] == [0.002, 0.001]
    assert any(note.startswith("warm start: after the defaults come trials 2") for note in plan.notes)

    record = Record(tmp_path / "new", metric=wanted.metric, mode="max")
    record.create({**wanted.model_dump(), "warm_points": plan.warm.points}, {})
    shutil.rmtree(old)
    again = check(load_settings(record.folder, {}), record.folder)
    assert again.points == plan.points and not any("warm start" in note for note in again.notes)
    with pytest.raises(UserError, match="no study here"):
        check(load_settings(record.folder, {"top": 2}), record.folder)
    narrow = load_settings(record.folder, {"space": {**SPACE, "lr0": "uniform(0.0, 0.0015)"}})
    fitted = check(narrow, record.folder)
    assert [point["lr0"] for point in fitted.warm.points] == [0.0015, 0.001]
    assert "warm start: recorded point 1: lr0 0.002 -> 0.0015 (space ends there)" in fitted.notes
