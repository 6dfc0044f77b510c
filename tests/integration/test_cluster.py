"""A Ray cluster of two nodes on this machine: real raylets, stand-ins for trials."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from processes import finish, start, trial_process, wait_for, write_study
from yolotune.record.study import StudyRecord, read_study
from yolotune.record.verdict import Verdict
from yolotune.schedulers import Action, Asha, Report

SETTINGS: dict[str, Any] = {
    "epochs": 12,
    "num_samples": 6,
    "concurrent": 2,
    "cpus": None,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "scheduler": {"name": "asha", "grace_period": 2, "reduction_factor": 2},
    "plateau": None,
    "wandb": "disabled",
}


class Nodes:
    """A cluster with a head that has no cores to give, and workers of one core each."""

    def __init__(self, epoch_s: float) -> None:
        from ray.cluster_utils import Cluster

        os.environ["STANDIN_EPOCH_S"] = str(epoch_s)  # processes of trials inherit from the nodes, not from the driver

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.address = self._cluster.address
        self.workers = [self.add(), self.add()]

    def add(self) -> Any:
        return self._cluster.add_node(num_cpus=1)

    def kill(self, worker: Any) -> None:
        """Kills a raylet with SIGKILL, as a machine that goes."""
        self._cluster.remove_node(worker, allow_graceful=False)

    def drain(self, worker: Any, seconds: int) -> subprocess.Popen[bytes]:
        """Announces the end of a node, as a spot machine that is taken back does."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", "--address", self.address]
        command += ["--node-id", worker.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
        command += ["--reason-message", "taken back", "--deadline-remaining-seconds", str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        self._cluster.shutdown()
        del os.environ["STANDIN_EPOCH_S"]


@pytest.fixture
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    there = Nodes(epoch_s=getattr(request, "param", 0.4))
    yield there
    there.close()


def places(record: StudyRecord) -> dict[int, list[str]]:
    """On which node each process of each trial ran."""
    return {
        trial.number: [line.split()[-1] for line in (trial.folder / "train.log").read_text().splitlines()]
        for trial in record.trials
    }


def complete(record: StudyRecord) -> bool:
    return all(
        [row["epoch"] for row in trial.epochs] == list(range(1, len(trial.epochs) + 1)) for trial in record.trials
    )


def test_trials_spread_over_a_cluster(nodes: Nodes, shapes: Path, tmp_path: Path) -> None:
    wanted = write_study(tmp_path, shapes, **SETTINGS)
    storage = str(tmp_path / "shared")
    command = ("run", wanted, "--address", nodes.address, "--storage", storage, "--project", "team")
    assert "1 core " in finish(start(tmp_path, *command, stand_in=True))
    record = read_study(tmp_path / "shared" / "team" / "study")
    assert len(record.trials) == 6 and complete(record)
    assert {place for ran in places(record).values() for place in ran} == {w.node_id for w in nodes.workers}


def test_what_a_cluster_cannot_carry_and_one_that_is_not_there_are_refused(
    nodes: Nodes, shapes: Path, tmp_path: Path
) -> None:
    wanted = write_study(tmp_path, shapes, **{**SETTINGS, "concurrent": 1, "cpus": 2})
    said = finish(start(tmp_path, "check", wanted, RAY_ADDRESS=nodes.address), 2)
    assert "1 trials at once on 2 cores" in said and "0 fit" in said
    said = finish(start(tmp_path, "check", wanted, "--address", "127.0.0.1:1"), 2)
    assert "no Ray cluster at '127.0.0.1:1'" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_node_that_sees_neither_data_nor_storage_is_named(nodes: Nodes, shapes: Path, tmp_path: Path) -> None:
    """The third node has a mount namespace of its own, in which other folders lie over data and storage."""
    hidden = f"mount -t tmpfs tmpfs {shapes.parent} && mount -t tmpfs tmpfs {tmp_path}"
    ray = f"{sys.executable} -m ray.scripts.scripts start --address={nodes.address} --num-cpus=1 --block"
    blind = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"{hidden} && exec {ray}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: _alive(nodes) == 4 or blind.poll() is not None)
        if blind.poll() is not None:
            pytest.skip(f"no mount namespace can be made here: {blind.communicate()[0]}")
        wanted = write_study(tmp_path, shapes, **SETTINGS)
        said = finish(start(tmp_path, "check", wanted, "--address", nodes.address), 2)
    finally:
        os.killpg(blind.pid, signal.SIGKILL)
    assert f"does not see {shapes}" in said
    assert "images looked for are not there" in said
    assert f"does not see the storage {tmp_path}" in said
    assert not list(tmp_path.glob(".yolotune-*")), "what was left for the nodes is gone"


def _alive(nodes: Nodes) -> int:
    from ray._raylet import GcsClient

    return sum(node.state == 0 for node in GcsClient(address=nodes.address).get_all_node_info().values())


@pytest.mark.slow
def test_a_killed_node_costs_its_trial_one_epoch_and_others_nothing(
    nodes: Nodes, shapes: Path, tmp_path: Path, figure: Any
) -> None:
    settings = {**SETTINGS, "num_samples": 2, "epochs": 60, "scheduler": "none"}
    wanted = write_study(tmp_path, shapes, **settings)
    driver = start(tmp_path, "run", wanted, "--address", nodes.address, stand_in=True)
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists() and _shortest(folder, 2) >= 3)
    before = read_study(folder)
    worker = next(w for w in nodes.workers if w.node_id == places(before)[1][0])
    nodes.kill(worker)
    killed_at = time.time()
    nodes.add()
    finish(driver)
    record = read_study(folder)
    assert complete(record) and record.verdicts == {"completed": 2}
    ran = places(record)
    assert len(ran[0]) == 1 and len(ran[1]) == 2, "only the trial of the lost node was started again"
    lines = (record.trials[1].folder / "train.log").read_text().splitlines()
    assert int(lines[1].split()[4]) >= len(before.trials[1].epochs), "an epoch at most was lost"
    figure("node killed to next epoch, s", float(lines[1].split()[6]) - killed_at)


def _shortest(folder: Path, trials: int) -> int:
    record = read_study(folder)
    return min(len(trial.epochs) for trial in record.trials) if len(record.trials) == trials else 0


@pytest.mark.slow
def test_a_preempted_node_is_not_counted_as_a_failure(nodes: Nodes, shapes: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "num_samples": 2, "epochs": 60, "scheduler": "none", "max_failures": 0}
    wanted = write_study(tmp_path, shapes, **settings)
    driver = start(tmp_path, "run", wanted, "--address", nodes.address, stand_in=True)
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists() and _shortest(folder, 2) >= 3)
    worker = next(w for w in nodes.workers if w.node_id == places(read_study(folder))[1][0])
    nodes.add()
    notice = nodes.drain(worker, 5)
    time.sleep(6)  # the notice that was given
    nodes.kill(worker)
    notice.kill()
    finish(driver)
    record = read_study(folder)
    assert complete(record) and record.verdicts == {"completed": 2}
    assert len(places(record)[1]) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("nodes", [0.05], indirect=True)
def test_two_hundred_trials_survive_a_killer_of_everything(
    nodes: Nodes, shapes: Path, tmp_path: Path, figure: Any
) -> None:
    """Workers, nodes and the driver are killed at random; the outcome is that of an undisturbed study."""
    count, chance = 200, random.Random(0)
    settings = {**SETTINGS, "num_samples": count, "search": "random", "max_failures": 50, "epochs": 9}
    settings["scheduler"] = {"name": "asha", "grace_period": 3, "reduction_factor": 3}
    wanted = write_study(tmp_path, shapes, **settings)
    folder = tmp_path / "study"
    command = ("run", wanted, "--resume", "--address", nodes.address)
    kills = {"trial": 0, "node": 0, "driver": 0}
    lives: list[list[int]] = [[]]  # memory of the driver, second by second, from start to kill
    judged = tmp_path / "judged.jsonl"
    driver = start(tmp_path, *command, stand_in=True, STANDIN_JUDGED=judged)
    began = time.monotonic()
    while driver.poll() is None or driver.returncode == -signal.SIGKILL:
        assert time.monotonic() - began < 3000, "it does not come to an end"
        if driver.poll() is not None:
            driver.communicate()
            driver = start(tmp_path, *command, stand_in=True, STANDIN_JUDGED=judged)
            lives.append([])
        time.sleep(1)
        if driver.poll() is None and (folder / "study.yaml").exists():
            lives[-1].append(psutil.Process(driver.pid).memory_info().rss)
        roll = chance.random()
        if roll < 0.1:
            worker = trial_process(os.getpid())
            if worker is not None:
                worker.kill()
                kills["trial"] += 1
        elif roll < 0.12:
            nodes.kill(nodes.workers.pop(0))
            nodes.workers.append(nodes.add())
            kills["node"] += 1
        elif roll < 0.135:
            driver.kill()
            kills["driver"] += 1
    finish(driver)
    assert kills["trial"] and kills["node"], "too little was killed for this to prove anything"
    record = read_study(folder)
    assert len(record.trials) == count and complete(record)
    assert {str(trial.verdict) for trial in record.trials} <= {str(Verdict.COMPLETED), str(Verdict.PRUNED)}
    points = {tuple(sorted(trial.point.items())) for trial in record.trials}
    assert len(points) == count
    assert_undisturbed(record, judged)
    figure("soak: minutes", (time.monotonic() - began) / 60)
    for name, number in kills.items():
        figure(f"soak: kills of a {name}", number)
    longest = max(lives, key=len)
    settled = longest[len(longest) // 5 :]
    figure("soak: growth of the driver's memory, %", 100 * (settled[-1] / settled[0] - 1))
    assert settled[-1] < 1.1 * settled[0]


def assert_undisturbed(record: StudyRecord, judged: Path) -> None:
    """ASHA that is fed the same reports in the same order, in one piece, decides as the killed drivers did.

    A report that a driver judged and did not live to write down is trained and judged again: that time counts.
    """
    reports = {}
    for line in judged.read_text().splitlines():
        number, epoch, row, cut = json.loads(line)
        reports.pop((number, epoch), None)
        reports[number, epoch] = row, cut
    whole = Asha(record.settings)
    points = {trial.number: trial.point for trial in record.trials}
    for (number, epoch), (row, cut) in reports.items():
        decision = whole.judge(Report(number, points[number], epoch, row))
        assert (decision.action is Action.STOP) == cut, f"trial {number}, epoch {epoch}"
    for trial in record.trials:
        own = {epoch: said for (number, epoch), said in reports.items() if number == trial.number}
        assert [own[epoch][0][record.metric] for epoch in sorted(own)] == [row[record.metric] for row in trial.epochs]
        cuts = [
            epoch for epoch, (*_, cut) in own.items() if cut and epoch < 9
        ]  # at the last one it has ended by itself
        assert cuts == ([len(trial.epochs)] if trial.verdict is Verdict.PRUNED else [])
