"""Studies that run in this process, with real trainings or with stand-ins (`standin.py`)."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from yolotune.cli import commands
from yolotune.config.layers import load_settings, make_settings
from yolotune.record.study import StudyRecord
from yolotune.tuner import runner
from yolotune.tuner.events import Listener
from yolotune.tuner.trainable import Trainable
from yolotune.workflows import resume as resuming
from yolotune.workflows import search as searching

#: The guide's trainings, as small as they can be.
SMALL: dict[str, Any] = {
    "model": "yolo11n-seg.yaml",
    "imgsz": 64,
    "device": "cpu",
    "cpus": 2,
    "space": {"lr0": "loguniform(1e-3, 2e-2)", "cls": "uniform(0.3, 3.0)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "nbs": 8, "mosaic": 0.0, "warmup_bias_lr": 0.0},
    "scheduler": "none",
    "plateau": None,
}


@contextlib.contextmanager
def trained_by(trainable: type[Trainable] | None) -> Iterator[None]:
    """Puts a stand-in in the place of all trainings that begin meanwhile."""
    with patch.object(runner, "run", functools.partial(runner.run, trainable=trainable)):
        yield


def search(
    data: Path, project: Path, listener: Listener | None = None, *, by: type[Trainable] | None = None, **given: Any
) -> StudyRecord:
    """Runs a study as `yolotune run` does."""
    settings = make_settings(**{**SMALL, "data": str(data), "project": str(project), **given})
    with trained_by(by):
        return searching.search(settings, listener)


def resume(folder: Path, *, by: type[Trainable] | None = None, **changes: Any) -> StudyRecord:
    """Resumes a study as `yolotune resume` does."""
    with trained_by(by):
        return resuming.resume(folder, load_settings(folder, changes))


def command(folder: Path, *words: str, by: type[Trainable] | None = None, code: int = 0) -> str:
    """Runs a command line in this process, in a folder, requires its exit code, and returns what it printed."""
    printed = io.StringIO()
    streams = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with contextlib.chdir(folder), streams[0], streams[1], trained_by(by):
        ended = commands._exit_code(commands.app, list(words))
    assert ended == code, printed.getvalue()
    return printed.getvalue()
