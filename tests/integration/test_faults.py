"""Faults, injected into real studies whose trials are stand-ins: the engine and the record are the real ones."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from processes import SETTINGS as PROCESS
from processes import epochs_of, finish, start, trial_process, wait_for, write_study
from standin import StandIn
from studies import resume, search
from yolotune.errors import StudyFailed, UserError
from yolotune.record.slots import read_slots
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.record.verdict import Verdict

SETTINGS: dict[str, Any] = {
    "epochs": 12,
    "num_samples": 8,
    "space": {"lr0": "loguniform(1e-4, 1e-1)", "batch": "choice([4, 6])"},
    "train": {"optimizer": "AdamW", "warmup_bias_lr": 0.0},
    "scheduler": {"name": "asha", "grace_period": 2, "reduction_factor": 2},
    "plateau": None,
    "wandb": "disabled",
}


@pytest.fixture(scope="module")
def undisturbed(shared_ray: None, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A study that nothing happened to."""
    record = search(shapes, tmp_path_factory.mktemp("undisturbed"), by=StandIn, **{**PROCESS, **SETTINGS})
    assert {"completed", "pruned"} <= record.verdicts.keys()
    return record


def told(record: StudyRecord) -> list[Any]:
    """All that a study has found: points, epoch reports, verdicts with their reasons."""
    return [(trial.number, trial.point, trial.epochs, trial.ending, trial.value) for trial in record.trials]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, 10])
def test_a_study_killed_again_and_again_finds_what_it_would_have_found(
    kills: int, shapes: Path, undisturbed: StudyRecord, tmp_path: Path, figure: Any
) -> None:
    moment = random.Random(kills)
    folder = tmp_path / "study"
    wanted = write_study(tmp_path, shapes, **SETTINGS)
    seen = 0
    for kill in range(kills):
        driver = start(tmp_path, "run", wanted, "--resume", stand_in=True, STANDIN_EPOCH_S=0.15)
        count = moment.choice((0, 1, moment.randrange(15)))  # while it starts, in the first epoch, or somewhere
        wait_for(lambda: driver.poll() is not None or _epochs(folder) >= seen + count)  # noqa: B023
        time.sleep(moment.uniform(0, 0.3))
        driver.kill()
        driver.communicate()
        left = _epochs(folder)
        assert left >= seen, f"kill {kill} lost epochs"
        seen = left
    killed_at = time.time()
    finish(start(tmp_path, "run", wanted, "--resume", stand_in=True))
    record = read_study(folder)
    assert told(record) == told(undisturbed)
    starts = [line.split() for log in folder.glob("trials/*/train.log") for line in log.read_text().splitlines()]
    figure("driver killed to next epoch, s", min(float(w[6]) for w in starts if float(w[6]) > killed_at) - killed_at)
    figure("processes of trials", len(starts))


def _epochs(folder: Path) -> int:
    return read_study(folder).epochs_trained if (folder / "study.yaml").exists() else 0


def test_a_killed_trial_process_costs_one_epoch_at_most(shapes: Path, tmp_path: Path, figure: Any) -> None:
    settings = {**SETTINGS, "num_samples": 1, "epochs": 16}
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True, STANDIN_EPOCH_S=0.3)
    folder = tmp_path / "study"
    wait_for(lambda: (folder / "study.yaml").exists() and len(epochs_of(folder, 0)) >= 3)
    worker = wait_for(lambda: trial_process(driver.pid))
    worker.kill()
    killed_at, recorded = time.time(), len(epochs_of(folder, 0))
    wait_for(lambda: len(epochs_of(folder, 0)) > recorded + 1)
    figure("trial killed to next epoch, s", time.time() - killed_at)
    finish(driver)
    trial = read_study(folder).trials[0]
    assert [row["epoch"] for row in trial.epochs] == list(range(1, 17))
    assert (trial.verdict, trial.restarts) == (Verdict.COMPLETED, 1)
    began = [int(line.split()[4]) for line in (trial.folder / "train.log").read_text().splitlines()]
    assert began[0] == 1 and recorded <= began[1] <= recorded + 2, "it goes on where the record ends"


def test_ctrl_c_twice_ends_at_once_and_the_study_can_be_resumed(
    shared_ray: None, shapes: Path, tmp_path: Path, figure: Any
) -> None:
    settings = {**SETTINGS, "num_samples": 2, "concurrent": 2}
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True, STANDIN_EPOCH_S=25)
    folder = tmp_path / "study"
    wait_for(lambda: len(list(folder.glob("trials/*/train.log"))) == 2)
    ours = psutil.Process(driver.pid).children(recursive=True)
    os.kill(driver.pid, signal.SIGINT)
    time.sleep(1)
    assert driver.poll() is None, "the first asks trials to end after their epoch"
    os.kill(driver.pid, signal.SIGINT)
    began = time.monotonic()
    said = finish(driver, 130, seconds=20)
    figure("second Ctrl-C to the end, s", time.monotonic() - began)
    assert "yolotune resume" in said and "Traceback" not in said
    gone, alive = psutil.wait_procs(ours, timeout=20)
    assert not alive and gone
    verdicts = resume(folder, by=StandIn).verdicts
    assert sum(verdicts.values()) == 2 and set(verdicts) <= {"completed", "pruned"}, verdicts


def test_out_of_memory_is_a_verdict_and_not_tried_again(shapes: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "num_samples": 1}
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True, STANDIN_OOM=3)
    finish(driver)  # three epochs stand, so the trial has a value
    trial = read_study(tmp_path / "study").trials[0]
    assert (trial.verdict, trial.restarts, len(trial.epochs)) == (Verdict.OOM, 0, 3)
    assert len((trial.folder / "train.log").read_text().splitlines()) == 1, "one process only"


def processes_of(trial: TrialRecord) -> list[str]:
    """Returns the processes that a stand-in has trained in."""
    lines = (trial.folder / "train.log").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("process")]


def test_trials_that_run_out_of_memory_beside_others_are_all_trained_to_their_end(shapes: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "num_samples": 4, "concurrent": 2, "cpus": 2, "scheduler": "none", "max_failures": 0}
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True, STANDIN_OOM_BESIDE=3)
    assert "ran out of memory beside others" in finish(driver)
    study = read_study(tmp_path / "study")
    assert study.verdicts == {"completed": 4}
    for trial in study.trials:
        assert [row["epoch"] for row in trial.epochs] == list(range(1, study.settings.epochs + 1))
        assert trial.restarts == 0
    tried_twice = [trial for trial in study.trials if len(processes_of(trial)) > 1]
    assert tried_twice and all(len(set(processes_of(trial))) == 2 for trial in tried_twice), "in a process of its own"
    assert [change.open for change in read_slots(study.folder)][-1] == 1


def test_a_trial_that_loses_its_card_continues_in_another_process(shapes: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "num_samples": 2, "scheduler": "none", "max_failures": 1}
    driver = start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True, STANDIN_CARD_LOST=2)
    finish(driver)
    study = read_study(tmp_path / "study")
    assert study.verdicts == {"completed": 2}
    for trial in study.trials:
        assert trial.restarts == 1 and len(set(processes_of(trial))) == 2
        assert [row["epoch"] for row in trial.epochs] == list(range(1, study.settings.epochs + 1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 600 MB, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_the_study_in_words_and_loses_nothing(
    shapes: Path, undisturbed: StudyRecord, small_disk: Path, tmp_path: Path
) -> None:
    folder = small_disk / "study"
    wanted = write_study(tmp_path, shapes, **{**SETTINGS, "project": str(small_disk)})
    driver = start(tmp_path, "run", wanted, stand_in=True, STANDIN_EPOCH_S=0.2, STANDIN_FILL=200_000)
    wait_for(lambda: (folder / "study.yaml").exists() and _epochs(folder) >= 15)
    ballast = small_disk / "ballast"
    # page by page, for the study takes and frees space at the same time
    with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    said = finish(driver, 1)
    assert "o space left on" in said and "resume" in said and "Traceback" not in said
    recorded = told(read_study(folder))
    ballast.unlink()
    assert told(resume(folder, by=StandIn)) == told(undisturbed)
    ended = [trial for trial in recorded if trial[3] and trial[3].verdict is not Verdict.INTERRUPTED]
    assert told(undisturbed)[: len(ended)] == ended


def test_storage_that_cannot_be_written_is_refused(small_disk: Path, shapes: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    wanted = write_study(tmp_path, shapes, **{**SETTINGS, "project": str(small_disk)})
    assert "cannot be written to" in finish(start(tmp_path, "check", wanted), 2)


def test_a_dataset_that_cannot_be_written_trains(small_disk: Path, shapes: Path, tmp_path: Path) -> None:
    from jobs import make_job, train

    data = shutil.copytree(shapes.parent, small_disk / "Größe 漢字 und Leerzeichen") / "data.yaml"
    (tmp_path / "a link").symlink_to(data.parent)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    job = make_job(tmp_path / "a link" / "data.yaml", tmp_path, epochs=1)
    _, rows = train(job, tmp_path / "Versuch ü")
    assert len(rows) == 1 and (tmp_path / "Versuch ü" / "weights" / "best.pt").exists()


def test_processes_that_cannot_start_end_the_study_with_the_reason(
    shared_ray: None, shapes: Path, tmp_path: Path
) -> None:
    class Unstartable(StandIn):
        def setup(self, config: dict[str, Any], **parts: Any) -> None:
            raise ImportError("libGL.so.1: cannot open shared object file")

    with pytest.raises(StudyFailed, match=r"the first 3 trials failed alike.*libGL\.so\.1"):
        search(shapes, tmp_path, by=Unstartable, **{**PROCESS, **SETTINGS, "max_failures": 0})
    assert read_study(tmp_path / "study").verdicts == {"failed": 3}


def test_names_in_any_script_and_a_symlinked_dataset(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "Daten (neu)").symlink_to(shapes.parent)
    project = tmp_path / 'Mein Projekt\' & "Co"'
    settings = {**SETTINGS, "num_samples": 2, "project": str(project), "name": "Größe 漢字 🐟 " + "x" * 100}
    wanted = write_study(tmp_path, tmp_path / "Daten (neu)" / "data.yaml", **settings)
    finish(start(tmp_path, "run", wanted, stand_in=True))
    assert len(read_study(project / settings["name"]).trials) == 2
    assert (project / settings["name"] / "report.html").exists()
    too_long = write_study(tmp_path, shapes, **{**settings, "name": "x" * 300})
    assert "At most 200 bytes are expected" in finish(start(tmp_path, "check", too_long), 2)


def test_a_study_is_resumed_where_data_and_weights_lie_elsewhere(
    shared_ray: None, shapes: Path, tmp_path: Path
) -> None:
    from ultralytics import YOLO

    for place, seed in (("here", 0), ("there", 0), ("other", 1)):
        shutil.copytree(shapes.parent, tmp_path / place)
        torch.manual_seed(seed)
        YOLO("yolo11n-seg.yaml").save(tmp_path / place / "w.pt")
    shutil.copyfile(tmp_path / "here" / "w.pt", tmp_path / "there" / "w.pt")  # a saved file holds the date
    began = {**PROCESS, **SETTINGS, "num_samples": 1, "model": str(tmp_path / "here" / "w.pt")}
    search(tmp_path / "here" / "data.yaml", tmp_path, by=StandIn, **began)
    shutil.rmtree(tmp_path / "here")
    moved = {"data": str(tmp_path / "there" / "data.yaml"), "model": str(tmp_path / "there" / "w.pt")}
    record = resume(tmp_path / "study", by=StandIn, num_samples=2, **moved)
    assert len(record.trials) == 2 and record.trials[1].ending is not None
    other = {**moved, "model": str(tmp_path / "other" / "w.pt")}
    with pytest.raises(UserError, match=r"model: was '[0-9a-f]{64}', is"):
        resume(tmp_path / "study", by=StandIn, **other)


STATE = [
    "study.yaml",
    "environment.json",
    "best.yaml",
    "study.db",
    "data/data.yaml",
    "data/labels-train.npz",
    "trials/0001/point.yaml",
    "trials/0001/verdict.yaml",
    "trials/0001/epochs.jsonl",
]


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99, None])
@pytest.mark.parametrize("name", STATE)
def test_a_damaged_state_file_is_made_anew_or_named(
    name: str, left: float | None, undisturbed: StudyRecord, tmp_path: Path
) -> None:
    folder = shutil.copytree(undisturbed.folder, tmp_path / "study")
    path = folder / name
    content = path.read_bytes()
    if left is None:
        path.unlink()
    else:
        path.write_bytes(content[: int(left * len(content))])
    try:
        record = resume(folder, by=StandIn)
    except UserError as error:
        assert path.name in str(error) or "study.yaml" in str(error)
        return
    if name.endswith("verdict.yaml"):  # made again from the trial's reports, by the rung as it is now
        assert record.trials[1].verdict is Verdict.PRUNED
        assert record.trials[1].epochs == undisturbed.trials[1].epochs
        assert told(record)[2:] == told(undisturbed)[2:]
        return
    assert told(record) == told(undisturbed)
    if path.suffix == ".yaml":
        assert path.read_bytes() == content


@pytest.mark.slow
def test_a_space_of_twelve_points_is_trained_once_over(shapes: Path, tmp_path: Path) -> None:
    space = {"lr0": "choice([1e-3, 3e-3, 1e-2])", "batch": "choice([2, 4, 6, 8])"}
    settings = {**SETTINGS, "space": space, "num_samples": 40, "concurrent": 2}
    finish(start(tmp_path, "run", write_study(tmp_path, shapes, **settings), stand_in=True))
    points = [tuple(trial.point.items()) for trial in read_study(tmp_path / "study").trials]
    assert len(points) == len(set(points)) == 12
