"""A training in a thread and those who tell it what to do, with a stand-in for the trainer: no torch, no Ray."""

from __future__ import annotations

import errno
import math
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from processes import wait_for
from standin_training import StandInSession, StandInTrainer
from yolotune._yaml import read_yaml
from yolotune.record.study import read_rows, trial_folder
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.tracking import NullTracker, TrialResult
from yolotune.training.job import Job
from yolotune.training.messages import Said, TrainingTask
from yolotune.training.session import TrainingSession, TrainingThread

EPOCHS = 3
PRUNED = Ending(Verdict.PRUNED, "worse than others")
COMPLETED = Ending(Verdict.COMPLETED, "all 3 epochs")
STOPPED = Ending(Verdict.INTERRUPTED, "the study was stopped")


@dataclass
class Run:
    """The run of a trial in a tracker that remembers what it was told."""

    config: Mapping[str, Any]
    epochs: list[int] = field(default_factory=list)
    paused: bool = False
    result: TrialResult | None = None

    def log_epoch(self, row: Mapping[str, Any]) -> None:
        self.epochs.append(int(row["epoch"]))

    def pause(self) -> None:
        self.paused = True

    def finish(self, result: TrialResult) -> None:
        self.result = result


class MemoryTracker(NullTracker):
    """A tracker that keeps its runs."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "runs", [])

    def open_trial(self, number: int, config: Mapping[str, Any]) -> Run:
        self.runs.append(Run(config))  # type: ignore[attr-defined]
        return self.runs[-1]  # type: ignore[attr-defined,no-any-return]


class Driver:
    """Records what a training says, as the driver of a study does, before it answers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STANDIN_EPOCH_S", "0")
        self.folder = folder
        self.trial = trial_folder(folder, 0)
        self.record = RecordWriter(folder, metric="seg_metrics/F1", mode="max")
        self.record.create({}, {})
        self.tracker = MemoryTracker()
        job = Job(model="m.yaml", data=Path("data.yaml"), epochs=EPOCHS, fixed={"seed": 0})
        self.task = TrainingTask(0, {"lr0": 0.004}, None, job, self.tracker, folder)
        self.session: TrainingSession

    def start(
        self, kind: type[TrainingSession] = StandInSession, thread: TrainingThread | None = None, **changes: Any
    ) -> TrainingSession:
        """Starts the trial, in a process of its own unless a thread is given."""
        self.record.start(0, self.task.point)
        self.session = kind(replace(self.task, **changes), thread or TrainingThread())
        return self.session

    def hear(self) -> Said:
        said = self.session.next()
        if said.row is not None:
            self.record.append(0, said.row)
        return said

    def train(self, epochs: int) -> Said:
        """Lets it train until it has said so many epochs; the last one is not answered."""
        said = self.hear()
        for _ in range(epochs - 1):
            self.session.go_on()
            said = self.hear()
        return said

    @property
    def run(self) -> Run:
        return self.tracker.runs[-1]  # type: ignore[attr-defined,no-any-return]

    @property
    def ended(self) -> Any:
        return read_yaml(self.trial / "ended.yaml", whole=True)

    @property
    def weights(self) -> set[str]:
        weights = self.trial / "weights"
        return {str(path.relative_to(weights)) for path in weights.rglob("*") if path.is_file()}

    @property
    def recorded(self) -> list[int]:
        return [row["epoch"] for row in read_rows(self.trial / "epochs.jsonl")]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(tmp_path / "study", monkeypatch)


class Failing(StandInSession):
    """Raises an error after the first epoch."""

    error: Exception = ValueError("no such loss")

    def make_trainer(self, on_epoch: Any, resume: Path | None) -> StandInTrainer:
        trainer = super().make_trainer(on_epoch, resume)
        rows = trainer._row

        def row() -> dict[str, Any]:
            if trainer._epoch == 2:
                raise self.error
            return rows()

        trainer._row = row  # type: ignore[method-assign]
        return trainer


def test_a_training_that_ends_by_itself_says_so_with_its_last_epoch(driver: Driver) -> None:
    driver.start()
    said = driver.train(EPOCHS)
    assert (said.row or {})["epoch"] == EPOCHS and said.ending == COMPLETED and said.effective == {}
    assert "pending/last.pt" in driver.weights, "no checkpoint counts before the driver has answered"
    driver.session.end(COMPLETED)
    driver.session.join()
    assert driver.weights == {"best.pt"}
    scores = {"best": {"seg_metrics/F1": 0.5}, "f1_by_class": {"circle": 0.6, "square": 0.4}}
    assert driver.ended == {"schema": 1, "verdict": "completed", **scores}


def test_the_run_is_finished_with_the_ending_that_was_pushed(driver: Driver) -> None:
    driver.start()
    driver.train(2)
    driver.session.end(PRUNED)
    driver.session.end(COMPLETED)
    driver.session.join()
    result = driver.run.result
    assert result is not None and result.ending == PRUNED, "the first one counts"
    assert (result.best_epoch, result.value) == driver.record.best_of(0)
    assert (result.weights, result.curves) == (driver.trial / "weights" / "best.pt", driver.trial / "curves")
    assert driver.run.epochs == [1, 2] and driver.run.config == {"seed": 0, "lr0": 0.004, "model": "m.yaml"}
    assert driver.ended["verdict"] == "pruned" and driver.weights == {"best.pt"}


def test_an_interrupted_training_keeps_last_pt_and_goes_on_from_it(driver: Driver) -> None:
    driver.start()
    driver.train(2)
    driver.session.end(STOPPED)
    driver.session.join()
    assert driver.weights == {"best.pt", "last.pt", "epoch"} and driver.ended["verdict"] == "interrupted"
    driver.start()
    assert driver.train(1).ending == COMPLETED
    driver.session.end(COMPLETED)
    driver.session.join()
    assert driver.recorded == [1, 2, 3]
    assert driver.run.epochs == [1, 2, 3], "the run is told again what the process before may not have written"


def test_a_paused_training_is_gone_and_continues_in_the_same_run(driver: Driver) -> None:
    thread = TrainingThread()
    before = set(threading.enumerate())
    driver.start(thread=thread)
    driver.train(1)
    driver.session.pause()
    assert driver.run.paused and driver.run.result is None
    assert driver.ended["verdict"] == "paused" and driver.weights == {"best.pt", "last.pt", "epoch"}
    wait_for(lambda: set(threading.enumerate()) <= before)
    driver.session.join()  # as when its process is released
    driver.start()
    assert (driver.train(1).row or {})["epoch"] == 2
    driver.session.pause()


def test_all_trainings_of_a_process_run_in_one_thread(driver: Driver) -> None:
    seen: list[int] = []

    class Seen(StandInSession):
        def make_trainer(self, on_epoch: Any, resume: Path | None) -> StandInTrainer:
            seen.append(threading.get_ident())
            return super().make_trainer(on_epoch, resume)

    thread = TrainingThread()
    first = driver.start(Seen, thread)
    driver.train(1)
    driver.start(Seen, thread)
    first.pause()
    assert driver.train(1).row
    driver.session.pause()
    assert seen[0] == seen[1] != threading.get_ident()


def test_a_trial_that_is_cut_while_it_is_paused_only_ends(driver: Driver) -> None:
    driver.start()
    driver.train(2)
    driver.session.pause()
    driver.start(ending=PRUNED)
    assert driver.hear() == Said(None, PRUNED, {})
    driver.session.end(PRUNED)
    driver.session.join()
    assert (driver.trial / "train.log").read_text().splitlines()[-1] == "finish 2"
    assert driver.weights == {"best.pt"} and driver.ended["verdict"] == "pruned"
    driver.start(ending=PRUNED)  # its process was killed before the driver knew that
    assert driver.hear() == Said(None, PRUNED, None)
    driver.session.end(PRUNED)
    driver.session.join()
    assert driver.run.result is not None and driver.run.result.ending == PRUNED


def test_a_process_killed_in_the_final_evaluation_does_it_again(driver: Driver) -> None:
    driver.start()
    driver.train(EPOCHS)  # the report is recorded, then the process dies: the checkpoint is still pending
    driver.start()
    assert driver.hear() == Said(None, COMPLETED, {})
    driver.session.end(COMPLETED)
    driver.session.join()
    assert driver.weights == {"best.pt"} and driver.ended["best"] == {"seg_metrics/F1": 0.5}


def test_a_process_killed_before_its_divergence_had_a_verdict_says_it_again(driver: Driver) -> None:
    driver.start()
    driver.train(1)
    driver.session.go_on()
    driver.session.next()
    driver.record.append(0, {"epoch": 2, "seg_metrics/F1": math.nan})  # its weights were not saved
    shutil.rmtree(driver.trial / "weights" / "pending")
    driver.start()
    diverged = Ending(Verdict.DIVERGED, "not finite at epoch 2")
    assert driver.hear() == Said(None, diverged, None)
    driver.session.end(diverged)
    driver.session.join()
    assert driver.weights == {"best.pt"} and driver.run.result is not None and driver.run.result.best_epoch == 1


def test_what_cannot_be_evaluated_changes_no_verdict(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("cannot draw")

    driver.start()
    driver.train(1)
    monkeypatch.setattr(StandInTrainer, "_evaluate", broken)
    driver.session.end(PRUNED)
    driver.session.join()
    assert driver.ended == {"schema": 1, "verdict": "pruned", "best": {}, "f1_by_class": {}}
    assert driver.run.result is not None and driver.run.result.ending == PRUNED
    assert "cannot draw" in (driver.trial / "error.txt").read_text()


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (ValueError("no such loss\nmore"), Ending(Verdict.FAILED, "ValueError: no such loss")),
        (ValueError(), Ending(Verdict.FAILED, "ValueError: ValueError")),
        (RuntimeError("CUDA out of memory. Tried to"), Ending(Verdict.OOM, "CUDA out of memory. Tried to")),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            Ending(Verdict.INTERRUPTED, "no space left on the disk: [Errno 28] No space left on device"),
        ),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
            Ending(
                Verdict.INTERRUPTED,
                "no space left on the disk: PytorchStreamWriter failed writing file data/0: file write failed",
            ),
        ),
    ],
)
def test_an_error_ends_the_trial_and_is_kept(driver: Driver, error: Exception, ending: Ending) -> None:
    driver.start(type("Failing", (Failing,), {"error": error}))
    driver.train(1)
    driver.session.go_on()
    assert driver.hear() == Said(None, ending, {})
    driver.session.wait_left()
    assert "Traceback" in (driver.trial / "error.txt").read_text()


def test_a_trainer_that_cannot_be_made_is_a_failure(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ImportError("libGL.so.1")

    monkeypatch.setattr(StandInTrainer, "__init__", broken)
    driver.start()
    failed = Ending(Verdict.FAILED, "ImportError: libGL.so.1")
    assert driver.hear() == Said(None, failed, None)
    driver.session.end(failed)
    driver.session.join()
    assert driver.run.result is not None and driver.run.result.ending == failed


@pytest.mark.parametrize("wait", [TrainingSession.wait_left, TrainingSession.join])
def test_a_training_that_nobody_answers_is_interrupted(driver: Driver, wait: Callable[[TrainingSession], None]) -> None:
    driver.start()
    driver.session.next()  # epoch 1 is not recorded
    wait(driver.session)
    driver.session.join()
    assert driver.ended["verdict"] == "interrupted"
    assert driver.run.result is not None and driver.run.result.ending == STOPPED
    assert "last.pt" not in driver.weights, "its checkpoint does not count"
    driver.start()
    assert (driver.train(1).row or {})["epoch"] == 1, "so it is trained again"
    driver.session.leave()


def test_an_epoch_that_was_recorded_but_not_answered_is_not_trained_again(driver: Driver) -> None:
    driver.start()
    driver.train(1)
    driver.session.join()
    driver.start()
    assert (driver.train(1).row or {})["epoch"] == 2
    driver.session.leave()


def test_a_slot_is_free_before_the_trackers_run_has_ended(driver: Driver) -> None:
    finishing = threading.Event()
    driver.start()
    driver.train(1)
    driver.run.finish = lambda result: finishing.wait()  # type: ignore[method-assign]
    driver.session.end(PRUNED)
    driver.session.wait_left()
    assert driver.weights == {"best.pt"} and not (driver.trial / "ended.yaml").exists()
    finishing.set()
    driver.session.join()
    assert driver.ended["verdict"] == "pruned"


def test_a_tracker_that_raises_costs_nothing_but_its_run(driver: Driver) -> None:
    def broken(result: TrialResult) -> None:
        raise ConnectionError("no server")

    driver.start()
    driver.train(1)
    driver.run.finish = broken  # type: ignore[method-assign]
    driver.session.end(PRUNED)
    driver.session.join()
    assert driver.ended["verdict"] == "pruned"


def test_a_verdict_may_come_in_the_middle_of_an_epoch(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_EPOCH_S", "0.05")
    driver.start()
    driver.train(1)
    driver.session.go_on()
    driver.session.end(PRUNED)
    driver.session.join()
    assert driver.ended["verdict"] == "pruned" and driver.run.epochs == [1, 2]
