"""The made dataset of the demo, the tests and the benchmarks: circles, squares and triangles on noise.

Nothing is downloaded and nothing is random between machines: the same arguments give the same bytes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

NAMES = ("circle", "square", "triangle")
CORNERS = {"circle": 24, "square": 4, "triangle": 3}


def make_shapes(
    folder: Path, *, train: int = 96, val: int = 32, test: int = 0, size: int = 96, per_image: int = 3, seed: int = 0
) -> Path:
    """Writes a YOLO segmentation dataset of coloured shapes and returns its `data.yaml`.

    Args:
        folder: Where to write `images/`, `labels/` and `data.yaml`; existing files of the same name are replaced.
        train: Number of training images.
        val: Number of validation images.
        test: Number of test images; without any there is no test split.
        size: Side of the square images, in pixels.
        per_image: Largest number of shapes in one image (1..per_image, drawn uniformly).
        seed: Seed of every random choice.
    """
    rng = np.random.default_rng(seed)
    splits = {split: count for split, count in (("train", train), ("val", val), ("test", test)) if count}
    for split, count in splits.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, rows = _draw(rng, size, int(rng.integers(1, per_image + 1)))
            name = f"{split}{index:04d}"
            _write_png(folder / "images" / split / f"{name}.png", image)
            (folder / "labels" / split / f"{name}.txt").write_text("".join(row + "\n" for row in rows))
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(NAMES))
    data = folder / "data.yaml"
    data.write_text("".join(f"{split}: images/{split}\n" for split in splits) + f"names:\n{names}")
    return data


def _draw(rng: np.random.Generator, size: int, count: int) -> tuple[np.ndarray, list[str]]:
    """Returns one image `(size, size, 3)` uint8 and its label rows, shapes never overlapping."""
    import cv2

    image = rng.integers(60, 130, (size, size, 3)).astype(np.uint8)
    rows: list[str] = []
    taken: list[tuple[float, float, float]] = []
    while len(rows) < count:
        radius = rng.uniform(0.13, 0.24) * size
        x, y = rng.uniform(radius, size - radius, 2)
        if any(math.hypot(x - a, y - b) < radius + r for a, b, r in taken):
            if rng.random() < 0.1:  # a crowded image ends with fewer shapes instead of looping for ever
                break
            continue
        taken.append((x, y, radius))
        label = int(rng.integers(len(NAMES)))
        polygon = _polygon(NAMES[label], x, y, radius, rng.uniform(0, 2 * math.pi))
        bright = rng.integers(170, 256, 3)
        bright[rng.integers(3)] = rng.integers(0, 60)
        cv2.fillPoly(image, [polygon.round().astype(np.int32)], bright.tolist())
        points = " ".join(f"{value:.5f}" for value in np.clip(polygon / size, 0, 1).ravel())
        rows.append(f"{label} {points}")
    return image, rows


def _polygon(name: str, x: float, y: float, radius: float, turn: float) -> np.ndarray:
    """Returns the corners `(n, 2)` in pixels of a regular polygon around (x, y)."""
    angles = turn + np.linspace(0, 2 * math.pi, CORNERS[name], endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def _write_png(path: Path, image: np.ndarray) -> None:
    import cv2

    encoded, data = cv2.imencode(".png", image)
    if not encoded:
        raise OSError(f"{path}: the image could not be encoded as PNG")
    path.write_bytes(data.tobytes())
