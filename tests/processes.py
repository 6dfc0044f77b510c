"""Studies in processes of their own: start, watch, signal."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

from yolotune.config.layers import make_settings
from yolotune.record.environment import environment
from yolotune.record.folder import new_folder
from yolotune.record.study import read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.tuner.check import check

SETTINGS: dict[str, Any] = {
    "model": "yolo11n-seg.yaml",
    "epochs": 6,
    "imgsz": 64,
    "device": "cpu",
    "concurrent": 1,
    "cpus": 2,
    "space": {"lr0": "loguniform(1e-3, 2e-2)", "cls": "uniform(0.3, 3.0)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "nbs": 8, "mosaic": 0.0, "warmup_bias_lr": 0.0, "plots": False},
    "scheduler": "none",
    "plateau": None,
}


WORKERS = ("ray::Trainable", "ray::StandIn", "ray::ResourceTrainable")


#: Seconds in which what a command left must be seen once it has ended.
AFTER_ITS_END_S = 10.0

_started: list[subprocess.Popen[str]] = []  # commands of this test


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Polls until a condition holds, and returns what it found.

    Fails with what the commands of the test have said, and where they stand, if it does not hold in time or if all of
    them have ended.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if _started and all(driver.poll() is not None for driver in _started):
            deadline = min(deadline, time.monotonic() + AFTER_ITS_END_S)
        assert time.monotonic() < deadline, f"waited in vain\n{end_all()}"
        time.sleep(0.05)
    return found


def start(folder: Path, *arguments: str, stand_in: bool = False, **environment: object) -> subprocess.Popen[str]:
    """Starts the command line as a user does, in a session of its own; with stand-ins for trials if wanted."""
    program = [str(Path(__file__).with_name("standin.py"))] if stand_in else ["-m", "yolotune"]
    driver = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", *program, *arguments],
        cwd=folder,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _started.append(driver)
    return driver


def end_all() -> str:
    """Ends the commands of this test that still run; returns what all of them have said, with stacks of the hung."""
    said = []
    for driver in _started:
        how = "ran" if driver.poll() is None else f"had ended with {driver.returncode}"
        if driver.poll() is None:
            driver.send_signal(signal.SIGABRT)  # faulthandler prints where each thread stands
        with contextlib.suppress(ValueError):  # read by the test
            said.append(f"{driver.args} {how}, and said:\n{driver.communicate()[0]}")
    _started.clear()
    return "\n".join(said)


def finish(driver: subprocess.Popen[str], code: int = 0, seconds: float = 240) -> str:
    """Waits for a command, requires its exit code, and returns what it said."""
    said, _ = driver.communicate(timeout=seconds)
    assert driver.returncode == code, said
    return said


def write_study(folder: Path, data: Path, **changes: Any) -> str:
    path = folder / "wanted.yaml"
    wanted = {**SETTINGS, "data": str(data), "project": str(folder), **changes}
    path.write_text(yaml.safe_dump(wanted, sort_keys=False))  # the order of the space is the order of sampling
    return str(path)


def recorded_search(folder: Path, data: Path, trials: list[tuple[dict[str, Any], float]], **changes: Any) -> Path:
    """Writes a finished search as a driver leaves it, of points and their values; returns its folder."""
    given = {"data": str(data), "project": str(folder), "num_samples": len(trials), **SETTINGS, **changes}
    plan = check(make_settings(**given))
    settings = plan.settings
    record = RecordWriter(new_folder(settings), metric=settings.metric, mode="max")
    about = environment(model=plan.model, dataset=plan.dataset.described(), gpus=False, seed=settings.seed)
    record.create({**settings.model_dump(), "model": plan.model, "warm_points": []}, about)
    for number, (point, value) in enumerate(trials):
        record.start(number, point)
        record.append(number, {"epoch": 1, settings.metric: value})
        record.end(number, Ending(Verdict.COMPLETED, "all"), {})
        record.update_best(number, value, plan.hyperparameters(point, {}))
    return record.folder


def epochs_of(folder: Path, number: int) -> list[int]:
    record = read_study(folder)
    return [row["epoch"] for row in record.trials[number].epochs] if number < len(record.trials) else []


def trial_process(starter: int) -> psutil.Process | None:
    """Returns a worker that trains.

    Ray names it after the class between two steps, and after the class it is wrapped in during one. What a worker forks
    off bears its name until it executes something else; only the worker itself is a child of raylet.

    Args:
        starter: Process that has started Ray, so that no other study of the machine is touched.
    """
    for process in psutil.process_iter(["cmdline"]):
        if " ".join(process.info["cmdline"] or []).startswith(WORKERS):
            with contextlib.suppress(psutil.NoSuchProcess):
                above = process.parents()
                if above[0].name() == "raylet" and starter in [parent.pid for parent in above]:
                    return process
    return None
