"""How near two studies are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolotune.similarity import NEAR, Task, differences, distance

TASK = Task(
    fingerprint="fish",
    images=1000,
    objects=4.0,
    areas=(0.01, 0.04, 0.16),
    side=800.0,
    names=("cod", "eel", "ray"),
    nc=3,
    model="yolo11n-seg.pt",
    weights="aa",
    imgsz=640,
    epochs=100,
    objective="metrics/F1(M)",
)
OTHER = replace(TASK, fingerprint="fowl")
AMOUNT = st.floats(1e-3, 1e9)
TASKS = st.builds(
    Task,
    fingerprint=st.sampled_from(["fish", "fowl"]),
    images=st.integers(1, 10**9),
    objects=AMOUNT,
    areas=st.tuples(*[st.floats(0, 1)] * 3),
    side=AMOUNT,
    names=st.lists(st.sampled_from(["cod", "eel", "ray", "owl"]), unique=True).map(tuple),
    nc=st.integers(1, 10**4),
    model=st.sampled_from(["yolo11n-seg.pt", "yolo11x-seg.yaml", "yolov8s-seg.pt", "mine.pt", ""]),
    weights=st.sampled_from([None, "aa", "bb"]),
    imgsz=st.integers(32, 4096),
    epochs=st.integers(1, 5000),
    objective=st.sampled_from(["metrics/F1(M)", "metrics/mAP50(M)"]),
)


def test_the_same_data_trained_alike_is_no_distance_whatever_is_written_of_it() -> None:
    assert distance(TASK, TASK) == 0 and differences(TASK, TASK) == []
    assert distance(TASK, replace(TASK, images=10, names=("owl",), side=50.0)) == 0


@pytest.mark.parametrize(
    ("change", "apart", "words"),
    [
        ({"images": 100}, 0.5, "images 100 there, 1,000 here"),
        ({"objects": 40.0}, 0.5, "objects per image 40 there, 4 here"),
        ({"nc": 30}, 0.5, "classes 30 there, 3 here"),
        ({"areas": (0.04, 0.16, 0.64)}, 0.25, "objects of 40 % of the image's side there, 20 % here"),
        ({"side": 1600.0}, 0.1, "image side 1,600 there, 800 here"),
        ({"names": ("owl",)}, 0.25, "other classes"),
        ({"names": ("cod", "eel", "ray", "owl")}, 0.0625, "3 classes in common"),
        ({"imgsz": 320}, 0.25, "imgsz 320 there, 640 here"),
        ({"epochs": 400}, 0.4, "epochs 400 there, 100 here"),
        ({"objective": "metrics/mAP50(M)"}, 0.3, "objective metrics/mAP50(M) there, metrics/F1(M) here"),
        ({"weights": "bb"}, 0.2, "other weights of the same architecture"),
        ({"model": "yolo11m-seg.pt", "weights": "bb"}, 0.2, "model yolo11m-seg.pt there, yolo11n-seg.pt here"),
        ({"model": "yolov8n-seg.pt", "weights": "bb"}, 0.3, "model yolov8n-seg.pt there, yolo11n-seg.pt here"),
        ({"model": "mine.pt", "weights": "bb"}, 0.5, "model mine.pt there, yolo11n-seg.pt here"),
        ({"model": "yolo11n-seg.yaml", "weights": None}, 1.0, "weights made there, pretrained here"),
    ],
)
def test_what_a_difference_weighs(change: dict[str, Any], apart: float, words: str) -> None:
    other = replace(OTHER, **change)
    assert distance(TASK, other) == pytest.approx(apart)
    assert [part.words for part in differences(TASK, other)] == [words]


def test_the_same_weights_under_another_name_are_the_same() -> None:
    assert distance(TASK, replace(OTHER, model="renamed.pt")) == 0


def test_a_study_from_made_weights_and_one_of_tenfold_data_and_other_objects_are_too_far() -> None:
    assert distance(TASK, replace(TASK, model="yolo11n-seg.yaml", weights=None)) >= NEAR
    assert distance(TASK, replace(OTHER, images=10_000, objects=40.0, names=("owl",))) >= NEAR
    assert distance(TASK, replace(OTHER, images=300, names=("owl",), imgsz=512)) < NEAR


def test_the_weightiest_difference_is_named_first() -> None:
    parts = differences(TASK, replace(OTHER, images=10_000, side=1600.0, imgsz=320))
    assert [part.words.split()[0] for part in parts] == ["images", "imgsz", "image"]


@given(TASKS, TASKS)
def test_the_distance_is_symmetric_finite_and_never_negative(one: Task, other: Task) -> None:
    assert distance(one, other) == pytest.approx(distance(other, one))
    assert 0 <= distance(one, other) < math.inf
    assert distance(one, one) == 0


@pytest.mark.parametrize("change", [{"images": 0}, {"side": math.nan}, {"objects": math.inf}, {"imgsz": 10**400}])
def test_amounts_that_are_none_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="amounts above 0"):
        replace(TASK, **change)
