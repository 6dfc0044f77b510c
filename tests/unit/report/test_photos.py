"""The photographs: which are taken, what a model has found and missed in them, and how that is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolotune.report.canvas import FALSE_ALARM, Mark, Object, color_of, draw
from yolotune.report.predict import Box, best_confidence, evenly, judgement, labelled_objects, marked_objects, matched

SIDE = 100
#: Two labelled squares of one class, in fractions of the image.
LABEL: dict[str, Any] = {
    "shape": (SIDE, SIDE),
    "cls": np.zeros((2, 1)),
    "bboxes": np.array([[0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2]]),
    "segments": [
        np.array([[0.1, 0.1], [0.3, 0.1], [0.3, 0.3], [0.1, 0.3]]),
        np.array([[0.7, 0.7], [0.9, 0.7], [0.9, 0.9], [0.7, 0.9]]),
    ],
}


def predicted(*boxes: tuple[int, int, int, int, float, int]) -> Any:
    """Returns a result of Ultralytics with boxes as left, top, right, bottom, confidence, class; masks fill them."""
    import torch
    from ultralytics.engine.results import Results

    masks = torch.zeros(len(boxes), SIDE, SIDE)
    for mask, (left, top, right, bottom, *_) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    return Results(photo, "a.jpg", {0: "cat", 1: "dog"}, boxes=torch.tensor(boxes, dtype=torch.float32), masks=masks)


def test_photographs_are_taken_evenly_and_models_at_their_best() -> None:
    assert evenly([str(n) for n in range(60)], 6) == ["5", "15", "25", "35", "45", "55"]
    assert evenly(["a", "b"], 6) == ["a", "b"]
    judged = [([Box(0.9, 0, 0), Box(0.2, None, 1)], 1), ([Box(0.6, 0, 0), Box(0.1, None, 1)], 1)]
    assert best_confidence(judged) == 0.6
    assert best_confidence([([], 3)]) == 0.25


def test_a_box_finds_one_label_of_its_class_and_the_rest_are_missed() -> None:
    result = predicted((10, 10, 30, 30, 0.6, 0), (11, 11, 30, 30, 0.9, 0), (70, 70, 90, 90, 0.8, 1))
    boxes = matched(LABEL, result)
    assert [(box.label, box.place) for box in boxes] == [(0, 1), (None, 2), (None, 0)]
    shown = marked_objects(result, boxes, labelled_objects(LABEL))
    assert [one.mark for one in shown] == [Mark.FOUND, Mark.FALSE_ALARM, Mark.FALSE_ALARM, Mark.MISSED]
    assert [one.index for one in shown] == [0, 1, 0, 0]
    assert judgement(shown) == "1 found, 1 missed, 2 false alarms"
    assert judgement(shown[:1]) == "1 found"


def test_found_missed_and_false_alarms_look_different(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((SIDE, SIDE, 3), 90, np.uint8))
    masks = [np.zeros((SIDE, SIDE), np.uint8) for _ in range(3)]
    for place, mask in enumerate(masks):
        mask[60:90, 5 + 30 * place : 25 + 30 * place] = 1
    marks = [Mark.FOUND, Mark.FALSE_ALARM, Mark.MISSED]
    shown = [Object(0, mask, mark) for mask, mark in zip(masks, marks, strict=True)]
    name = draw(str(tmp_path / "grey.png"), shown, tmp_path / "drawn.jpg")
    drawn = cv2.imread(str(tmp_path / name), cv2.IMREAD_COLOR_RGB).astype(int)
    inside, edges = drawn[300, [60, 180, 300]], drawn[300, [20, 140]]
    assert np.abs(inside[0] - inside[1]).max() < 12, "both are filled with the colour of their class"
    assert np.abs(inside[2] - 90).max() < 12, "what was missed is not filled"
    assert np.abs(edges - [color_of(0), FALSE_ALARM]).max() < 60
    dashes = drawn[250:350, 260].min(axis=1)
    assert dashes.max() > 180 and dashes.min() < 120, "an outline with gaps"
