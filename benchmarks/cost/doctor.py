"""How long the data doctor takes on a large dataset.

    python -m benchmarks.cost.doctor [--images 10000] [--width 640 --height 480] [--objects 8]

Makes a dataset of JPEG photographs with polygons, a fifth of it for validation; prints the seconds of the check that
every study begins with, of a first examination, and of a second one, for which the comparison of images is kept.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from yolotune.data.dataset import load_dataset
from yolotune.data.doctor import examine


def make(folder: Path, images: int, width: int, height: int, objects: int) -> Path:
    """Writes a dataset of coloured patches, no two images alike, and returns its data.yaml."""
    rng = np.random.default_rng(0)
    turns = np.linspace(0, 2 * math.pi, 30, endpoint=False)
    for index in range(images):
        split = "val" if index % 5 == 0 else "train"
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        patches = rng.integers(0, 256, (height // 20, width // 20, 3)).astype(np.uint8)
        photograph = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "images" / split / f"{index:06}.jpg"), photograph)
        centres = rng.uniform(0.1, 0.9, (objects, 2))
        outlines = centres[:, None] + 0.08 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        rows = (" ".join(["0", *(f"{value:.5f}" for value in outline.ravel())]) for outline in outlines)
        (folder / "labels" / split / f"{index:06}.txt").write_text("".join(f"{row}\n" for row in rows))
    data = folder / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: [patch]\n")
    return data


def main() -> None:
    """Reads the arguments and prints a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 10_000), ("width", 640), ("height", 480), ("objects", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        data = make(Path(place), given.images, given.width, given.height, given.objects)
        steps = {"images and labels": load_dataset, "first examination": examine, "second examination": examine}
        for name, step in steps.items():
            began = time.monotonic()
            step(data)
            print(f"{name}: {time.monotonic() - began:.1f} s, {os.cpu_count()} cores", flush=True)


if __name__ == "__main__":
    main()
