"""The only room that assembles Ray Tune: resources, run, signals, and the record kept as reports arrive."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.data.dataset import build_index, write_resolved, write_train_subset
from yolotune.errors import StudyFailed
from yolotune.record import checkpoint
from yolotune.record.environment import environment
from yolotune.record.lock import owned
from yolotune.record.study import StudyRecord, TrialRecord, read_study, trial_folder
from yolotune.record.writer import Record
from yolotune.schedulers.stop import Stop
from yolotune.tracking.wandb import Tracking, outage, run_id, sync_line
from yolotune.tracking.wandb_study import NullStudyRun, open_study_run
from yolotune.training.job import Job
from yolotune.tuner.cluster import address_of, joined
from yolotune.tuner.plan import Listener, Plan, Resources
from yolotune.tuner.restarts import Restarts

if TYPE_CHECKING:
    from yolotune.tuner.trainable import Trial

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


def run(
    plan: Plan,
    listener: Listener | None = None,
    before: StudyRecord | None = None,
    trainable: type[Trial] | None = None,
) -> StudyRecord:
    """Runs a checked study to its end and returns its record.

    Args:
        plan: What to run.
        listener: Who is told what happens.
        before: The record of a study that is to go on; None starts a new one.
        trainable: A stand-in for `trial.Trial`, to try the engine out without training.

    Raises:
        UserError: Another process works on this study.
        StudyFailed: No trial has a value, every trial fails for the same reason, or Ray broke.
        KeyboardInterrupt: Ctrl-C or SIGTERM; running trials left after their epoch, and the study can be resumed.
    """
    listener = listener or Listener()
    study = plan.study
    folder = before.folder if before else plan.folder or study.folder()
    uid = str(before.settings["uid"]) if before else None
    record = Record(folder, metric=study.metric, mode=study.direction, uid=uid)
    with owned(folder):
        settings = {**study.model_dump(), "data": str(plan.dataset.yaml), "model": plan.model}
        settings |= {"warm_points": plan.warm.points, "warm_from": [asdict(one) for one in plan.warm.provenance]}
        if plan.origin:
            settings["origin"] = asdict(plan.origin)
        if before:
            record.reopen(before.trials, settings)
            _settle_ended(before.trials, keep_last=plan.keep_last)
            _offer_recorded(record, plan, before)
        else:
            record.create(settings, environment(plan))
        job = _prepare_job(plan, folder)
        recorded = before.trials if before else []
        listener.study_started(folder, plan)
        listener.trials_recorded(recorded)
        trained = {trial.number: len(trial.epochs) for trial in recorded}
        worked = before.seconds_worked if before else 0.0
        stop = Stop(study.ceiling, trained=trained, seconds=worked)
        with _tracked(plan, record, listener, stop) as (tracking, study_run):
            _replay(study_run, recorded)
            _tune(_Work(plan, job, record, recorded, tracking, study_run, listener, stop), trainable)
        _settle_ended(read_study(folder).trials, keep_last=plan.keep_last)
        _report(folder, listener, photos=not stop.signalled)  # who stops a study does not wait for photographs
    result = read_study(folder)
    if stop.failure:
        raise StudyFailed(stop.failure)
    if stop.signalled:
        raise KeyboardInterrupt
    if result.best is None and not stop.is_set():
        raise StudyFailed(_why_nothing(result))
    return result


def _settle_ended(trials: Iterable[TrialRecord], *, keep_last: bool) -> None:
    """Gives trials their best.pt that have a verdict and whose process was killed before they had left."""
    for trial in trials:
        if trial.ending is not None and not trial.unfinished and not (trial.folder / "ended.yaml").exists():
            checkpoint.close(trial.folder / "weights", len(trial.epochs), keep_last=keep_last)


def _offer_recorded(record: Record, plan: Plan, before: StudyRecord) -> None:
    """Writes best.yaml as the record knows it: with the confirmed point, or with the best one found since."""
    best, confirmed = before.best, before.confirmed
    if confirmed is not None:
        trial = before.trial(confirmed.trial)
        record.keep_confirmed(confirmed, plan.hyperparameters(trial.point, trial.effective))
    if best is not None and best.value is not None:
        record.offer_best(best.number, best.value, plan.hyperparameters(best.point, best.effective))


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
        keep_last=plan.keep_last,
    )


@contextmanager
def _tracked(plan: Plan, record: Record, listener: Listener, stop: Stop) -> Iterator[tuple[Tracking, NullStudyRun]]:
    """Opens the study's own W&B run, and at the end says what W&B does not have yet."""
    study, origin = plan.study, plan.origin
    kinds = [origin.kind] if origin else [study.search, study.scheduler if study.asha else "no-asha"]
    lineage = {}
    if origin:
        lineage = {"search_uid": origin.uid, "search_trial": origin.trial}
        if origin.trial is not None:
            lineage["search_run_id"] = run_id(origin.uid, origin.trial)
    tracking = Tracking.from_environment(
        plan.wandb,
        project=study.project or "yolotune",
        study=study.name,
        uid=record.uid,
        folder=record.folder / "wandb",
        tags=[*kinds, Path(plan.model).stem],
        group=origin.study if origin else None,
        kind=origin.kind if origin else "trial",
        lineage=lineage,
    )
    warm_from = [asdict(one) for one in plan.warm.provenance]
    study_run = open_study_run(tracking, study.model_dump(mode="json") | {"warm_from": warm_from}, study.direction)
    try:
        yield tracking, study_run
    finally:
        study_run.finish(record.best_number, record.folder / "best.yaml", failed=stop.failure is not None)
        for line in (outage(tracking), sync_line(tracking)):
            if line:
                listener.note(line)


def _replay(study_run: NullStudyRun, recorded: list[TrialRecord]) -> None:
    """Tells the study's W&B run of trials that ended before the study went on; their points are logged already."""
    total = 0
    for trial in recorded:
        total += len(trial.epochs)
        if trial.ending is not None and not trial.unfinished:
            study_run.trial_ended(
                trial.number, trial.point, trial.ending, trial.best_epoch, trial.value, total, log=False
            )


@dataclass(frozen=True)
class _Work:
    """All that one run of a study works with."""

    plan: Plan
    job: Job
    record: Record
    recorded: list[TrialRecord]
    tracking: Tracking
    study_run: NullStudyRun
    listener: Listener
    stop: Stop


def _tune(work: _Work, stand_in: type[Trial] | None) -> None:
    """Assembles Ray Tune's parts, fills them from the record, and runs them."""
    os.environ.update({**RAY_ENVIRONMENT, **{k: os.environ[k] for k in RAY_ENVIRONMENT if k in os.environ}})
    import ray
    from ray import tune
    from ray.tune.error import TuneError
    from ray.tune.schedulers import FIFOScheduler

    from yolotune.schedulers.plateau import Asha, Endings
    from yolotune.search.optimizer import OptunaSearcher
    from yolotune.tuner.callbacks import RecordKeeper, StudyStopper
    from yolotune.tuner.pausing import Halving
    from yolotune.tuner.trainable import Trial

    study, resources, record, endings = work.plan.study, work.plan.resources, work.record, Endings()
    ended = sum(not trial.unfinished for trial in work.recorded)
    if ended >= study.num_samples or work.stop.is_set():
        return
    database = record.folder / "study.db"
    scheduler, halving = FIFOScheduler(), None
    if study.scheduler == "halving":
        scheduler = halving = Halving(study, endings, work.stop, work.recorded)
    elif study.asha:
        scheduler = Asha(study, endings)
        scheduler.rebuild((trial.number, trial.point, trial.epochs) for trial in work.recorded)
    restarts = Restarts(study.max_failures)
    searcher = OptunaSearcher(study, work.plan.points, endings, work.stop, database, work.recorded, halving, restarts)
    share = {"cpu": resources.cpu_share, "gpu": resources.gpu_share}
    trainable = tune.with_parameters(
        stand_in or Trial, job=work.job, tracking=work.tracking, study_folder=record.folder
    )
    keeper = RecordKeeper(
        record,
        work.plan,
        endings,
        work.listener,
        work.study_run,
        work.stop,
        work.recorded,
        restarts,
        lambda: searcher.finished,
    )
    with (
        _ray(resources, address_of(study.address)),
        _signals(work.stop, work.listener),
    ):  # in this order: Ray sets a handler of its own for SIGTERM
        try:
            tune.Tuner(
                tune.with_resources(trainable, share),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=scheduler,
                    num_samples=-1,  # the searcher counts: a trial whose process died comes again
                    # Ray's limiter counts paused trials too; halving keeps to the slots by itself
                    max_concurrent_trials=None if halving else study.concurrent,
                    trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}",
                    # on a GPU a process of its own gives back all of a trial's memory, whatever became of it
                    reuse_actors=not resources.gpu_share,
                ),
                run_config=tune.RunConfig(
                    name="ray",
                    storage_path=str(record.folder),
                    stop=StudyStopper(study, endings, work.stop),
                    callbacks=[keeper],
                    # a trial goes on from its own folder: Ray's checkpoints are empty
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=0),  # see `restarts`
                    verbose=0,
                ),
            ).fit()
        except (ray.exceptions.RayError, TuneError, OSError) as error:
            if work.stop.failure:  # the record could not be written: it says so itself
                raise StudyFailed(work.stop.failure) from error
            raise StudyFailed(f"Ray broke: {str(error).strip().splitlines()[-1]}") from error
        finally:
            searcher.close()
            keeper.close()
            record.close()


@contextmanager
def _ray(resources: Resources, address: str | None) -> Iterator[None]:
    """Joins a cluster, or starts a local Ray with the study's cores and GPUs, quietly, and stops it."""
    import ray

    if address:
        with joined(address):
            yield
        return
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what goes wrong with a trial is in its verdict
    if resources.visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = resources.visible
    ray.init(
        address="local",
        num_cpus=resources.cpus,
        num_gpus=math.ceil(resources.gpus),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
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


def _report(folder: Path, listener: Listener, *, photos: bool) -> None:
    """Writes the study's page; whatever is wrong with that, the study is complete without it."""
    from yolotune.report.page import write_report

    try:
        listener.report_written(write_report(folder, photos=photos))
    except Exception as error:  # it draws with many libraries, and none of them may cost a result
        listener.note(f"Report:  not written ({type(error).__name__}: {error}). Again: yolotune report {folder}")


def _why_nothing(result: StudyRecord) -> str:
    """Returns why a study ended without a single value, from its first trial."""
    first = result.trials[0] if result.trials else None
    if first is None or first.ending is None:
        return "no trial was started."
    log = trial_folder(result.folder, first.number)
    ending = first.ending
    return f"no trial has a value. Trial 0 {ending.verdict}: {ending.reason}. See {log}/error.txt and train.log."
