"""Ray starts while a study is checked: a study that is refused, or stopped there, leaves nothing of it behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray import tune

import yolotune
from processes import SETTINGS, finish, start, wait_for, write_study
from standin import StandIn
from studies import search
from yolotune.errors import UserError
from yolotune.tuner.local_ray import LocalRay


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


def test_ray_is_used_between_its_start_and_its_stop_alone(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, `ray.init` may fail; after, whoever lets go of an actor or an object ends the process."""
    start_ray, stop_ray, with_parameters = LocalRay._start, LocalRay.stop, tune.with_parameters
    up: list[bool] = []
    begun_up: list[bool] = []
    references: list[set[bytes]] = []

    def start_slowly(self: LocalRay, folder: str) -> bool:
        started = start_ray(self, folder)
        time.sleep(3)
        references.append(referenced())
        up.append(True)
        return started

    def begin(*args: Any, **given: Any) -> Any:
        begun_up.append(bool(up))
        return with_parameters(*args, **given)

    def stop(self: LocalRay) -> None:
        if not self._unneeded.is_set():  # it is stopped for the first time
            references.append(referenced())
        stop_ray(self)

    def referenced() -> set[bytes]:
        return set(ray._private.worker.global_worker.core_worker.get_all_reference_counts())

    monkeypatch.setattr(LocalRay, "_start", start_slowly)
    monkeypatch.setattr(LocalRay, "stop", stop)
    monkeypatch.setattr(tune, "with_parameters", begin)
    record = search(shapes, tmp_path, by=StandIn, epochs=1, num_samples=2, concurrent=2, wandb="disabled")
    assert len(record.trials) == 2 and begun_up == [True]
    kept = references[1] - references[0]
    assert len(kept) <= 3, "what all trials are told, which Ray keeps for the next start"


def test_a_ray_that_does_not_start_is_told_in_words(shapes: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, shapes, num_samples=1, epochs=1)
    said = finish(start(tmp_path, "run", study, RAY_TMPDIR="/nowhere"), 1, seconds=60)
    assert "error: Ray could not be started: [Errno 2] No such file or directory: '/nowhere/" in said
    assert "room in /nowhere to spare, then resume the study." in said and "Traceback" not in said


#: Starts a local Ray, has a worker do something, says what the home and Ray's folder look like, and waits.
PRIVATE_RAY = """
from pathlib import Path
from yolotune.tuner.local_ray import LocalRay
local = LocalRay(1, 0)
try:
    local.wait()
    import ray
    ray.get(ray.remote(lambda: 1).remote())
    folder = Path(ray._private.worker._global_node.get_session_dir_path()).parents[1]
    token = Path.home() / ".ray" / "auth_token"
    print(folder, oct(folder.stat().st_mode)[-3:], oct(token.stat().st_mode)[-3:], flush=True)
    input()
finally:
    local.stop()
"""


def listening(process: psutil.Process) -> list[str]:
    """Returns the addresses on which a process takes connections."""
    found = process.net_connections("inet")
    return [connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN]


def test_a_local_ray_is_closed_to_other_machines_and_other_users(tmp_path: Path) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0" * 64)
    token.chmod(0o644)  # as Ray itself creates it
    command, pipe = [sys.executable, "-c", PRIVATE_RAY], subprocess.PIPE
    given = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=given) as driver:
        assert driver.stdin and driver.stdout
        folder, *modes = driver.stdout.readline().split()
        command_itself = psutil.Process(driver.pid)
        processes = [command_itself, *command_itself.children(recursive=True)]
        started = sorted(child.name() for child in command_itself.children())
        addresses = [ip_address(address) for process in processes for address in listening(process)]
        driver.stdin.write("\n")
    assert modes == ["700", "600"]
    assert started == ["gcs_server", "raylet"], "no dashboard, log monitor or autoscaler"
    assert len(addresses) >= 4  # of the driver, the store of the cluster, the node and a worker
    assert all((getattr(one, "ipv4_mapped", None) or one).is_loopback for one in addresses), addresses
    assert driver.returncode == 0 and not Path(folder).exists()
