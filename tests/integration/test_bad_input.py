"""Bad input, as a user meets it: one clear line with the fix, exit code 2, nothing created, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from yolotune.cli import commands
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


class Planted:
    """What a pickle can do when it is loaded: here it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._folder),)


def weights_that_run_code(folder: Path) -> list[str]:
    import torch

    torch.save({"model": Planted(folder / "runs")}, folder / "planted.pt")  # `runs` must not be there afterwards
    return ["--model", str(folder / "planted.pt")]


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
    "weights that run code": (weights_that_run_code, ["planted.pt", "cannot be loaded"]),
    "more trials than fit": (lambda folder: ["--concurrent", "5", "--cpus", "2"], ["concurrent", "2 fit"]),
    "a typo in the study file": (study(num_sample=3), ["num_sample", "Did you mean num_samples?"]),
    "a study file that is no map": (edit("data.yaml", lambda text: "- a\n- b\n"), ["data.yaml", "list"]),
    "a download script": (edit("data.yaml", lambda text: DOWNLOAD), ["never runs"]),
}  # fmt: skip


def command_line(case: str, folder: Path) -> list[str]:
    """Returns the words of a command on data that is spoilt as a case says."""
    spoil, _ = CASES[case]
    data = make_shapes(folder / "shapes", train=6, val=3, size=32)
    words = spoil(data.parent)
    words += [] if "--data" in words else ["--data", str(data)]
    words += [] if "--model" in words else ["--model", "yolo11n-seg.yaml"]
    return ["run", *words, "--device", "cpu", "--epochs", "20"]


def assert_refused(said: str, code: int, case: str, folder: Path) -> None:
    assert code == 2, said
    for word in CASES[case][1]:
        assert word in said
    assert all(line.startswith("error: ") and " Fix: " in line for line in said.strip().splitlines())
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = commands._exit_code(commands.app, command_line(case, tmp_path))
    assert_refused(capsys.readouterr().err, code, case, tmp_path)


def test_the_command_itself_says_the_same_and_nothing_else(tmp_path: Path) -> None:
    case = "unknown hyperparameter"
    command = [sys.executable, "-m", "yolotune", *command_line(case, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert_refused(done.stderr, done.returncode, case, tmp_path)
    assert done.stdout == ""
