"""Predictions on a few validation photographs, drawn beside their labels; run as a process of its own.

    echo REQUEST.json | python -m yolotune.report.predict

The process loads Ultralytics and torch, which takes seconds, before it reads the request, so that it can be started
before there is one. It is no part of a study's driver: if it dies, the study continues.
"""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolotune.config.isolation import isolate
from yolotune.data.index import read_index
from yolotune.report.canvas import Mark, Object, draw, drawn_colors, drawn_size

#: Predictions below this confidence are not looked at.
LEAST_CONFIDENCE = 0.02
#: Photographs on which a model's confidence is chosen, those that are shown among them.
JUDGED = 18
#: Boxes that overlap by this much (IoU) are the same object.
SAME = 0.5


def main() -> None:
    """Loads what predictions need, and draws the request that is named on standard input, if there is one."""
    isolate()
    import torch
    import torchvision  # noqa: F401  # loaded by the first prediction otherwise
    import ultralytics.models  # noqa: F401

    torch.set_num_threads(2)
    request = sys.stdin.read().strip()
    if request:
        draw_request(Path(request))
    gc.freeze()  # a last collection of all that is loaded takes most of a second


def draw_request(request: Path) -> None:
    """Draws what a request asks for into its folder, and writes `answer.json` beside it.

    Args:
        request: JSON with `index`, `names`, `weights`, `imgsz`, `count` and `out`.
    """
    asked = json.loads(request.read_text(encoding="utf-8"))
    out = Path(asked["out"])
    labels, _ = read_index(Path(asked["index"]))
    known = [image for image, label in labels.items() if len(label["cls"])]
    chosen = evenly(known, asked["count"])
    judged = list(dict.fromkeys([*chosen, *evenly(known, JUDGED)]))
    names = {int(key): str(name) for key, name in asked["names"].items()}
    truth = {image: labelled_objects(labels[image]) for image in chosen}
    found = [[truth[image] for image in chosen]]
    confidences = []
    for weights in asked["weights"]:
        results = predict(weights, judged, asked["imgsz"])
        boxes = {image: matched(labels[image], results[image]) for image in judged}
        confidences.append(best_confidence([(boxes[image], len(labels[image]["cls"])) for image in judged]))
        sure = {image: [box for box in boxes[image] if box.confidence >= confidences[-1]] for image in chosen}
        found.append([marked_objects(results[image], sure[image], truth[image]) for image in chosen])
    rows = []
    for place, image in enumerate(chosen):
        shown = [column[place] for column in found]
        files = [draw(image, each, out / f"{place}-{column}.jpg") for column, each in enumerate(shown)]
        captions = [counted(shown[0], names), *map(judgement, shown[1:])]
        rows.append({"image": Path(image).name, "files": files, "captions": captions})
    drawn = [one for column in found for each in column for one in each]
    key = [[names.get(index, str(index)), color] for index, color in drawn_colors(drawn).items()]
    answer = {"rows": rows, "confidences": confidences, "key": key}
    (out / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def evenly(images: list[str], count: int) -> list[str]:
    """Returns `count` images evenly over the split, chosen by place and not by result."""
    count = min(count, len(images))
    return [images[(2 * place + 1) * len(images) // (2 * count)] for place in range(count)]


def labelled_objects(label: dict[str, Any]) -> list[Object]:
    """Returns the labelled objects of an image."""
    import cv2

    size = drawn_size(*label["shape"])
    found = []
    for index, polygon in zip(label["cls"].reshape(-1).astype(int).tolist(), label["segments"], strict=True):
        mask = np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(mask, [(np.asarray(polygon) * size).round().astype(np.int32)], 1)
        found.append(Object(index, mask))
    return found


def predict(weights: str, images: list[str], imgsz: int) -> dict[str, Any]:
    """Returns Ultralytics' result for each image, with everything above `LEAST_CONFIDENCE`."""
    from ultralytics import YOLO

    model = YOLO(weights, task="segment")
    options = {"imgsz": imgsz, "conf": LEAST_CONFIDENCE, "device": "cpu", "retina_masks": True, "verbose": False}
    return {image: model.predict(image, **options)[0] for image in images}


class Box(NamedTuple):
    """A predicted box: its confidence, the label that it found (None for a false alarm), its place in the result."""

    confidence: float
    label: int | None
    place: int


def matched(label: dict[str, Any], result: Any) -> list[Box]:
    """Returns the predicted boxes, the most confident first, each with the label that it found.

    A box finds a label of its class that it overlaps and that no box of higher confidence has found.
    """
    middle, half = np.asarray(label["bboxes"])[:, :2], np.asarray(label["bboxes"])[:, 2:] / 2
    truth, classes = np.hstack([middle - half, middle + half]), label["cls"].reshape(-1)
    free = np.ones(len(truth), bool)
    found = []
    for place, box in sorted(enumerate(result.boxes), key=lambda pair: -float(pair[1].conf)):
        overlap = np.where(free & (classes == int(box.cls)), _iou(box.xyxyn[0].numpy(), truth), 0.0)
        nearest = int(overlap.argmax())
        is_right = bool(overlap[nearest] >= SAME)
        free[nearest] &= not is_right
        found.append(Box(float(box.conf), nearest if is_right else None, place))
    return found


def marked_objects(result: Any, boxes: Sequence[Box], truth: Sequence[Object]) -> list[Object]:
    """Returns what a model has found, what it sees where nothing is labelled, and the labels that it has missed.

    Args:
        result: Ultralytics' result for an image.
        boxes: Those of its boxes that are sure enough.
        truth: The labelled objects.
    """
    found = {box.label for box in boxes}
    shown = [
        Object(
            int(result.boxes.cls[box.place]),
            result.masks.data[box.place].numpy().astype(np.uint8),
            Mark.FALSE_ALARM if box.label is None else Mark.FOUND,
            box.confidence,
        )
        for box in boxes
    ]
    missed = (Object(one.index, one.mask, Mark.MISSED) for place, one in enumerate(truth) if place not in found)
    return [*shown, *missed]


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the overlap of a box `(4,)` with others `(n, 4)`, all as left, top, right, bottom."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlap: np.ndarray = shared / np.maximum((box[2:] - box[:2]).prod() + areas - shared, 1e-9)
    return overlap


def best_confidence(judged: Sequence[tuple[Sequence[Box], int]]) -> float:
    """Returns the confidence with the best F1 over all images, where a model works best.

    Args:
        judged: By image, what `matched` returned, and the number of labelled objects.
    """
    boxes = sorted((box.confidence, box.label is not None) for found, _ in judged for box in found)
    labels = sum(count for _, count in judged)
    best, chosen, true = 0.0, 0.25, 0  # Ultralytics' own 0.25 where no box is right
    for count, (confidence, is_right) in enumerate(reversed(boxes), start=1):
        true += is_right
        f1 = 2 * true / (count + labels)
        if f1 > best:
            best, chosen = f1, confidence
    return chosen


def counted(shown: Sequence[Object], names: dict[int, str]) -> str:
    """Returns `2 person, 1 dog`, or `nothing`."""
    counts = Counter(names.get(one.index, str(one.index)) for one in shown)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common(4)) or "nothing"


def judgement(shown: Sequence[Object]) -> str:
    """Returns `5 found, 2 missed, 1 false alarm`; what there is none of is left out, but for what was found."""
    counts = Counter(one.mark for one in shown)
    alarms = counts[Mark.FALSE_ALARM]
    said = [f"{counts[Mark.FOUND]} found"]
    said += [f"{counts[Mark.MISSED]} missed"] if counts[Mark.MISSED] else []
    said += [f"{alarms} false alarm{'' if alarms == 1 else 's'}"] if alarms else []
    return ", ".join(said)


if __name__ == "__main__":
    main()
