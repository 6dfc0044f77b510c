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
from pathlib import Path
from typing import Any

import numpy as np

from yolotune.config.isolation import isolate
from yolotune.data.index import read_index

#: Longest side of a drawn photograph in pixels, and the quality of its JPEG.
SIDE, QUALITY = 400, 80
#: Predictions below this confidence are not looked at.
LEAST_CONFIDENCE = 0.02
#: Photographs on which a model's confidence is chosen, those that are shown among them.
JUDGED = 18
#: Boxes that overlap by this much (IoU) are the same object.
SAME = 0.5
#: BGR by class, in turn; after Okabe and Ito.
COLORS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204))


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
    found = [[labelled_objects(labels[image]) for image in chosen]]
    confidences = []
    for weights in asked["weights"]:
        results = predict(weights, judged, asked["imgsz"])
        confidences.append(best_confidence([matched(labels[image], results[image]) for image in judged]))
        found.append([predicted_objects(results[image], confidences[-1]) for image in chosen])
    rows = []
    for place, image in enumerate(chosen):
        shown = [column[place] for column in found]
        files = [draw(image, each, out / f"{place}-{column}.jpg") for column, each in enumerate(shown)]
        captions = [counted(each, names) for each in shown]
        rows.append({"image": Path(image).name, "files": files, "captions": captions})
    answer = {"rows": rows, "confidences": confidences}
    (out / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def evenly(images: list[str], count: int) -> list[str]:
    """Returns `count` images evenly over the split, chosen by place and not by result."""
    count = min(count, len(images))
    return [images[(2 * place + 1) * len(images) // (2 * count)] for place in range(count)]


#: Class, and mask `(h, w)` of 0 and 1, of any size: it is drawn over the whole photograph.
Object = tuple[int, np.ndarray]


def labelled_objects(label: dict[str, Any]) -> list[Object]:
    """Returns the labelled objects of an image."""
    import cv2

    height, width = label["shape"]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    found = []
    for index, polygon in zip(label["cls"].reshape(-1).astype(int).tolist(), label["segments"], strict=True):
        mask = np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(mask, [(np.asarray(polygon) * size).round().astype(np.int32)], 1)
        found.append((index, mask))
    return found


def predict(weights: str, images: list[str], imgsz: int) -> dict[str, Any]:
    """Returns Ultralytics' result for each image, with everything above `LEAST_CONFIDENCE`."""
    from ultralytics import YOLO

    model = YOLO(weights, task="segment")
    options = {"imgsz": imgsz, "conf": LEAST_CONFIDENCE, "device": "cpu", "retina_masks": True, "verbose": False}
    return {image: model.predict(image, **options)[0] for image in images}


def predicted_objects(result: Any, confidence: float) -> list[Object]:
    """Returns the objects of a result with at least this confidence."""
    if result.masks is None:
        return []
    kept = result.boxes.conf >= confidence
    classes = result.boxes.cls[kept].int().tolist()
    return list(zip(classes, result.masks.data[kept].numpy().astype(np.uint8), strict=True))


def matched(label: dict[str, Any], result: Any) -> tuple[list[tuple[float, bool]], int]:
    """Returns confidence of each predicted box and whether it is right, and the number of labelled objects.

    A box is right if it overlaps a label of its class that no box of higher confidence has taken.
    """
    middle, half = np.asarray(label["bboxes"])[:, :2], np.asarray(label["bboxes"])[:, 2:] / 2
    truth, classes = np.hstack([middle - half, middle + half]), label["cls"].reshape(-1)
    free = np.ones(len(truth), bool)
    found = []
    for box in sorted(result.boxes, key=lambda box: -float(box.conf)):
        overlap = np.where(free & (classes == int(box.cls)), _iou(box.xyxyn[0].numpy(), truth), 0.0)
        place = int(overlap.argmax())
        free[place] &= overlap[place] < SAME
        found.append((float(box.conf), bool(overlap[place] >= SAME)))
    return found, len(truth)


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the overlap of a box `(4,)` with others `(n, 4)`, all as left, top, right, bottom."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlap: np.ndarray = shared / np.maximum((box[2:] - box[:2]).prod() + areas - shared, 1e-9)
    return overlap


def best_confidence(judged: list[tuple[list[tuple[float, bool]], int]]) -> float:
    """Returns the confidence with the best F1 over all images, where a model works best.

    Args:
        judged: By image, what `matched` returned.
    """
    boxes = sorted((box for found, _ in judged for box in found), reverse=True)
    labels = sum(count for _, count in judged)
    best, chosen, true = 0.0, 0.25, 0  # Ultralytics' own 0.25 where no box is right
    for count, (confidence, is_right) in enumerate(boxes, start=1):
        true += is_right
        f1 = 2 * true / (count + labels)
        if f1 > best:
            best, chosen = f1, confidence
    return chosen


def draw(image: str, shown: list[Object], path: Path) -> str:
    """Writes a photograph with masks and returns the name of the file."""
    import cv2

    photo = cv2.imread(image, cv2.IMREAD_COLOR)
    if photo is None:
        raise OSError(f"{image}: cannot be read")
    height, width = photo.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    filled = photo.copy()
    outlines = []
    for index, small in shown:
        mask = cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
        color = COLORS[index % len(COLORS)]
        filled[mask] = color
        shapes, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outlines.append((shapes, color))
    photo = cv2.addWeighted(filled, 0.45, photo, 0.55, 0)
    for shapes, color in outlines:
        cv2.drawContours(photo, shapes, -1, color, 2, cv2.LINE_AA)
    encoded, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise OSError(f"{image}: cannot be drawn")
    path.write_bytes(data.tobytes())
    return path.name


def counted(shown: list[Object], names: dict[int, str]) -> str:
    """Returns `2 person, 1 dog`, or `nothing`."""
    counts = Counter(names.get(index, str(index)) for index, _ in shown)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common(4)) or "nothing"


if __name__ == "__main__":
    main()
