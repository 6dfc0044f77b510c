"""What the tests of W&B share: trackers, trials that were never trained, and what is read back from wandb's files."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wandb_reader import Run, read_run
from yolotune import metrics
from yolotune.metrics import overfitting
from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking import TrackingContext, TrialResult, WandbTracker
from yolotune.tracking.wandb_environment import basic_auth
from yolotune.tracking.wandb_runs import CURVES

KEY = "5e471e1" + "0123456789abcdef" * 3
UID = "0a1b2c3d"
POINT = {"lr0": 0.0012, "momentum": 0.9, "batch": 16}
CONFIG = {"imgsz": 64, "optimizer": "AdamW", "seed": 0, **POINT, "model": "yolo11n-seg.pt"}
NOWHERE = Path("/nothing/there")


def tracker_of(folder: Path, mode: str = "offline", **changes: Any) -> WandbTracker:
    """Returns the tracker of a study in a folder."""
    given = {"project": "shapes", "study": "my study", "uid": UID, "tags": ("tpe", "asha"), **changes}
    tracker = WandbTracker.create(TrackingContext(mode=mode, folder=folder / "wandb", **given))
    assert isinstance(tracker, WandbTracker)
    return tracker


def report(epoch: int, *, train: float = 0.0) -> dict[str, Any]:
    """An epoch report with every name of the guide, each with a number of its own."""
    names = (*metrics.SCORES, *metrics.VAL_LOSSES, *metrics.TRAIN_LOSSES, "lr/pg0", "seconds")
    row = {name: round((epoch + place / 100) / 10, 5) for place, name in enumerate(names)}
    return {"epoch": epoch, **row, "train_seg_metrics/F1": round(row["seg_metrics/F1"] + train, 5)}


def result(verdict: Verdict = Verdict.COMPLETED, reason: str = "", **changes: Any) -> TrialResult:
    """How a trial ended; without files unless they are given."""
    given = {"best_epoch": 1, "value": 0.1, "effective": {}, "weights": NOWHERE, "curves": NOWHERE, **changes}
    return TrialResult(ending=Ending(verdict, reason), **given)


def trial_files(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, Path]:
    """Makes what a training leaves behind, best.pt and the thirteen curves, and says where."""
    (folder / "weights").mkdir(parents=True)
    (folder / "curves").mkdir()
    (folder / "weights" / "best.pt").write_bytes(b"weights")
    for name in set(CURVES) - set(without):
        path = folder / "curves" / name
        path.write_text("epoch\n1\n") if path.suffix == ".csv" else Image.new("RGB", (4, 4)).save(path)
    return {"weights": folder / "weights" / "best.pt", "curves": folder / "curves"}


def offline_runs(tracker: WandbTracker, name: str) -> list[Run]:
    """The study's runs of a name, such as `0007` or `study`, as their files tell; oldest first."""
    files = tracker.folder.glob(f"offline-run-*-{tracker.context.uid}-{name}/*.wandb")
    return [read_run(path.parent) for path in sorted(files, key=lambda path: path.stat().st_mtime)]


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as W&B keeps them: with the gap, and with a word for NaN, which equals nothing."""
    written = [{**row, **overfitting(row)} for row in rows]
    return [{k: "NaN" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in written]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said to the user; wandb's own words go into its log files."""
    ours = [record for record in caplog.records if record.name == "yolotune.wandb"]
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]


def assert_no_key(folder: Path, log: str) -> None:
    """The key is nowhere, neither plain nor as a header has it, and no password of an address is."""
    secrets = [KEY.encode(), basic_auth(KEY).encode(), b"secret-word"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not [secret for secret in secrets if secret in path.read_bytes()], path
    assert KEY not in log
