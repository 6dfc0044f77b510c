"""The process that draws the pictures of trainings: real, with real figures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from yolotune.training.drawing import DPI, NICENESS, Curves, DrawingError, drawing_process

RESULTS = (
    "epoch,time,train/box_loss,train/seg_loss,metrics/mAP50(B),metrics/mAP50(M)\n1,2,3,4,0.5,0.6\n2,4,2,3,0.6,0.7\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "results.csv").write_text(RESULTS)
    return tmp_path


def test_a_figure_is_drawn_by_another_process_of_low_priority_and_resolution(folder: Path) -> None:
    from PIL import Image

    curves = Curves()
    curves.draw("results", folder=folder)
    curves.wait()
    process = drawing_process().running
    assert process is not None and process.pid != os.getpid()
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    assert Image.open(folder / "results.png").info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
    environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=" in environment


def test_what_cannot_be_drawn_is_said_and_the_rest_is_there(folder: Path) -> None:
    curves = Curves()
    curves.draw("results", folder=folder / "nowhere")
    curves.draw("results", folder=folder)
    with pytest.raises(DrawingError, match=r"results: Traceback[\s\S]*nowhere"):
        curves.wait()
    assert (folder / "results.png").exists()


def test_a_process_that_was_killed_is_said_and_replaced(folder: Path) -> None:
    curves = Curves()
    curves.draw("results", folder=folder)
    curves.wait()
    killed = drawing_process().running
    assert killed is not None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (folder / "results.png").unlink()
    curves.draw("results", folder=folder)
    curves.draw("results", folder=folder)
    with pytest.raises(DrawingError, match="died, exit code -9"):
        curves.wait()
    assert (folder / "results.png").exists(), "drawn by the next one"


def test_labels_are_drawn_once_and_copied_to_trials_that_show_the_same(folder: Path) -> None:
    rng = np.random.default_rng(0)
    boxes, other = rng.uniform(0.2, 0.4, (30, 4)), rng.uniform(0.2, 0.4, (30, 4))
    curves = Curves()
    for name, shown in (("one", boxes), ("two", boxes), ("three", other)):
        (folder / name).mkdir()
        curves.draw("labels", folder=folder / name, boxes=shown, classes=np.zeros(30), names={0: "fish"})
    curves.wait()
    one, two, three = ((folder / name / "labels.jpg").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    (folder / "one" / "labels.jpg").unlink()
    (folder / "two" / "labels.jpg").unlink()
    curves.draw("labels", folder=folder / "two", boxes=boxes, classes=np.zeros(30), names={0: "fish"})
    curves.wait()
    assert (folder / "two" / "labels.jpg").read_bytes() == two, "drawn again where the first is gone"
