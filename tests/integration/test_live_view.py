"""What a user sees on a terminal: real studies under a pseudo-terminal, read from its screen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from terminal import Terminal
from yolotune.record.study import read_study

SETTINGS: dict[str, Any] = {
    "model": "yolo11n-seg.yaml",
    "imgsz": 64,
    "device": "cpu",
    "concurrent": 1,
    "cpus": 2,
    "space": {"lr0": "loguniform(1e-3, 2e-2)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "nbs": 8, "mosaic": 0.0, "warmup_bias_lr": 0.0, "plots": False},
    "scheduler": "none",
    "plateau": None,
}


def write_study(folder: Path, data: Path, **changes: Any) -> str:
    path = folder / "wanted.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, "data": str(data), "project": str(folder), **changes}))
    return str(path)


def status(folder: Path) -> dict[str, Any]:
    """Returns what another process says of the study."""
    command = [sys.executable, "-m", "yolotune", "status", str(folder), "--json"]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def test_a_study_is_watched_interrupted_and_goes_on(shapes: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "run", write_study(tmp_path, shapes, num_samples=2, epochs=40), columns=80)
    terminal.wait_for(lambda screen: "0 of 2 ended; 1 running" in screen)
    terminal.wait_for(lambda screen: " 2/40 " in screen)
    assert terminal.cursor_hidden
    assert (
        "trial  " in terminal.screen and "F1 train" in terminal.screen and "best    metrics/F1(M) 0." in terminal.screen
    )

    said = status(tmp_path / "study")
    assert said["process"]["pid"] == terminal.process.pid
    assert said["trials"]["running"] == 1 and said["running"][0]["epoch"] >= 2

    terminal.resize(60, 24)
    terminal.wait_for(lambda screen: any(" 4/40 " in line and len(line) <= 60 for line in screen.splitlines()))
    terminal.press(b"\x03")
    terminal.wait_for(lambda screen: "Stopping: running trials leave after this epoch." in screen)
    assert terminal.end() == 130
    assert not terminal.cursor_hidden
    assert "Resume:  yolotune resume study" in terminal.screen
    assert "trial   0 interrupted" in terminal.screen, terminal.screen
    assert "1 running" not in terminal.screen, "the picture is wiped"
    for noise in (b"ray", b"Ultralytics 8", b"Traceback", b"WARNING"):
        assert noise not in terminal.written.replace(b"array", b"")

    trained = len(read_study(tmp_path / "study").trials[0].epochs)
    said = status(tmp_path / "study")
    assert (said["process"], said["trials"]["unfinished"], said["epochs"]["trained"]) == (None, 1, trained)

    again = Terminal(tmp_path, "resume", "study", "--num-samples", "1", columns=120, NO_COLOR="1")
    again.wait_for(lambda screen: f"  {trained}/40 " in screen or f"  {trained + 1}/40 " in screen)
    assert f"epochs  {trained}" in again.screen or f"epochs  {trained + 1}" in again.screen
    again.press(b"\x03")
    again.wait_for(lambda screen: "Once more Ctrl-C stops at once." in screen)
    again.press(b"\x03")
    assert again.end() == 130
    assert not again.cursor_hidden
    assert b"\x1b[3" not in again.written and b"\x1b[9" not in again.written, "NO_COLOR"
