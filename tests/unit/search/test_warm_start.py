"""The best points of earlier studies: which, in what order, and how they are fitted into another space."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.errors import UserError
from yolotune.record.provenance import Provenance
from yolotune.record.study import best_trials, read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.search import Here, Warm, choose_sampler, warm_points
from yolotune.search.warm_start import Source, fit

HERE = Here(nc=3, fingerprint="fish", model="yolo11n-seg.pt")
SPACE = {"lr0": "loguniform(1e-5, 0.1)", "batch": "choice([8, 16])"}
TRAIN = {"optimizer": "AdamW"}
DEFAULT: Point = {"lr0": 0.001429, "batch": 16}
OF = Provenance("old", "/old", 1, 0.5, None)
Trials = list[tuple[Point, float, Verdict]]


def earlier(folder: Path, trials: Trials, *, fingerprint: str = "fish", name: str = "old", **given: Any) -> Path:
    """Writes an ended study."""
    settings = Settings(**{"data": "d.yaml", "space": SPACE, "train": TRAIN, "name": name, **given})
    record = RecordWriter(folder / name, metric=settings.metric, mode=settings.direction)
    record.create(settings.model_dump(), {"dataset": {"fingerprint": fingerprint}})
    for number, (point, value, verdict) in enumerate(trials):
        record.start(number, point)
        record.append(number, {"epoch": 1, settings.metric: value})
        record.end(number, Ending(verdict, "r"), {})
    return record.folder


def study(*folders: Path, **given: Any) -> Settings:
    named = [str(folder) for folder in folders]
    return Settings(**{"data": "d.yaml", "space": SPACE, "train": TRAIN, "warm_start": named, **given})


FOUR: Trials = [
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
    assert warm_points(study(), HERE) == Warm([], [], [])


@pytest.mark.parametrize(
    ("search", "known", "wanted"),
    [("auto", 0, "tpe"), ("auto", 1, "tpe"), ("auto", 2, "gp"), ("tpe", 3, "tpe"), ("random", 3, "random")],
)
def test_a_gaussian_process_searches_where_good_points_are_known(search: str, known: int, wanted: str) -> None:
    settings = study(search=search)
    chosen, notes = choose_sampler(settings, Warm([DEFAULT] * known, [OF] * known, []))
    assert chosen == settings.model_copy(update={"search": wanted})
    assert bool(notes) is (search == "auto" and wanted == "gp")


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


def test_shares_of_the_epochs_are_worked_out_by_the_other_study(tmp_path: Path) -> None:
    old = earlier(tmp_path, FOUR, epochs=40, train={**TRAIN, "close_mosaic": 0.1})
    warm = warm_points(study(old, space={**SPACE, "close_mosaic": "randint(0, 11)"}, top=1), HERE)
    assert warm.points == [{"lr0": 0.004, "batch": 16, "close_mosaic": 4}]


def test_of_several_studies_the_best_of_each_come_first(tmp_path: Path) -> None:
    other: Trials = [({"lr0": 0.05, "batch": 8}, 0.3, Verdict.COMPLETED), (FOUR[3][0], 0.2, Verdict.COMPLETED)]
    named = [earlier(tmp_path, FOUR), earlier(tmp_path, other, name="other", fingerprint="fowl")]
    warm = warm_points(study(*named, top=2), HERE)
    assert [point["lr0"] for point in warm.points] == [0.004, 0.05, 0.002], "a point that both found comes once"
    assert [(one.study, one.trial, one.same_data) for one in warm.provenance] == [
        ("old", 3, True),
        ("other", 0, False),
        ("old", 1, True),
    ]


# --- a study that continues --------------------------------------------------------------------------------------


def begun(folder: Path, settings: Settings, tried: Sequence[tuple[Point, float, Verdict]] = ()) -> Path:
    """Writes the record of a study that begins with warm points, as far as it has come."""
    warm = warm_points(settings, HERE)
    record = RecordWriter(folder / "new", metric=settings.metric, mode=settings.direction)
    origins = [vars(origin) for origin in warm.provenance]
    record.create({**settings.model_dump(), "warm_points": warm.points, "warm_from": origins}, {})
    for number, (point, _, _) in enumerate(tried):
        record.start(number, point)
    return record.folder


def test_a_study_that_continues_does_not_need_the_other_one_any_more(tmp_path: Path) -> None:
    old = earlier(tmp_path, [*FOUR[:2], (DEFAULT, 0.7, Verdict.COMPLETED)])
    settings = study(old)
    folder = begun(tmp_path, settings)
    first = warm_points(settings, HERE)
    assert [point["lr0"] for point in first.points] == [0.002, 0.001], "the old best is the defaults"
    shutil.rmtree(old)
    assert warm_points(settings, HERE, folder) == Warm(first.points, first.provenance, [])
    with pytest.raises(UserError, match="no study here"):
        warm_points(study(old, top=2), HERE, folder)
    with pytest.raises(UserError, match="no study here"):
        warm_points(settings, HERE, tmp_path / "not begun")


def test_its_points_are_fitted_into_a_space_that_was_changed(tmp_path: Path) -> None:
    old = earlier(tmp_path, FOUR[:2])
    folder = begun(tmp_path, study(old))
    narrow = warm_points(study(old, space={**SPACE, "lr0": "uniform(0.0, 0.0015)"}), HERE, folder)
    assert [point["lr0"] for point in narrow.points] == [0.0015, 0.001]
    assert narrow.notes == ["warm start: recorded point 1: lr0 0.002 -> 0.0015 (space ends there)"]


def test_another_warm_start_replaces_the_points_that_were_not_tried(tmp_path: Path) -> None:
    folder = begun(tmp_path, study(earlier(tmp_path, FOUR)), tried=[FOUR[1]])
    other = earlier(tmp_path, [({"lr0": 0.05, "batch": 8}, 0.3, Verdict.COMPLETED)], name="other")
    warm = warm_points(study(other), HERE, folder)
    assert [(point["lr0"], one.study) for point, one in zip(warm.points, warm.provenance, strict=True)] == [
        (0.05, "other"),
        (0.002, "old"),
    ]
    assert [point["lr0"] for point in warm_points(study(), HERE, folder).points] == [0.002]


def test_points_whose_origin_was_not_recorded_are_kept(tmp_path: Path) -> None:
    record = RecordWriter(tmp_path / "new", metric="seg_metrics/F1", mode="max")
    record.create({**study().model_dump(), "warm_points": [FOUR[0][0]]}, {})
    warm = warm_points(study(), HERE, record.folder)
    assert warm.points == [FOUR[0][0]] and warm.provenance[0].study == "an earlier study"
