"""Ray Tune assembled: a local Ray or a cluster, the hooks around the conductor, signals."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yolotune.tracking import Tracker
from yolotune.training.job import Job
from yolotune.tuner.cluster import address_of, joined
from yolotune.tuner.conductor import Conductor, Parts
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Resources
from yolotune.tuner.stop import StudyStop

if TYPE_CHECKING:
    from yolotune.tuner.trainable import Trainable

#: Read by Ray when it is imported or started, so set before that. Each says why.
RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the only way to silence Ray's tables
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # no phoning home
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # keep CUDA_VISIBLE_DEVICES for trials without a GPU; quiets a warning
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the record replaces Ray's CSV, JSON and TensorBoard files
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # reports are read by the conductor, not by Ray
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: Ray's handler gives running trials ten seconds
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Ray's snapshots are of no use here
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def run_trials(
    conductor: Conductor, parts: Parts, job: Job, tracker: Tracker, *, trainable: type[Trainable] | None = None
) -> None:
    """Runs trials until the conductor has no more, or something broke, which `parts.stop` then says.

    Args:
        conductor: Decides.
        parts: What it works with.
        job: What all trainings are told.
        tracker: What all trainings are logged with.
        trainable: A stand-in for `trainable.Trainable`.
    """
    os.environ.update({**RAY_ENVIRONMENT, **{k: os.environ[k] for k in RAY_ENVIRONMENT if k in os.environ}})
    import ray
    from ray import tune
    from ray.tune.error import TuneError

    from yolotune.tuner.ray_hooks import Hooks
    from yolotune.tuner.trainable import Trainable

    plan, folder = parts.plan, parts.record.folder
    hooks = Hooks(conductor)
    trained = tune.with_parameters(trainable or Trainable, job=job, tracker=tracker, study_folder=folder)
    # Ray puts parts of cards on the first one until it is full; on this machine the conductor spreads them
    gpu_share = 0.0 if plan.resources.cards else plan.resources.gpu_share
    share = {"cpu": plan.resources.cpu_share, "gpu": gpu_share}
    with (
        ray_started(plan.resources, address_of(plan.settings.address)),
        _signals(parts.stop, parts.listener),
    ):  # in this order: Ray sets a handler of its own for SIGTERM
        try:
            tune.Tuner(
                tune.with_resources(trained, share),
                tune_config=tune.TuneConfig(
                    search_alg=hooks.searcher,
                    scheduler=hooks.scheduler,
                    num_samples=-1,  # the conductor counts: a trial whose process died comes again
                    max_concurrent_trials=None,  # the conductor gives out no trial without a slot (`slots.py`)
                    trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}",
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="ray",
                    storage_path=str(folder),
                    stop=hooks.stopper,
                    callbacks=[hooks.callback],
                    # a trial continues from its own folder: Ray's checkpoints are empty
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=0),  # see `Conductor.died`
                    verbose=0,
                ),
            ).fit()
        except (ray.exceptions.RayError, TuneError, OSError) as error:
            # where the record could not be written, the conductor has said so
            parts.stop.fail(f"Ray broke: {str(error).strip().splitlines()[-1]}")


@contextmanager
def ray_started(resources: Resources, address: str | None) -> Iterator[None]:
    """Joins a cluster, or starts a local Ray with the study's cores and GPUs, quietly, and stops it.

    A local Ray that this process has started already is used as it is, and left running.
    """
    import ray

    if address:
        with joined(address):
            yield
        return
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what goes wrong with a trial is in its verdict
    if ray.is_initialized():
        yield
        return
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
def _signals(stop: StudyStop, listener: Listener) -> Iterator[None]:
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
