"""The only room that assembles Ray Tune: resources, run, signals, and the record kept as reports arrive."""

from __future__ import annotations

import logging
import math
import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from yolotune.dataset import Dataset, build_index, write_resolved, write_train_subset
from yolotune.errors import StudyFailed
from yolotune.job import Job
from yolotune.lock import owned
from yolotune.record import Ending, Record, StudyRecord, TrialRecord, read_study, trial_folder
from yolotune.space import Point
from yolotune.stop import Stop
from yolotune.study import Study

#: Read by Ray when it is imported or started, so set before that. Each says why.
RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the only way to silence Ray's tables
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # no phoning home
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # keep CUDA_VISIBLE_DEVICES for trials without a GPU; quiets a warning
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the record replaces Ray's CSV, JSON and TensorBoard files
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # one odd report must not end the study; ours pass over it
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: Ray's handler gives running trials ten seconds
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Ray's snapshots are of no use here
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Resources:
    """What the study has, and what one trial gets of it.

    Attributes:
        gpus: GPUs of the study.
        cpus: CPU cores of the study.
        gpu_share: GPUs per trial, gpus / concurrent as in the guide.
        cpu_share: Cores per trial, cpus / concurrent.
        visible: Value for CUDA_VISIBLE_DEVICES where `device` names GPUs; None to leave it.
    """

    gpus: float
    cpus: int
    gpu_share: float
    cpu_share: float
    visible: str | None = None

    @property
    def threads(self) -> int:
        return max(1, int(self.cpu_share))

    @property
    def workers(self) -> int:
        """Data loader processes of one trial: its cores less the one that trains; Ultralytics' 8 at most."""
        return min(8, max(0, self.threads - 1)) if self.gpu_share else 0


@dataclass(frozen=True)
class Plan:
    """A checked study: everything `run` needs, found to be right.

    Attributes:
        study: The settings.
        dataset: The data.
        model: Absolute path of weights, or the name of an architecture.
        points: Initial points, the defaults first.
        resources: Shares of CPU and GPU.
        notes: What the user should know but need not mend, in words.
    """

    study: Study
    dataset: Dataset
    model: str
    points: list[Point]
    resources: Resources
    notes: list[str]


class Listener(Protocol):
    """Who is told what happens, as it happens."""

    def study_started(self, folder: Path, plan: Plan) -> None: ...
    def trial_started(self, number: int, point: Point) -> None: ...
    def epoch_reported(self, number: int, row: dict[str, Any]) -> None: ...
    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None: ...
    def interrupted(self) -> None: ...


class Silent:
    """A listener that says nothing."""

    def study_started(self, folder: Path, plan: Plan) -> None: ...
    def trial_started(self, number: int, point: Point) -> None: ...
    def epoch_reported(self, number: int, row: dict[str, Any]) -> None: ...
    def trial_ended(self, number: int, ending: Ending, value: float | None, best: bool) -> None: ...
    def interrupted(self) -> None: ...


def run(plan: Plan, listener: Listener | None = None, before: StudyRecord | None = None) -> StudyRecord:
    """Runs a checked study to its end and returns its record.

    Args:
        plan: What to run.
        listener: Who is told what happens.
        before: The record of a study that is to go on; None starts a new one.

    Raises:
        UserError: Another process works on this study.
        StudyFailed: No trial has a value, every trial fails for the same reason, or Ray broke.
        KeyboardInterrupt: Ctrl-C or SIGTERM; running trials left after their epoch, and the study can be resumed.
    """
    listener = listener or Silent()
    study = plan.study
    folder = before.folder if before else study.folder()
    record = Record(folder, metric=study.metric, mode=study.direction)
    with owned(folder):
        settings = {**study.model_dump(), "data": str(plan.dataset.yaml), "model": plan.model}
        if before:
            record.reopen(before.trials, settings)
        else:
            record.create(settings, _environment(plan))
        job = _prepare_job(plan, folder)
        listener.study_started(folder, plan)
        stop = Stop(study.time_budget_s)
        _tune(plan, job, record, listener, stop, before.trials if before else [])
    result = read_study(folder)
    if stop.failure:
        raise StudyFailed(stop.failure)
    if stop.signalled:
        raise KeyboardInterrupt
    if result.best is None and not stop.is_set():
        raise StudyFailed(_why_nothing(result))
    return result


def _prepare_job(plan: Plan, folder: Path) -> Job:
    """Writes what all trials read: resolved paths, label indexes, the training images that are measured."""
    study, data = plan.study, folder / "data"
    data.mkdir(exist_ok=True)
    indexes = {split: build_index(plan.dataset, split, data) for split in ("train", "val")}
    return Job(
        model=plan.model,
        data=write_resolved(plan.dataset, data),
        epochs=study.epochs,
        fixed=study.fixed,
        metric=study.metric,
        mode=study.direction,
        indexes=indexes,
        train_subset=write_train_subset(plan.dataset, data, fraction=study.fixed.get("fraction", 1.0), seed=study.seed),
        device="0" if plan.resources.gpu_share else "cpu",
        threads=plan.resources.threads,
        workers=plan.resources.workers,
    )


def _tune(plan: Plan, job: Job, record: Record, listener: Listener, stop: Stop, recorded: list[TrialRecord]) -> None:
    """Assembles Ray Tune's parts, fills them from the record, and runs them."""
    os.environ.update({**RAY_ENVIRONMENT, **{k: os.environ[k] for k in RAY_ENVIRONMENT if k in os.environ}})
    import ray
    from ray import tune
    from ray.tune.error import TuneError
    from ray.tune.schedulers import FIFOScheduler

    from yolotune.callbacks import RecordKeeper, StudyStopper
    from yolotune.schedule import Asha, Endings
    from yolotune.search import OptunaSearcher
    from yolotune.trial import Trial

    study, resources, endings = plan.study, plan.resources, Endings()
    left = study.num_samples - sum(not trial.unfinished for trial in recorded)
    if left <= 0:
        return
    searcher = OptunaSearcher(study, plan.points, endings, stop, record.folder / "study.db", recorded)
    scheduler = FIFOScheduler()
    if study.asha:
        scheduler = Asha(study, endings)
        scheduler.rebuild((trial.number, trial.epochs) for trial in recorded)
    share = {"cpu": resources.cpu_share, "gpu": resources.gpu_share}
    trainable = tune.with_resources(tune.with_parameters(Trial, job=job, study_folder=record.folder), share)
    keeper = RecordKeeper(record, study, job.model, endings, listener, stop)
    with _ray(resources), _signals(stop, listener):  # in this order: Ray sets a handler of its own for SIGTERM
        try:
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=scheduler,
                    num_samples=left,
                    max_concurrent_trials=study.concurrent,
                    trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}",
                ),
                run_config=tune.RunConfig(
                    name="ray",
                    storage_path=str(record.folder),
                    stop=StudyStopper(study, endings, stop),
                    callbacks=[keeper],
                    # a trial goes on from its own folder, so Ray keeps no checkpoints and only restarts processes
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=study.max_failures),
                    verbose=0,
                ),
            ).fit()
        except (ray.exceptions.RayError, TuneError) as error:
            raise StudyFailed(f"Ray broke: {str(error).strip().splitlines()[-1]}") from error
        finally:
            searcher.close()
            keeper.close()


@contextmanager
def _ray(resources: Resources) -> Iterator[None]:
    """Starts a local Ray with the study's cores and GPUs, quietly, and stops it."""
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what goes wrong with a trial is in its verdict
    if resources.visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = resources.visible
    ray.init(
        address="local",
        num_cpus=resources.cpus,
        num_gpus=math.ceil(resources.gpus),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=256 * 2**20,  # trials exchange numbers, not tensors
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _signals(stop: Stop, listener: Listener) -> Iterator[None]:
    """Ctrl-C and SIGTERM: the first asks all trials to end after their epoch, the second ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_signal: int, _frame: Any) -> None:
        if stop.signalled:
            raise KeyboardInterrupt
        stop.signal()
        listener.interrupted()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(plan: Plan) -> dict[str, Any]:
    """Returns what a result depends on beside the settings: versions, machine, code, data."""
    names = ("yolotune", "ultralytics", "torch", "torchvision", "ray", "optuna", "wandb", "numpy")
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {name: _version(name) for name in names},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "gpus": _gpu_names() if plan.resources.gpus else [],
        "git": _git_commit(),
        "dataset": {
            "yaml": str(plan.dataset.yaml),
            "fingerprint": plan.dataset.fingerprint,
            "images": plan.dataset.images,
            "instances": plan.dataset.instances,
            "names": {str(k): v for k, v in plan.dataset.names.items()},
        },
        "seed": plan.study.seed,
        "notes": plan.notes,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu_names() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _git_commit() -> str | None:
    """Returns the commit of the folder the study is started in, if it is a repository."""
    try:
        said = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None


def _why_nothing(result: StudyRecord) -> str:
    """Returns why a study ended without a single value, from its first trial."""
    first = result.trials[0] if result.trials else None
    if first is None or first.ending is None:
        return "no trial was started."
    log = trial_folder(result.folder, first.number)
    ending = first.ending
    return f"no trial has a value. Trial 0 {ending.verdict}: {ending.reason}. See {log}/error.txt and train.log."
