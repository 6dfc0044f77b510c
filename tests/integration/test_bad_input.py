"""Bad input, as a user meets it: one clear line with the fix, exit code 2, nothing created, no traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from yolotune.data.shapes import make_shapes


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], list[str]]:
    def spoil(folder: Path) -> list[str]:
        path = folder / name
        path.write_text(change(path.read_text()))
        return []

    return spoil


def no_images(folder: Path) -> list[str]:
    for image in (folder / "images" / "train").iterdir():
        image.unlink()
    return []


def corrupt_image(folder: Path) -> list[str]:
    (folder / "images" / "train" / "train0002.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    return []


def study(**settings: object) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        (folder / "study.yaml").write_text(yaml.safe_dump(settings))
        return [str(folder / "study.yaml")]

    return write


def detection_weights(folder: Path) -> list[str]:
    import torch
    from ultralytics import YOLO

    model = YOLO("yolo11n.yaml", task="detect").model
    model.args = {"task": "detect"}
    torch.save({"model": model.half(), "train_args": {"task": "detect"}, "date": "", "version": ""}, folder / "det.pt")
    return ["--model", str(folder / "det.pt")]


def bad_point(folder: Path) -> list[str]:
    (folder / "point.yaml").write_text("{lr0: 7.0, cls: 0.5, momentun: 0.9}")
    (folder / "space.yaml").write_text("lr0: loguniform(1e-5, 1e-2)\ncls: uniform(0.3, 3.0)\n")
    return ["--space", str(folder / "space.yaml"), "--points", str(folder / "point.yaml"), "optimizer=AdamW"]


DOWNLOAD = "train: x\nval: y\nnames: [a]\ndownload: exit(9)\n"
LABEL = "labels/train/train0001.txt"

CASES = {
    "missing data.yaml": (lambda folder: ["--data", str(folder / "nowhere.yaml")], ["nowhere.yaml", "no such file"]),
    "empty train split": (no_images, ["images/train", "no images"]),
    "class id beyond nc": (edit(LABEL, lambda text: "7" + text[1:]), [LABEL + ":1", "class id 7", "3 classes"]),
    "odd number of coordinates": (edit(LABEL, lambda text: text.rsplit(" ", 1)[0] + "\n"), [LABEL, "odd number"]),
    "corrupt image": (corrupt_image, ["train0002.png", "not a readable image"]),
    "unknown hyperparameter": (lambda folder: ["momentun=0.9"], ["momentun", "Did you mean momentum?"]),
    "range upside down": (study(space={"cls": "uniform(3.0, 0.3)"}), ["space: cls", "low must be below high"]),
    "point out of range": (bad_point, ["point.yaml: lr0", "7.0", "loguniform(1e-05, 0.01)", "momentun"]),
    "weights of a detection model": (detection_weights, ["det.pt", "'detect'", "segmentation"]),
    "more trials than fit": (lambda folder: ["--concurrent", "5", "--cpus", "2"], ["concurrent", "2 fit"]),
    "a typo in the study file": (study(num_sample=3), ["num_sample", "Did you mean num_samples?"]),
    "a study file that is no map": (edit("data.yaml", lambda text: "- a\n- b\n"), ["data.yaml", "list"]),
    "a download script": (edit("data.yaml", lambda text: DOWNLOAD), ["never runs"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_line_and_exit_code_2(case: str, tmp_path: Path) -> None:
    spoil, words = CASES[case]
    data = make_shapes(tmp_path / "shapes", train=6, val=3, size=32)
    more = spoil(data.parent)
    if "--data" not in more:
        more += ["--data", str(data)]
    if "--model" not in more:
        more += ["--model", "yolo11n-seg.yaml"]
    command = [sys.executable, "-m", "yolotune", "run", *more, "--device", "cpu", "--epochs", "20"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert all(line.startswith("error: ") and " Fix: " in line for line in done.stderr.strip().splitlines())
    assert not (tmp_path / "runs").exists()
