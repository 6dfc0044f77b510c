"""Predictions on a few validation photographs, drawn beside their labels; run as a process of its own.

    python -m yolotune.report.predict REQUEST.json

The process imports Ultralytics and torch, which the driver of a study should not; whatever happens here, it goes on.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from yolotune.job import isolate
from yolotune.labels import read_index

#: Longest side of a drawn photograph in pixels, and the quality of its JPEG.
SIDE, QUALITY = 400, 80
#: Predictions below this confidence are left out, as `yolo predict` does.
CONFIDENCE = 0.25
#: BGR by class, in turn; after Okabe and Ito.
COLORS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204))


def main(request: Path) -> None:
    """Draws what a request asks for into its folder, and writes `answer.json` beside it.

    Args:
        request: JSON with `index`, `names`, `weights`, `imgsz`, `count` and `out`.
    """
    asked = json.loads(request.read_text(encoding="utf-8"))
    out = Path(asked["out"])
    labels, _ = read_index(Path(asked["index"]))
    chosen = spread([image for image, label in labels.items() if len(label["cls"])], asked["count"])
    names = {int(key): str(name) for key, name in asked["names"].items()}
    found = [[labelled(labels[image]) for image in chosen]]
    found += [predicted(weights, chosen, asked["imgsz"]) for weights in asked["weights"]]
    rows = []
    for place, image in enumerate(chosen):
        objects = [column[place] for column in found]
        files = [draw(image, each, out / f"{place}-{column}.jpg") for column, each in enumerate(objects)]
        captions = [counted(each, names) for each in objects]
        rows.append({"image": Path(image).name, "files": files, "captions": captions})
    (out / "answer.json").write_text(json.dumps(rows), encoding="utf-8")


def spread(images: list[str], count: int) -> list[str]:
    """Returns `count` images evenly over the split, chosen by place and not by result."""
    count = min(count, len(images))
    return [images[(2 * place + 1) * len(images) // (2 * count)] for place in range(count)]


Object = tuple[int, np.ndarray]


def labelled(label: dict[str, Any]) -> list[Object]:
    """Returns class and polygon `(n, 2)`, 0..1, of each labelled object."""
    classes = label["cls"].reshape(-1).astype(int).tolist()
    return [(index, np.asarray(polygon)) for index, polygon in zip(classes, label["segments"], strict=True)]


def predicted(weights: str, images: list[str], imgsz: int) -> list[list[Object]]:
    """Returns class and polygon of each object that a model finds, by image."""
    isolate()
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(2)
    model = YOLO(weights, task="segment")
    found: list[list[Object]] = []
    for image in images:
        (result,) = model.predict(image, imgsz=imgsz, conf=CONFIDENCE, device="cpu", retina_masks=True, verbose=False)
        classes = result.boxes.cls.int().tolist()
        polygons = result.masks.xyn if result.masks is not None else []
        found.append([(index, np.asarray(shape)) for index, shape in zip(classes, polygons, strict=False)])
    return found


def draw(image: str, objects: list[Object], path: Path) -> str:
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
    for index, polygon in objects:
        if len(polygon) < 3:
            continue
        corners = (polygon * size).round().astype(np.int32)
        color = COLORS[index % len(COLORS)]
        cv2.fillPoly(filled, [corners], color)
        outlines.append((corners, color))
    photo = cv2.addWeighted(filled, 0.45, photo, 0.55, 0)
    for corners, color in outlines:
        cv2.polylines(photo, [corners], True, color, 2, cv2.LINE_AA)
    encoded, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise OSError(f"{image}: cannot be drawn")
    path.write_bytes(data.tobytes())
    return path.name


def counted(objects: list[Object], names: dict[int, str]) -> str:
    """Returns `2 person, 1 dog`, or `nothing`."""
    counts = Counter(names.get(index, str(index)) for index, _ in objects)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common(4)) or "nothing"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
