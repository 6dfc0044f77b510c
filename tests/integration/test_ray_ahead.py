"""Ray starts while a study is checked: a study that is refused, or stopped there, leaves nothing of it behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil

import yolotune
from processes import SETTINGS, finish, start, wait_for, write_study
from yolotune.errors import UserError


def rays(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Waits until Ray's first process is there, and returns all processes that the command has started."""
    command = psutil.Process(driver.pid)
    wait_for(lambda: any(child.name() == "gcs_server" for child in command.children()))
    return command.children(recursive=True)


def test_a_refused_study_leaves_no_ray_and_writes_nothing(shapes: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, shapes, model="nowhere.pt")
    driver = start(tmp_path, "run", study)
    ours = rays(driver)
    said = finish(driver, 2, seconds=60)
    assert said.startswith("error: model: nowhere.pt does not exist.") and said.count("\n") == 1
    assert not psutil.wait_procs(ours, timeout=10)[1]
    assert list(tmp_path.iterdir()) == [Path(study)]


def test_ctrl_c_during_the_checks_leaves_no_ray_and_writes_nothing(shapes: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the check asks it for W&B, and waits
        silent.settimeout(60)
        study = write_study(tmp_path, shapes, wandb="online")
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        driver = start(tmp_path, "run", study, WANDB_BASE_URL=server, WANDB_API_KEY="0" * 40)
        asked, _ = silent.accept()
        with asked:
            ours = rays(driver)
            os.kill(driver.pid, signal.SIGINT)
            assert finish(driver, 130, seconds=60) == "Interrupted.\n"
    assert not psutil.wait_procs(ours, timeout=10)[1]
    assert list(tmp_path.iterdir()) == [Path(study)]


def test_a_study_can_be_begun_while_the_ray_of_a_refused_one_stops(shapes: Path, tmp_path: Path) -> None:
    given = {**SETTINGS, "project": str(tmp_path), "epochs": 1, "num_samples": 1, "tracker": "none"}
    try:
        yolotune.tune(shapes, **{**given, "model": "nowhere.pt"})
    except UserError as error:
        assert "nowhere.pt" in str(error)
    study = yolotune.tune(shapes, **given)
    assert [trial.verdict for trial in study.trials] == ["completed"]
